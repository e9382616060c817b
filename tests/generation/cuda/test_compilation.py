"""The kernel compiles for GPUs that are not there, and its barriers order its memory."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

SHARED_BYTES = {80: 163 * 1024, 90: 227 * 1024, 100: 227 * 1024}
"""Of one program at most (CUDA programming guide, table of compute capabilities)."""

CASES = [
    {"config": "standard", "capability": 80},
    {"config": "standard", "capability": 90},
    {"config": "standard", "capability": 100},
    {"config": "standard", "capability": 90, "weights": "fp16", "traced": True, "seeded": False},
    {"config": "large", "capability": 80},
    {"config": "large", "capability": 90, "traced": True, "seeded": False},
    {"config": "linear_prediction", "capability": 90},
    {"config": "tiny", "capability": 90, "weights": "fp32"},
]
WITHOUT = [
    {"config": "standard", "capability": 90, "without_barrier": 0},
    {"config": "linear_prediction", "capability": 90, "without_barrier": 1},
    {"config": "standard", "capability": 90, "without_barrier": 2},
    {"config": "linear_prediction", "capability": 90, "without_barrier": 3},
]


def name(case: dict[str, object]) -> str:
    defaults = {"weights": "bf16", "traced": False, "seeded": True, "without_barrier": None}
    keys = ("config", "capability", "weights", "traced", "seeded", "without_barrier")
    return "-".join(str({**defaults, **case}[key]) for key in keys)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what every case was compiled to."""
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
    # Tensor cores, but for float32.
    assert ("mma.sync" in ptx) == (case.get("weights") != "fp32")
    report = json.loads((compiled / f"{name(case)}.json").read_text())
    assert report["shared_bytes"] <= SHARED_BYTES[capability]


@pytest.mark.parametrize("case", CASES, ids=name)
def test_barriers_order_what_is_written_and_read(case: dict[str, object], compiled: Path) -> None:
    events = memory_events((compiled / f"{name(case)}.ttgir").read_text())
    assert ("load", "rings", True) in events
    assert ("store", "rings", True) in events
    for layers in (1, 2, 5):
        assert races(events, layers) == set()


@pytest.mark.parametrize("case", WITHOUT, ids=name)
def test_a_missing_barrier_is_caught(case: dict[str, object], compiled: Path) -> None:
    events = memory_events((compiled / f"{name(case)}.ttgir").read_text())
    found = races(events, 1)
    assert {0: "inputs", 1: "inputs", 2: "rings", 3: "history"}[case["without_barrier"]] in found


Event = tuple[str, str, bool]
"""``load``, ``store`` or ``barrier``; of which argument; whether in the loop over layers."""

QUEUES = {"rings", "inputs", "history"}


def memory_events(ttgir: str) -> list[Event]:
    """What the sample loop does to the queues, in the order of the code."""
    base: dict[str, str] = {}
    events: list[Event] = []
    depth, sample_depth = 0, None
    for line in ttgir.splitlines():
        for pointer in re.findall(r"%(\w+): !tt\.ptr", line) if "tt.func" in line else []:
            base[pointer] = pointer
        made = re.match(
            r"\s*%(\w+) = (tt\.addptr|tt\.splat|tt\.broadcast|tt\.expand_dims|"
            r"ttg\.convert_layout|tt\.bitcast) %(\w+)",
            line,
        )
        if made and made[3] in base:
            base[made[1]] = base[made[3]]
        if "scf.for" in line and sample_depth is None:
            sample_depth = depth
        within = sample_depth is not None and depth > sample_depth
        in_layers = within and depth > sample_depth + 1
        access = re.search(r"\btt\.(load|store) %(\w+)", line)
        if within and access and base.get(access[2]) in QUEUES:
            events.append((access[1], base[access[2]], in_layers))
        elif within and re.search(r"\b(gpu|ttg)\.barrier\b", line):
            events.append(("barrier", "", in_layers))
        depth += line.count("{") - line.count("}")
        if sample_depth is not None and within and depth <= sample_depth:
            break
    return events


def races(events: list[Event], layers: int) -> set[str]:
    """Queues that are written and read with no barrier between, in a run of three samples.

    A ring is a layer's own. The queue of inputs and the history count as one place each.
    """
    run: list[tuple[str, str]] = []
    first = next(i for i, event in enumerate(events) if event[2])
    last = max(i for i, event in enumerate(events) if event[2])
    for _ in range(3):
        run += [event[:2] for event in events[:first]]
        for layer in range(layers):
            run += [(kind, f"{queue} {layer}") for kind, queue, _ in events[first : last + 1]]
        run += [event[:2] for event in events[last + 1 :]]
    found, since = set(), dict[str, str]()
    for kind, queue in run:
        if kind == "barrier":
            since.clear()
        elif since.setdefault(queue, kind) != kind:
            found.add(queue.split()[0])
    return found
