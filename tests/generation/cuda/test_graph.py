"""The CUDA graph's step against the reference; without a GPU the step is called, not replayed."""

import pytest
import torch
from conftest import CONFIGS, random_model
from devices import DEVICE, OnDevice, signal_of, snapshot
from generating import condition, covered, cut, generate_in_chunks, noise, pick
from tolerances import ENGINE_PARAMETERS, ENGINE_STATE, assert_close

from vocoder.errors import EngineError
from vocoder.generation.cuda import graph
from vocoder.generation.cuda.graph import GraphEngine
from vocoder.generation.reference import ReferenceEngine
from vocoder.wavenet.model import WaveNet

ONE_STEP = 1 / 32768 + 1e-6


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "STEPS", 16)


def test_parameters_draws_and_state_equal_the_reference(model: WaveNet) -> None:
    """Rows at different positions, in numbers that do not fill the graph, over several pieces."""
    conditioning = condition(model, 3, frames=1)
    signal, draws = signal_of(model, conditioning, 50), noise(3, 50)
    found = []
    for engine in (OnDevice(GraphEngine, model), ReferenceEngine(model)):
        state = engine.start(4)
        early, all_three = torch.tensor([3]), torch.tensor([2, 3, 0])
        one = pick_signal(signal, 1)
        first = engine.trace(state, pick(conditioning, 1), cut(one, 0, 7), draws[1:2, :7], early)
        rest = engine.trace(state, conditioning, cut(signal, 0, 43), draws[:, :43], all_three)
        found.append((first, rest, snapshot(state)))
    (ours, our_rest, our_state), (theirs, their_rest, their_state) = found
    assert_close(ours.parameters, theirs.parameters, ENGINE_PARAMETERS["fp32"])
    assert_close(our_rest.parameters, their_rest.parameters, ENGINE_PARAMETERS["fp32"])
    assert_close(our_rest.audio, their_rest.audio, ONE_STEP)
    for name, tensor in their_state.items():
        if tensor.numel():
            assert_close(our_state[name], tensor, ENGINE_STATE["fp32"])


def pick_signal(signal, *rows: int):
    return type(signal)(*(None if part is None else part[list(rows)] for part in signal))


def test_same_bytes_in_chunks(model: WaveNet) -> None:
    conditioning, engine = condition(model, 2, frames=1), OnDevice(GraphEngine, model)
    samples = min(60, covered(model, conditioning))
    whole = generate_in_chunks(engine, conditioning, samples, samples)
    assert torch.equal(generate_in_chunks(engine, conditioning, samples, 13), whole)
    assert torch.equal(generate_in_chunks(engine, conditioning, 5, 1), whole[:, :5])
    reference = generate_in_chunks(ReferenceEngine(model), conditioning, samples, samples)
    mu_law = model.config.distribution.kind == "mu_law"
    assert_close(whole, reference, 1e-6 if mu_law else 10 * ONE_STEP)


@pytest.mark.parametrize("name", ["linear_prediction", "contexts"])
def test_rows_that_wait_keep_every_byte(name: str) -> None:
    model = random_model(CONFIGS[name])
    engine, conditioning = OnDevice(GraphEngine, model), condition(model, 1)
    state = engine.start(3)
    for tensor in state.tensors().values():
        if tensor.is_floating_point():
            tensor[::2] = float("nan")
    before = snapshot(state)
    audio = engine.generate(state, conditioning, noise(1, 20), torch.tensor([1]))
    assert audio.isfinite().all()
    for tensor, was in zip(snapshot(state).values(), before.values(), strict=True):
        assert torch.equal(tensor[::2].nan_to_num(7.0), was[::2].nan_to_num(7.0))


def test_conditioning_that_ends_too_early_moves_nothing() -> None:
    model = random_model(CONFIGS["mu_law"])
    engine = OnDevice(GraphEngine, model)
    state = engine.start(1)
    with pytest.raises(ValueError, match="blocks 0 to 4"):
        engine.generate(state, condition(model, 1, frames=1), noise(1, 201))
    assert state.position.tolist() == [0]


def test_there_is_one_graph_for_each_power_of_two() -> None:
    model = random_model(CONFIGS["mu_law"])
    engine, conditioning = OnDevice(GraphEngine, model), condition(model, 8)
    for rows in (1, 3, 4, 5, 8):
        given = pick(conditioning, *range(rows))
        engine.generate(engine.start(rows), given, noise(rows, 2))
    assert sorted(rows for rows, _ in engine.engine._loops) == [1, 4, 8]


def test_too_little_memory_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    model = random_model(CONFIGS["mu_law"])
    engine = OnDevice(GraphEngine, model)
    monkeypatch.setattr(graph._Loop, "allocate", full)
    with pytest.raises(EngineError, match="too little memory for a graph of 2 streams"):
        engine.generate(engine.start(2), condition(model, 2), noise(2, 1))


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE.type != "cuda", reason="records a CUDA graph: there is no GPU")
def test_it_is_replayed_on_a_gpu() -> None:
    model = random_model(CONFIGS["mu_law"])
    engine = OnDevice(GraphEngine, model)
    engine.generate(engine.start(1), condition(model, 1), noise(1, 2))
    (loop,) = engine.engine._loops.values()
    assert loop.replay.__name__ == "replay"
