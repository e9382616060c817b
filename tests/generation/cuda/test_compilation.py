"""The kernel compiles for GPUs that this machine lacks, and its barriers order memory accesses."""

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("triton")

SHARED_BYTES = {80: 163 * 1024, 90: 227 * 1024, 100: 227 * 1024}
"""Most shared memory per program (CUDA programming guide, table of compute capabilities)."""

CASES = [
    {"config": "standard", "capability": 80},
    {"config": "standard", "capability": 90},
    {"config": "standard", "capability": 100},
    {"config": "standard", "capability": 90, "weights": "fp16", "traced": True, "seeded": False},
    {"config": "large", "capability": 80},
    {"config": "large", "capability": 90, "traced": True, "seeded": False},
    {"config": "linear_prediction", "capability": 90},
    {"config": "tiny", "capability": 90, "weights": "fp32"},
    {"config": "standard-context", "capability": 80},
    {"config": "standard-context", "capability": 90},
    {"config": "standard-context", "capability": 100},
    {"config": "contexts", "capability": 90, "traced": True, "seeded": False},
]
WITHOUT = [
    {"config": "standard", "capability": 90, "without_barrier": 0},
    {"config": "linear_prediction", "capability": 90, "without_barrier": 1},
    {"config": "standard", "capability": 90, "without_barrier": 2},
    {"config": "linear_prediction", "capability": 90, "without_barrier": 3},
    {"config": "contexts", "capability": 90, "without_barrier": 0, "of": "contexts"},
    {"config": "contexts", "capability": 90, "without_barrier": 1, "of": "contexts"},
    {"config": "contexts", "capability": 90, "without_barrier": 1},
    {"config": "contexts", "capability": 90, "without_barrier": 3},
]
CAUGHT = [
    {"inputs"},
    {"inputs"},
    {"rings"},
    {"history"},
    {"contexts 0", "contexts 1"},
    {"context rings 0", "context rings 1"},
    {"inputs", "gates"},
    {"windows 0", "windows 1"},
]
"""The accesses that race without the barrier, for each case."""


def name(case: dict[str, object]) -> str:
    defaults = {"weights": "bf16", "traced": False, "seeded": True, "without_barrier": None}
    defaults["of"] = "kernels"
    keys = ("config", "capability", "weights", "traced", "seeded", "without_barrier", "of")
    return "-".join(str({**defaults, **case}[key]) for key in keys)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the compiled form of every case."""
    folder = tmp_path_factory.mktemp("compiled")
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(folder / "cache")
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    program = Path(__file__).with_name("ahead_of_time.py")
    cases = [json.dumps(case) for case in CASES + WITHOUT]
    subprocess.run([sys.executable, program, folder, *cases], env=environment, check=True)
    return folder


@pytest.mark.parametrize("case", CASES, ids=name)
def test_it_compiles_without_a_gpu(case: dict[str, object], compiled: Path) -> None:
    capability = case["capability"]
    ptx = (compiled / f"{name(case)}.ptx").read_text()
    assert f".target sm_{capability}" in ptx
    for kernel in ("cubin", "gates.cubin"):
        assert (compiled / f"{name(case)}.{kernel}").read_bytes().startswith(b"\x7fELF")
    # Tensor cores, except for float32.
    assert ("mma.sync" in ptx) == (case.get("weights") != "fp32")
    report = json.loads((compiled / f"{name(case)}.json").read_text())
    assert report["shared_bytes"] <= SHARED_BYTES[capability]


@pytest.mark.parametrize("case", CASES, ids=name)
def test_barriers_order_reads_and_writes(case: dict[str, object], compiled: Path) -> None:
    parts = sample_loop((compiled / f"{name(case)}.ttgir").read_text())
    expected = {"inputs", "rings"}
    if case["config"] == "linear_prediction":
        expected |= {"history"}
    if "context" in case["config"]:
        expected |= {"gates"}
        expected |= {f"{of} {s}" for of in CONTEXT_STATE for s in (0, 1)}
    run = next(runs(parts, layers=1))
    assert {place.split("/")[0] for kind, place in run if kind == "store"} == expected
    for layers in (1, 2, 5):
        assert races(parts, layers) == set()


@pytest.mark.parametrize(("case", "caught"), zip(WITHOUT, CAUGHT, strict=True))
def test_a_missing_barrier_is_caught(
    case: dict[str, object], caught: set[str], compiled: Path
) -> None:
    parts = sample_loop((compiled / f"{name(case)}.ttgir").read_text())
    assert caught <= races(parts, layers=1)


CONTEXT_STATE = ("windows", "context rings", "contexts")
Part = tuple[str, Any]
"""``load``, ``store`` or ``barrier`` with its target; ``for`` or ``if`` with the nested parts."""


def sample_loop(ttgir: str) -> list[Part]:
    """The sample loop's accesses to memory that it reads and writes, in program order."""
    base: dict[str, str] = {}
    open_parts: list[list[Part]] = []
    for line in ttgir.splitlines():
        if "tt.func" in line:
            base = pointers(line)
        made = re.match(
            r"\s*%(\w+) = (tt\.addptr|tt\.splat|tt\.broadcast|tt\.expand_dims|"
            r"ttg\.convert_layout|tt\.bitcast) %(\w+)",
            line,
        )
        # Sibling blocks reuse names.
        for new in re.findall(r"^\s*%(\w+)(?::\d+)? = ", line):
            source = base.get(made[3]) if made else None
            base.pop(new, None)
            if source:
                base[new] = source
        block = re.search(r"\bscf\.(for|if|while)\b", line)
        access = re.search(r"\btt\.(load|store) %(\w+)", line)
        if open_parts and access and access[2] in base:
            open_parts[-1].append((access[1], base[access[2]]))
        elif open_parts and re.search(r"\b(gpu|ttg)\.barrier\b", line):
            open_parts[-1].append(("barrier", ""))
        deeper = line.count("{") - line.count("}")
        if deeper > 0 and (open_parts or block):
            within: list[Part] = []
            if open_parts:
                open_parts[-1].append((block[1] if block else "region", within))
            open_parts += [within] * deeper
        elif deeper < 0 and open_parts:
            whole = open_parts[0]
            del open_parts[deeper:]
            if not open_parts:
                return whole
    raise AssertionError("the kernel has no loop")


def pointers(function: str) -> dict[str, str]:
    """The targets of those pointer arguments that the sample loop reads and writes."""
    found = {name: name for name in ("rings", "inputs", "history", "gates")}
    context = re.findall(r"%(context_state\w*): !tt\.ptr", function)
    for i, pointer in enumerate(context):
        found[pointer] = f"{CONTEXT_STATE[i % 3]} {i // 3}"
    return found


def runs(parts: list[Part], layers: int) -> Iterator[list[tuple[str, str]]]:
    """Accesses of three samples for every combination of conditions; in the first, all are true."""

    def conditions(parts: list[Part]) -> int:
        return sum((kind == "if") + conditions(w) for kind, w in parts if isinstance(w, list))

    for hold in itertools.product((True, False), repeat=3 * conditions(parts)):
        holding = iter(hold)
        yield [access for _ in range(3) for access in accesses(parts, layers, holding, "")]


def accesses(
    parts: list[Part], layers: int, holding: Iterator[bool], layer: str
) -> Iterator[tuple[str, str]]:
    """Unroll each loop to one iteration per layer, each with its own ring.

    If an element of the gates is loaded and its sum stored, the store depends on the load.
    """
    stored = {what for kind, what in parts if kind == "store"}
    for kind, what in parts:
        if kind == "for":
            for i in range(layers):
                yield from accesses(what, layers, holding, f"/{i}")
        elif kind == "if":
            if next(holding):
                yield from accesses(what, layers, holding, layer)
        elif kind == "region":
            yield from accesses(what, layers, holding, layer)
        elif not (kind == "load" and what == "gates" and what in stored):
            yield kind, what + layer if "rings" in what else what


def races(parts: list[Part], layers: int) -> set[str]:
    """The targets that are read and written without a barrier in between.

    Each layer has its own ring. Every other target counts as one location.
    """
    found: set[str] = set()
    for run in runs(parts, layers):
        since: dict[str, str] = {}
        for kind, place in run:
            if kind == "barrier":
                since.clear()
            elif since.setdefault(place, kind) != kind:
                found.add(place.split("/")[0])
    return found
