import importlib.util
import json
import os
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import torch
from conftest import CONFIGS, random_model
from tolerances import ENGINE_PARAMETERS, STEP_AGAINST_PARALLEL

from vocoder.bench import machine, peer
from vocoder.bench.page import Case, Table, default_tables, multiply_adds, write_page
from vocoder.bench.speed import Speed, engine_run, measure
from vocoder.bench.subject import Subject
from vocoder.bench.training import measure_training
from vocoder.errors import ConfigError, EngineError, UserError
from vocoder.generation.cpu import CpuEngine
from vocoder.native.library import INSTRUCTIONS_VARIABLE
from vocoder.presets import PRESETS, preset
from vocoder.wavenet.model import WaveNet

SHORT = 0.01


def tiny(engine: str = "auto", weights: str | None = None) -> Speed:
    return measure("tiny", engine, weights=weights, streams=2, threads=1, seconds=SHORT)


@pytest.fixture
def no_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == peer.PEER else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)


def test_a_measurement_is_consistent() -> None:
    data = json.loads(tiny().model_dump_json())
    assert data.keys() >= {
        "engine",
        "preset",
        "streams",
        "threads",
        "weights",
        "samples_per_second",
        "microseconds_per_step",
        "real_time_streams",
        "max_error_against_reference",
    }
    assert (data["engine"], data["weights"], data["streams"]) == ("cpu", "bf16", 2)
    assert data["instructions"] in machine.instruction_sets()
    assert data["samples_per_second"] > 0
    steps = data["samples_per_second"] / 2
    assert abs(data["microseconds_per_step"] * steps / 1e6 - 1) < 1e-6
    assert 0 < data["best_microseconds_per_step"] <= data["microseconds_per_step"]
    assert abs(data["real_time_streams"] * 16000 / data["samples_per_second"] - 1) < 1e-6


def test_the_error_belongs_to_the_measured_engine() -> None:
    subject = Subject.from_preset("tiny")
    errors = {w: subject.error(CpuEngine(subject.model, weights=w)) for w in ("fp32", "int8")}
    assert 0 < errors["fp32"] < 1e-4 < errors["int8"]
    assert tiny("cpu", "int8").max_error_against_reference == errors["int8"]
    broken = WaveNet(subject.model.config)
    broken.load_state_dict(subject.model.state_dict())
    with torch.no_grad():
        broken.output.bias[200] += 0.5
    assert abs(subject.error(CpuEngine(broken, weights="fp32")) - 0.5) < 1e-4


@pytest.mark.parametrize("name", ["linguistic_tags", "unconditional", "contexts"])
def test_models_with_any_conditioning_can_be_measured(name: str) -> None:
    subject = Subject.from_model(name, random_model(CONFIGS[name]))
    assert subject.error(CpuEngine(subject.model, weights="fp32")) < ENGINE_PARAMETERS["fp32"]


def test_the_reference_is_compared_with_the_parallel_forward() -> None:
    result = tiny("reference")
    assert (result.weights, result.instructions, result.weight_bytes) == ("fp32", "", None)
    assert result.max_error_against_reference is not None
    assert 0 < result.max_error_against_reference < STEP_AGAINST_PARALLEL


def test_a_stream_continues_from_chunk_to_chunk() -> None:
    model = Subject.from_preset("tiny").model
    positions: list[list[int]] = []

    class Watched(CpuEngine):
        def generate(self, state, conditioning, noise, rows=None):
            positions.append(state.position.tolist())
            return super().generate(state, conditioning, noise, rows)

    run = engine_run(model, Watched(model), 2)
    for _ in range(3):
        assert run.seconds() > 0
    assert positions == [[0, 0], [run.steps] * 2, [2 * run.steps] * 2]


@pytest.mark.parametrize(
    ("engine", "weights"), [("cpu", "fp8"), ("auto", ""), ("reference", "bf16")]
)
def test_an_unsupported_format_is_refused(engine: str, weights: str) -> None:
    with pytest.raises(EngineError, match="weights"):
        tiny(engine, weights)


def test_a_missing_peer_is_reported(no_peer: None) -> None:
    with pytest.raises(UserError, match="pip install wavenet_vocoder"):
        peer.measure_with_peer("tiny")


def test_only_mu_law_has_a_peer() -> None:
    with pytest.raises(UserError, match="tiny, small, standard"):
        peer.measure_with_peer("large")
    with pytest.raises(ConfigError):
        peer.measure_with_peer("huge")


@pytest.mark.skipif(not peer.installed(), reason="wavenet_vocoder is not installed")
def test_an_engine_and_the_peer_are_measured_together() -> None:
    own, other = peer.measure_with_peer("tiny", weights="fp32", seconds=SHORT)
    assert (own.engine, other.engine) == ("cpu", "wavenet_vocoder")
    assert own.speedup_over_peer is not None
    assert own.speedup_over_peer > 1
    assert other.max_error_against_reference is None
    assert "x the peer" in own.line()
    assert "error none" in other.line()


def test_the_page_has_its_tables(
    tmp_path: Path, no_peer: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lowest = machine.instruction_sets()[-1]
    monkeypatch.setenv(INSTRUCTIONS_VARIABLE, lowest)
    best = machine.instruction_sets()[0]
    tables = [
        Table("First", "", (Case("tiny", "reference"), Case("tiny", weights="int8", streams=3))),
        Table("Second", "Words.", (Case("tiny", weights="bf16", instructions=best, threads=2),)),
    ]
    path = tmp_path / "new" / "page.md"
    write_page(path, seconds=SHORT, command="vocoder bench --page page.md", cases=tables)
    assert os.environ[INSTRUCTIONS_VARIABLE] == lowest
    page = path.read_text()
    for text in ("`vocoder bench --page page.md`", machine.processor(), torch.__version__):
        assert text in page
    for heading in (
        "## Cost per sample",
        "## First",
        "## Second\n\nWords.",
        "## Comparison with a peer",
    ):
        assert heading in page
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines()]
    measured = [row[:6] for row in rows if len(row) > 8 and row[0] == "tiny"]
    assert measured == [
        ["tiny", "reference", "fp32", "", "1", "1"],
        ["tiny", "cpu", "int8", lowest, "3", "1"],
        ["tiny", "cpu", "bf16", best, "1", "2"],
    ]


def test_a_failing_page_keeps_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("old")
    with pytest.raises(EngineError):
        write_page(
            path, seconds=SHORT, command="", cases=[Table("", "", (Case("tiny", weights="x"),))]
        )
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_full_page_covers_presets_instruction_sets_and_streams() -> None:
    one, sets, many = default_tables()[:3]
    assert {case.preset for case in one.cases} == PRESETS.keys()
    assert {case.instructions for case in sets.cases} == set(machine.instruction_sets())
    assert {case.streams for case in many.cases} >= {1, 4, 8, 16}
    assert {case.threads for case in many.cases} == {1, machine.cores()}


@pytest.mark.parametrize("name", PRESETS)
def test_multiply_adds_are_the_matrices_of_the_step(name: str) -> None:
    config = preset(name)
    left_out = ["conditioning.", "contexts.", "stack.local", "stack.global", "stack.context"]
    if config.distribution.kind == "mu_law":
        left_out.append("input.")
    weights = {key: w for key, w in WaveNet(config).state_dict().items() if w.ndim == 2}
    counted = [w.numel() for key, w in weights.items() if not key.startswith(tuple(left_out))]
    assert multiply_adds(config) == sum(counted)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # from the peer, if installed
def test_a_training_step_is_timed_in_each_format() -> None:
    results = measure_training("tiny", rows=1, seconds=0.1, threads=1, steps=1, compiled=False)
    assert {"vocoder fp32", "vocoder bf16"} <= {result.name for result in results}
    for result in results:
        assert abs(result.audio_per_second * result.step_ms / 1e3 - 0.1) < 1e-6
