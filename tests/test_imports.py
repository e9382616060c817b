"""Imports run one way (docs/architecture.md), and nothing heavy happens at import.

``python tests/test_imports.py`` prints the rooms, floors and arrows of both packages.
"""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LONGEST_FILE = 400

LAYERS = [
    {"errors", "files", "progress", "logs", "tables"},
    {"config"},
    {"presets", "machine", "audio", "native"},
    {"features", "plots"},
    {"wavenet", "text"},
    {"pixel"},
    {"generation"},
    {"acoustic", "scheduling"},
    {"voices"},
    {"synthesis", "recognition"},
    {"api"},
    {"corpus"},
    {"training"},
    {"alignment", "evaluation"},
    {"bench"},
    {"server"},
    {"cli"},
    {"__main__"},
]
"""The rooms of ``vocoder``, from the ground floor up: a room imports only from those below it."""

RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
_MODULE_NAME = re.compile(r"(?:vocoder|server)(?:\.[a-z_0-9]+)+")

Graph = dict[str, set[str]]
"""The modules that each module imports, by dotted names."""


def modules(package: str) -> dict[str, Path]:
    """Paths of a package's modules by dotted name; a package's own is its ``__init__``."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules("vocoder") | modules("server")


def named(name: str) -> str | None:
    """The module that a dotted name lies in; the server's is installed as ``vocoder.server``."""
    name = re.sub(r"^vocoder\.server\b", "server", name)
    while name not in MODULES:
        name, dot, _ = name.rpartition(".")
        if not dot:
            return None
    return name


@functools.cache
def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, also by a string such as ``"vocoder.native._native"``."""
    package = path.relative_to(ROOT).parent.parts if path.is_relative_to(ROOT) else ()
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *filter(None, [node.module])))
            found |= {f"{module}.{alias.name}" for alias in node.names}
            found.add(module)
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and _MODULE_NAME.fullmatch(node.value)
        ):
            found.add(node.value)
    return found


def graph(package: str) -> Graph:
    """What each module of a package imports within it."""
    found: Graph = {}
    for name, path in modules(package).items():
        targets = {target for i in imports(path) if (target := named(i))}
        found[name] = {t for t in targets if t.split(".")[0] == package and t != name}
    return found


def room(module: str) -> str:
    """The room of a package that a module lies in: the second part of its name."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def rooms(modules_graph: Graph) -> Graph:
    """The same graph between rooms."""
    found: Graph = {}
    for module, targets in modules_graph.items():
        own = found.setdefault(room(module), set())
        own |= {room(target) for target in targets} - {room(module), "__init__"}
    found.pop("__init__", None)
    return found


def circles(nodes: Graph) -> list[list[str]]:
    """Groups of nodes that import each other, however indirectly (Tarjan 1972)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for target in sorted(nodes.get(node, ())):
            if target not in order:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], order[target])
        if low[node] == order[node]:
            group = []
            while not group or group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(nodes):
        if node not in order:
            visit(node)
    return found


def floors(nodes: Graph) -> int:
    """Rooms on the longest chain of imports; each must be free of circles."""
    height: dict[str, int] = {}

    def tall(node: str) -> int:
        if node not in height:
            height[node] = 0
            height[node] = 1 + max((tall(target) for target in nodes.get(node, ())), default=0)
        return height[node]

    return max(map(tall, nodes))


def test_every_room_has_its_floor() -> None:
    assert set(rooms(graph("vocoder"))) <= RANK.keys()


def test_imports_run_one_way() -> None:
    wrong = []
    for name, path in modules("vocoder").items():
        for target in {t for i in imports(path) if (t := named(i))}:
            own = "server" if name.startswith("server") else room(name)
            other = "server" if target.startswith("server") else room(target)
            if "__init__" in (own, other) or own == other:
                continue
            if RANK[other] >= RANK[own]:
                wrong.append(f"{name} imports {target}")
    assert not wrong


@pytest.mark.parametrize("package", ["vocoder", "server"])
def test_no_room_imports_in_a_circle(package: str) -> None:
    assert not circles(rooms(graph(package)))


@pytest.mark.parametrize("package", ["vocoder", "server"])
def test_no_module_imports_in_a_circle(package: str) -> None:
    # A package's own module comes before its parts and may gather names from them.
    parts = {name: targets for name, targets in graph(package).items() if "." in name}
    packages = {n for n, path in MODULES.items() if path.name == "__init__.py"}
    assert not circles({n: t - packages for n, t in parts.items()})


def test_a_planted_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_imports_by_string_and_relative_ones_are_seen() -> None:
    assert "vocoder.native._native" in imports(ROOT / "vocoder" / "native" / "library.py")
    assert named("vocoder.server.workers.worker") == "server.workers.worker"
    assert "server.errors" in graph("server")["server.middleware.body_limit"]


def test_only_the_native_room_loads_the_native_library() -> None:
    for name, path in MODULES.items():
        found = {i for i in imports(path) if i.endswith("._native")}
        assert not found or name == "vocoder.native.library", name


def test_only_the_server_knows_http() -> None:
    for path in modules("vocoder").values():
        found = {module.split(".")[0] for module in imports(path)}
        assert not found & {"fastapi", "starlette", "uvicorn", "httpx", "server"}, path


def test_only_the_command_line_knows_the_server() -> None:
    for name, path in modules("vocoder").items():
        knows = any(named(i) in modules("server") for i in imports(path))
        assert not knows or room(name) == "cli", name


def test_nothing_is_unpickled() -> None:
    for path in MODULES.values():
        text = path.read_text()
        assert "torch.load(" not in text, path
        found = imports(path)
        assert not {"pickle", "dill"} & found, path
        # joblib may count processors.
        assert not {n for n in found if n.startswith("joblib")} - {"joblib", "joblib.cpu_count"}
        assert "joblib." not in text, path


def test_only_the_cuda_engine_knows_triton() -> None:
    for path in modules("vocoder").values():
        found = {module.split(".")[0] for module in imports(path)}
        assert "triton" not in found or path.parent.name == "cuda", path


def test_librosa_is_imported_in_one_place() -> None:
    for path in MODULES.values():
        found = {module.split(".")[0] for module in imports(path)}
        assert "librosa" not in found or path.name == "librosa_import.py", path


def test_long_files_say_why() -> None:
    for path in MODULES.values():
        lines = path.read_text().splitlines()
        reason = any("long because" in line.lower() for line in lines[:12])
        assert len(lines) <= LONGEST_FILE or reason, f"{path}: {len(lines)} lines"


def main() -> None:
    """Print the counts."""
    for package in ("vocoder", "server"):
        between = rooms(graph(package))
        arrows = sum(map(len, between.values()))
        round_ = circles(between)
        print(
            f"{package}: {len(between)} rooms, {floors(between)} floors, {arrows} arrows, "
            f"{len(round_)} circles {round_ or ''}"
        )


if __name__ == "__main__":
    main()
