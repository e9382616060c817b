"""What a failure on the device leaves behind: one line for people, and rows that can go on."""

from collections.abc import Callable

import pytest
import torch
from conftest import random_model
from devices import DEVICE, SMALL_CONFIGS, OnDevice, snapshot
from generating import condition, pick

from vocoder.errors import EngineError
from vocoder.generation.cuda import engine as triton_engine
from vocoder.generation.cuda import graph
from vocoder.generation.cuda.engine import TritonEngine
from vocoder.generation.cuda.graph import GraphEngine
from vocoder.generation.noise import Noise
from vocoder.generation.state import GenerationState
from vocoder.wavenet.model import WaveNet

OUT_OF_MEMORY = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
SEEDS = torch.tensor([4, 5, 6])
SAMPLES = 6


class FailsAt:
    """Does as ``function``, but for its call number ``at``."""

    def __init__(self, function: Callable[..., object], failure: Exception, at: int) -> None:
        self.function, self.failure, self.left = function, failure, at

    def __call__(self, *given: object) -> object:
        self.left -= 1
        if self.left == 0:
            raise self.failure
        return self.function(*given)


@pytest.fixture
def model() -> WaveNet:
    return random_model(SMALL_CONFIGS["mu_law"])


@pytest.fixture(params=[TritonEngine, GraphEngine])
def engine(request: pytest.FixtureRequest, model: WaveNet) -> OnDevice:
    if request.param is TritonEngine:
        pytest.importorskip("triton")
    return OnDevice(request.param, model, weights="fp32")


def fail(
    engine: OnDevice, failure: Exception, monkeypatch: pytest.MonkeyPatch, at: int = 1
) -> None:
    """Let the engine's work before a launch fail: the gates, or the graph's copies."""
    if isinstance(engine.engine, TritonEngine):
        kept = engine.engine._project_gates
        monkeypatch.setattr(engine.engine, "_project_gates", FailsAt(kept, failure, at))
    else:
        monkeypatch.setattr(graph, "project", FailsAt(graph.project, failure, at))


def unmoved(state: GenerationState, before: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, before[name]) for name, tensor in snapshot(state).items())


def test_rows_go_on_in_smaller_numbers_where_memory_was_short(
    engine: OnDevice, model: WaveNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    conditioning, state = condition(model, 3), engine.start(3)
    first = engine.generate(state, conditioning, Noise(SEEDS, 3))
    before = snapshot(state)
    with monkeypatch.context() as patch:
        fail(engine, OUT_OF_MEMORY, patch)
        with pytest.raises(EngineError, match="too little memory for 3 samples of 3 streams"):
            engine.generate(state, conditioning, Noise(SEEDS, 3))
    assert unmoved(state, before)
    rest = [
        engine.generate(
            state, pick(conditioning, row), Noise(SEEDS[row : row + 1], 3), torch.tensor([row])
        )
        for row in range(3)
    ]
    whole = engine.generate(engine.start(3), conditioning, Noise(SEEDS, SAMPLES))
    assert torch.equal(torch.cat((first, torch.cat(rest)), dim=1), whole)


def test_a_failure_in_the_middle_says_so_and_rows_begin_anew(
    engine: OnDevice, model: WaveNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triton's rows stand where the launches before it left them, the graph's where they were."""
    monkeypatch.setattr(triton_engine, "GATE_BYTES", 1)  # 3 samples a launch
    monkeypatch.setattr(graph, "STEPS", 3)
    conditioning, state = condition(model, 3), engine.start(3)
    whole = engine.generate(state, conditioning, Noise(SEEDS, SAMPLES))
    state = engine.start(3)
    rows = torch.tensor([2, 0])
    with monkeypatch.context() as patch:
        fail(engine, OUT_OF_MEMORY, patch, at=2)
        with pytest.raises(EngineError, match="too little memory for 6 samples of 2 streams"):
            engine.generate(state, pick(conditioning, 2, 0), Noise(SEEDS[[2, 0]], SAMPLES), rows)
    moved = 3 if isinstance(engine.engine, TritonEngine) else 0
    assert state.position.tolist() == [moved, 0, moved]
    everyone = torch.arange(3, device=DEVICE)
    state.copy_rows(everyone, engine.start(3), everyone)
    assert torch.equal(engine.generate(state, conditioning, Noise(SEEDS, SAMPLES)), whole)


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (torch.AcceleratorError("CUDA error: unspecified launch failure\nmore"), "must be started"),
        (type("OutOfResources", (Exception,), {})("shared memory"), "too wide for .*: shared"),
    ],
)
def test_a_lost_device_and_a_model_too_wide_are_one_line(
    engine: OnDevice,
    model: WaveNet,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    said: str,
) -> None:
    state = engine.start(3)
    fail(engine, failure, monkeypatch)
    with pytest.raises(EngineError, match=said) as caught:
        engine.generate(state, condition(model, 3), Noise(SEEDS, 2))
    assert "\n" not in str(caught.value)
    assert state.position.tolist() == [0, 0, 0]


def test_too_many_streams_are_one_line(engine: OnDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OUT_OF_MEMORY

    monkeypatch.setattr(GenerationState, "start", full)
    with pytest.raises(EngineError, match="too little memory for the queues of 9 streams"):
        engine.start(9)


def test_what_fails_while_audio_is_read_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel's own failure shows only when its results are waited for."""
    from vocoder.generation.cuda.streams import StreamPool

    def lost(*_: object, **__: object) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nmore")

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: None)
    pool = StreamPool(torch.device("cuda"), 1)
    monkeypatch.setattr(torch, "empty", lost)
    with pytest.raises(EngineError, match=r"cuda failed at generating audio .*illegal memory"):
        pool.to_host(torch.ones(1))
