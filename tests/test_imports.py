"""Imports run one way (see the layout in the README), and nothing heavy happens at import."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
LAYERS = [
    {"compiled_librosa", "errors", "files", "native", "progress", "weights_file", "__init__"},
    {"config", "device"},
    {"presets"},
    {"audio", "encoding", "features", "feeding", "g711", "quantization", "stacks", "resampling"},
    {"harmonics"},
    {"wavenet"},
    {"generation"},
    {"text"},
    {"acoustic"},
    {"manifest", "recogniser", "watching", "voice"},
    {"packing", "registry"},
    {"conditioning_frames", "fading", "speech"},
    {"preparation"},
    {"synthesizer"},
    {"live"},
    {"corpus", "training", "evaluation", "bench"},
    {"commands"},
    {"cli"},
    {"__main__"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def part(module: str) -> str | None:
    """The part of the package that a module's name lies in."""
    names = module.split(".")
    if names[0] != "vocoder" or len(names) == 1 or names[1] not in RANK:
        return None
    return names[1]


def test_imports_run_one_way() -> None:
    wrong = []
    for path in (ROOT / "vocoder").rglob("*.py"):
        own = path.relative_to(ROOT / "vocoder").parts[0].removesuffix(".py")
        for module in imports(path):
            other = part(module)
            if other is not None and other != own and RANK[other] > RANK[own]:
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not wrong


def test_every_part_has_its_place() -> None:
    parts = {p.name.removesuffix(".py") for p in (ROOT / "vocoder").iterdir()} - {"__pycache__"}
    assert parts <= RANK.keys()


def test_only_the_server_knows_http() -> None:
    for path in (ROOT / "vocoder").rglob("*.py"):
        modules = {module.split(".")[0] for module in imports(path)}
        assert not modules & {"fastapi", "starlette", "uvicorn", "httpx"}, path
        assert "server" not in modules or path.name == "cli.py"


def test_nothing_is_unpickled() -> None:
    for folder in ("vocoder", "server"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text()
            assert "torch.load(" not in text, path
            found = imports(path)
            assert not {"pickle", "dill"} & found, path
            # joblib may count processors.
            assert not {n for n in found if n.startswith("joblib")} - {"joblib", "joblib.cpu_count"}
            assert "joblib." not in text, path


def test_only_the_cuda_engine_knows_triton() -> None:
    for path in (ROOT / "vocoder").rglob("*.py"):
        modules = {module.split(".")[0] for module in imports(path)}
        assert "triton" not in modules or path.parent.name == "cuda", path


def test_librosa_is_imported_in_one_place() -> None:
    for path in (ROOT / "vocoder").rglob("*.py"):
        modules = {module.split(".")[0] for module in imports(path)}
        assert "librosa" not in modules or path.name == "compiled_librosa.py", path
