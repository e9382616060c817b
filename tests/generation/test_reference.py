import pytest
import torch
from conftest import CONFIGS, random_mel, random_model
from tolerances import STATE_AGAINST_PARALLEL, STEP_AGAINST_PARALLEL, assert_close

from vocoder.generation.noise import uniforms
from vocoder.generation.reference import ReferenceEngine
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.linear_prediction import LinearPrediction
from vocoder.wavenet.model import WaveNet

FRAMES = 3


def condition(model: WaveNet, rows: int, frames: int = FRAMES) -> Conditioning:
    speakers = torch.eye(3)[torch.arange(rows) % 3]
    with torch.inference_mode():
        return model.condition(random_mel(model.config, rows, frames), speakers)


def pick(conditioning: Conditioning, row: int, first: int = 0) -> Conditioning:
    """One row, from its block ``first`` on."""
    one = slice(row, row + 1)
    prediction = conditioning.prediction
    if prediction is not None:
        prediction = LinearPrediction(*(part[one, first:] for part in prediction))
    return Conditioning(
        conditioning.local[one, first:],
        conditioning.speaker[one],
        prediction,
        conditioning.first[one] + first,
    )


def noise(rows: int, steps: int, position: int = 0) -> torch.Tensor:
    return uniforms(torch.arange(rows) + 7, torch.full((rows,), position), steps)


def generate_in_chunks(model: WaveNet, conditioning: Conditioning, chunk: int) -> torch.Tensor:
    engine = ReferenceEngine(model)
    rows = conditioning.local.shape[0]
    state, parts = engine.start(rows), []
    samples = conditioning.blocks * model.config.hold
    for position in range(0, samples, chunk):
        steps = min(chunk, samples - position)
        parts.append(engine.generate(state, conditioning, noise(rows, steps, position)))
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("chunk", ["1", "7", "hop", "whole"])
def test_step_equals_parallel_forward(model: WaveNet, chunk: str) -> None:
    hop = model.config.features.hop_length
    size = {"1": 1, "7": 7, "hop": hop, "whole": FRAMES * hop}[chunk]
    conditioning = condition(model, rows=3)
    audio = generate_in_chunks(model, conditioning, size)
    with torch.inference_mode():
        signal = model.signal(audio, conditioning.prediction)
        expected = model(audio, conditioning)
    engine, state, found = ReferenceEngine(model), None, []
    state = engine.start(3)
    for position in range(0, audio.shape[1], size):
        part = type(signal)(
            *(None if s is None else s[:, position : position + size] for s in signal)
        )
        found.append(engine.trace(state, conditioning, part, noise(3, part.samples.shape[1]))[0])
    assert_close(torch.cat(found, dim=1), expected, STEP_AGAINST_PARALLEL)


def test_step_equals_parallel_at_one_sample_and_below_the_receptive_field(model: WaveNet) -> None:
    engine = ReferenceEngine(model)
    for samples in (1, 2, model.config.receptive_field - 1):
        conditioning = condition(model, rows=1)
        audio = engine.generate(engine.start(1), conditioning, noise(1, samples))
        whole = torch.nn.functional.pad(
            audio, (0, conditioning.blocks * model.config.hold - samples)
        )
        with torch.inference_mode():
            signal = model.signal(whole, conditioning.prediction)
            signal = type(signal)(*(None if s is None else s[:, :samples] for s in signal))
            expected = model(audio, conditioning)
        found, _ = engine.trace(engine.start(1), conditioning, signal, noise(1, samples))
        assert_close(found, expected, STEP_AGAINST_PARALLEL)


def test_queues_hold_the_parallel_activations(model: WaveNet) -> None:
    conditioning, engine = condition(model, rows=2), ReferenceEngine(model)
    samples = conditioning.blocks * model.config.hold
    state = engine.start(2)
    audio = engine.generate(state, conditioning, noise(2, samples))
    with torch.inference_mode():
        x = model.input(model.inputs(model.signal(audio, conditioning.prediction)))
        gates = model.stack.project(conditioning.local, conditioning.speaker)
        layers = gates.chunk(model.config.stack.layers, dim=-1)
        for block, ring, gate in zip(
            model.stack.blocks, state.stacks[0].buffers, layers, strict=True
        ):
            length = ring.shape[1]
            slots = torch.arange(samples - length, samples) % length
            assert_close(ring[:, slots], x[:, samples - length :], STATE_AGAINST_PARALLEL)
            x, _ = block(x, gate)


def test_same_seed_same_bytes_in_chunks(model: WaveNet) -> None:
    conditioning = condition(model, rows=2)
    whole = generate_in_chunks(model, conditioning, 10**6)
    for chunk in (13, model.config.features.hop_length):
        assert torch.equal(generate_in_chunks(model, conditioning, chunk), whole)


def test_same_seed_same_bytes_among_strangers(model: WaveNet) -> None:
    conditioning, engine = condition(model, rows=5), ReferenceEngine(model)
    samples = conditioning.blocks * model.config.hold
    together = engine.generate(engine.start(5), conditioning, noise(5, samples))
    for row in (0, 4):
        draws = noise(5, samples)[row : row + 1]
        alone = engine.generate(engine.start(1), pick(conditioning, row), draws)
        assert torch.equal(alone[0], together[row])


def test_rows_at_different_positions_join_and_leave(model: WaveNet) -> None:
    conditioning, engine = condition(model, rows=2), ReferenceEngine(model)
    alone = generate_in_chunks(model, conditioning, 10**6)
    state, draws = engine.start(2), noise(2, alone.shape[1])
    early, both = torch.tensor([0]), torch.tensor([1, 0])
    late = 11
    first = engine.generate(state, pick(conditioning, 0), draws[:1, :late], early)
    order = Conditioning(
        conditioning.local[both],
        conditioning.speaker[both],
        None
        if conditioning.prediction is None
        else LinearPrediction(*(part[both] for part in conditioning.prediction)),
        conditioning.first[both],
    )
    steps = alone.shape[1] - late
    shifted = torch.stack((draws[1, :steps], draws[0, late:]))
    rest = engine.generate(state, order, shifted, both)
    assert torch.equal(torch.cat((first[0], rest[1])), alone[0])
    assert torch.equal(rest[0], alone[1, :steps])
    assert state.position.tolist() == [alone.shape[1], steps]


def test_saved_and_restored_state_goes_on_with_the_same_bytes(model: WaveNet) -> None:
    conditioning, engine = condition(model, rows=2), ReferenceEngine(model)
    whole = generate_in_chunks(model, conditioning, 10**6)
    state, cut = engine.start(2), 23
    engine.generate(state, conditioning, noise(2, cut))
    saved = {name: tensor.clone() for name, tensor in state.tensors().items()}
    engine.generate(state, conditioning, noise(2, 5, cut))
    restored = engine.start(2)
    restored.load(saved)
    rest = engine.generate(restored, conditioning, noise(2, whole.shape[1] - cut, cut))
    assert torch.equal(rest, whole[:, cut:])


def test_a_window_of_the_conditioning_serves_as_the_whole(model: WaveNet) -> None:
    conditioning, engine = condition(model, rows=1), ReferenceEngine(model)
    whole = generate_in_chunks(model, conditioning, 10**6)
    hop, hold = model.config.features.hop_length, model.config.hold
    state = engine.start(1)
    engine.generate(state, conditioning, noise(1, hop + 3))
    window = pick(conditioning, 0, first=hop // hold)
    rest = engine.generate(state, window, noise(1, hop, hop + 3))
    assert torch.equal(rest, whole[:, hop + 3 : 2 * hop + 3])


def test_conditioning_that_ends_too_early_is_refused() -> None:
    model = random_model(CONFIGS["mu_law"])
    engine = ReferenceEngine(model)
    with pytest.raises(ValueError, match="blocks 0 to 4"):
        engine.generate(engine.start(1), condition(model, 1, frames=1), noise(1, 201))


def test_copied_rows_are_independent(model: WaveNet) -> None:
    conditioning, engine = condition(model, rows=1), ReferenceEngine(model)
    state = engine.start(1)
    engine.generate(state, conditioning, noise(1, 30))
    twin = engine.start(2)
    twin.copy_rows(torch.tensor([1]), state, torch.tensor([0]))
    assert torch.equal(twin.position, torch.tensor([0, 30]))
    expected = engine.generate(state, conditioning, noise(1, 20, 30))
    found = engine.generate(twin, conditioning, noise(1, 20, 30), torch.tensor([1]))
    assert torch.equal(found, expected)


def test_the_comparison_catches_an_off_by_one_queue() -> None:
    """The equality helper fails on a planted fault: one layer's queue turned by one slot."""
    model = random_model(CONFIGS["logistics"])
    conditioning, engine = condition(model, rows=1), ReferenceEngine(model)
    audio = generate_in_chunks(model, conditioning, 10**6)
    signal = model.signal(audio, None)
    state = engine.start(1)
    head = type(signal)(*(None if s is None else s[:, :50] for s in signal))
    tail = type(signal)(*(None if s is None else s[:, 50:] for s in signal))
    engine.trace(state, conditioning, head, noise(1, 50))
    ring = state.stacks[0].buffers[2]
    ring.copy_(ring.roll(1, dims=1))
    found, _ = engine.trace(state, conditioning, tail, noise(1, tail.samples.shape[1]))
    with torch.inference_mode():
        expected = model(audio, conditioning)[:, 50:]
    with pytest.raises(AssertionError, match="differs"):
        assert_close(found, expected, STEP_AGAINST_PARALLEL)
