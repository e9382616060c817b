"""The contract of all engines, tested on each of them."""

from collections.abc import Callable, Iterator

import pytest
import torch
from conftest import CONFIGS, random_model
from generating import condition, covered, generate_in_chunks, noise, pick

from vocoder.generation.cpu import CpuEngine
from vocoder.generation.dispatch import Engine
from vocoder.generation.noise import Noise
from vocoder.generation.reference import ReferenceEngine
from vocoder.native import library as native
from vocoder.wavenet.model import WaveNet

Make = Callable[..., Engine]

ENGINES = ["reference"] + [
    f"cpu {instructions} {weights}"
    for instructions in native.load().instruction_sets()
    for weights in ("fp32", "bf16", "int8")
]


@pytest.fixture(params=ENGINES)
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """A constructor of each engine, in each of its instruction sets and number formats."""
    if request.param == "reference":
        yield ReferenceEngine
        return
    _, instructions, weights = request.param.split()
    monkeypatch.setenv(native.INSTRUCTIONS_VARIABLE, instructions)
    yield lambda model, threads=1: CpuEngine(model, weights=weights, threads=threads)


def test_same_seed_same_bytes_in_chunks(make: Make, model: WaveNet) -> None:
    conditioning, engine = condition(model, rows=2), make(model)
    samples = covered(model, conditioning)
    whole = generate_in_chunks(engine, conditioning, samples, samples)
    for chunk in (13, model.config.features.hop_length):
        assert torch.equal(generate_in_chunks(engine, conditioning, samples, chunk), whole)
    assert torch.equal(generate_in_chunks(engine, conditioning, 70, 1), whole[:, :70])


@pytest.mark.parametrize("rows", [2, 5, 19])
def test_same_seed_same_bytes_in_any_batch(make: Make, model: WaveNet, rows: int) -> None:
    conditioning, engine = condition(model, rows, frames=1), make(model)
    samples = covered(model, conditioning)
    together = engine.generate(engine.start(rows), conditioning, noise(rows, samples))
    for row in (0, rows - 1):
        draws = noise(rows, samples)[row : row + 1]
        alone = engine.generate(engine.start(1), pick(conditioning, row), draws)
        assert torch.equal(alone[0], together[row])


def test_rows_at_different_positions_join_and_leave(make: Make, model: WaveNet) -> None:
    conditioning, engine = condition(model, rows=2), make(model)
    samples = covered(model, conditioning)
    alone = generate_in_chunks(engine, conditioning, samples, samples)
    state, draws = engine.start(2), noise(2, alone.shape[1])
    early, both = torch.tensor([0]), torch.tensor([1, 0])
    late = 11
    first = engine.generate(state, pick(conditioning, 0), draws[:1, :late], early)
    steps = alone.shape[1] - late
    shifted = torch.stack((draws[1, :steps], draws[0, late:]))
    rest = engine.generate(state, pick(conditioning, 1, 0), shifted, both)
    assert torch.equal(torch.cat((first[0], rest[1])), alone[0])
    assert torch.equal(rest[0], alone[1, :steps])
    assert state.position.tolist() == [alone.shape[1], steps]


def test_seeds_give_the_same_audio_as_their_uniforms(make: Make, model: WaveNet) -> None:
    """For rows at different positions, in an order other than the state's."""
    conditioning, engine = condition(model, rows=3), make(model)
    seeds, late, steps = torch.tensor([2**63 - 1, -5, 7]), 11, 40
    states, found = [engine.start(3), engine.start(3)], []
    rows, zero = torch.tensor([2, 0]), torch.zeros(1, dtype=torch.int64)
    for state, drawn in zip(states, (False, True), strict=True):
        early = Noise(seeds[2:], late)
        both = Noise(seeds[rows], steps)
        first, second = early, both
        if drawn:
            first = early.uniforms(zero)
            second = both.uniforms(torch.tensor([late, 0]))
        engine.generate(state, pick(conditioning, 2), first, rows[:1])
        found.append(engine.generate(state, pick(conditioning, 2, 0), second, rows, covered=True))
    assert torch.equal(*found)
    assert states[0].position.tolist() == [steps, 0, late + steps]


def test_a_restored_state_continues_with_the_same_bytes(make: Make, model: WaveNet) -> None:
    conditioning, engine = condition(model, rows=2), make(model)
    samples = covered(model, conditioning)
    whole = generate_in_chunks(engine, conditioning, samples, samples)
    state, cut = engine.start(2), 23
    engine.generate(state, conditioning, noise(2, cut))
    saved = {name: tensor.clone() for name, tensor in state.tensors().items()}
    engine.generate(state, conditioning, noise(2, 5, cut))
    restored = engine.start(2)
    restored.load(saved)
    rest = engine.generate(restored, conditioning, noise(2, whole.shape[1] - cut, cut))
    assert torch.equal(rest, whole[:, cut:])


def test_a_window_of_the_conditioning_replaces_the_whole(make: Make, model: WaveNet) -> None:
    conditioning, engine = condition(model, rows=1), make(model)
    hop, hold = model.config.features.hop_length, model.config.hold
    samples = covered(model, conditioning)
    whole = generate_in_chunks(engine, conditioning, samples, samples)
    state = engine.start(1)
    engine.generate(state, conditioning, noise(1, hop + 3))
    window = pick(conditioning, 0, first=hop // hold)
    rest = engine.generate(state, window, noise(1, hop, hop + 3))
    assert torch.equal(rest, whole[:, hop + 3 : 2 * hop + 3])


def test_conditioning_that_ends_too_early_is_refused(make: Make) -> None:
    model = random_model(CONFIGS["mu_law"])
    engine = make(model)
    with pytest.raises(ValueError, match="blocks 0 to 4"):
        engine.generate(engine.start(1), condition(model, 1, frames=1), noise(1, 201))


def test_copied_rows_are_independent(make: Make, model: WaveNet) -> None:
    conditioning, engine = condition(model, rows=1), make(model)
    state = engine.start(1)
    engine.generate(state, conditioning, noise(1, 30))
    twin = engine.start(2)
    twin.copy_rows(torch.tensor([1]), state, torch.tensor([0]))
    assert torch.equal(twin.position, torch.tensor([0, 30]))
    expected = engine.generate(state, conditioning, noise(1, 20, 30))
    found = engine.generate(twin, conditioning, noise(1, 20, 30), torch.tensor([1]))
    assert torch.equal(found, expected)


def test_one_thread_and_several_give_the_same_bytes(make: Make, model: WaveNet) -> None:
    conditioning, rows = condition(model, rows=7, frames=1), 7
    samples = covered(model, conditioning)
    found = []
    for threads in (1, 2, 3):
        engine = make(model, threads=threads)
        state = engine.start(rows)
        audio = engine.generate(state, conditioning, noise(rows, samples))
        found.append([audio, *state.tensors().values()])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))
