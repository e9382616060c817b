"""The kernel's noise is that of every other engine, to the bit."""

import pytest
import torch
from conftest import random_model
from devices import DEVICE, SMALL_CONFIGS, OnDevice
from generating import condition, generate_in_chunks

from vocoder.generation.cuda.engine import TritonEngine
from vocoder.generation.noise import Noise, philox, reference_uniforms
from vocoder.generation.reference import ReferenceEngine

pytest.importorskip("triton")

SEEDS = torch.tensor([0, 1, 7, -1, 2**63 - 1, -(2**63), 987654321987654321, -123456789012345678])
POSITIONS = torch.tensor([0, 5, 2**31 - 2, 2**32 - 2, 2**61, 2**63 - 4, 160_000, 2**40 + 3])


def drawn(seeds: torch.Tensor, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Words (n, 2), int64, and uniforms (n, 2) of the kernel's functions."""
    import sampling_kernel

    found = torch.full((len(seeds), 2), -1, dtype=torch.int64, device=DEVICE)
    uniforms = torch.full((len(seeds), 2), float("nan"), device=DEVICE)
    given = seeds.to(DEVICE), positions.to(DEVICE)
    sampling_kernel.draw[(1,)](*given, found, uniforms, ROWS=len(seeds))
    return found.cpu(), uniforms.cpu()


@pytest.mark.parametrize("later", [0, 1, 2, 3])
def test_words_and_uniforms_equal_the_definition(later: int) -> None:
    """Seeds that use all 64 bits, and positions that cross 2^31 and 2^32 on the way."""
    words, uniforms = drawn(SEEDS, POSITIONS + later)
    assert torch.equal(words, philox(SEEDS, POSITIONS + later)[:, :2])
    assert torch.equal(uniforms, reference_uniforms(SEEDS, POSITIONS + later, 1)[:, 0])


def test_either_half_of_seed_and_position_matters() -> None:
    bits = torch.tensor([0, 1, 2**31, 2**32, 2**62, -(2**63), 3, 5])
    zero = torch.zeros_like(bits)
    for seeds, positions in ((bits, zero), (zero, bits.abs())):
        assert len(drawn(seeds, positions)[0].unique(dim=0)) == len(bits)


@pytest.mark.parametrize("name", ["mu_law", "odd_linear_prediction"])
@pytest.mark.parametrize("start", [0, 2**32 - 4])
def test_audio_of_seeds_is_that_of_their_uniforms(name: str, start: int) -> None:
    """Rows at different positions, whole and in chunks, also where the counter's halves carry."""
    model = random_model(SMALL_CONFIGS[name])
    engine, given = OnDevice(TritonEngine, model), condition(model, 2)
    seeds, positions = torch.tensor([-5, 2**62 + 1]), torch.tensor([start, start + 1])
    conditioning = given._replace(first=positions // model.config.hold)
    whole = reference_uniforms(seeds, positions, 7)
    found = []
    for noises in (
        [whole],
        [Noise(seeds, 7)],
        [Noise(seeds, 3), whole[:, 3:5], Noise(seeds, 2)],
    ):
        state = engine.start(2)
        state.position[:] = positions.to(DEVICE)
        parts = [engine.generate(state, conditioning, noise) for noise in noises]
        found.append(torch.cat(parts, dim=1))
    assert torch.equal(found[1], found[0])
    assert torch.equal(found[2], found[0])


def test_a_trace_draws_from_seeds_too() -> None:
    from devices import signal_of

    model = random_model(SMALL_CONFIGS["logistics"])
    conditioning, seeds = condition(model, 2), torch.tensor([3, -4])
    signal, traces = signal_of(model, conditioning, 5), []
    for engine in (OnDevice(TritonEngine, model, weights="fp32"), ReferenceEngine(model)):
        traces.append(engine.trace(engine.start(2), conditioning, signal, Noise(seeds, 5)))
    assert (traces[0].audio - traces[1].audio).abs().max() < 1 / 32768 + 1e-6


def test_what_is_spoken_from_seeds_goes_on_in_chunks() -> None:
    model = random_model(SMALL_CONFIGS["mu_law"])
    engine, conditioning = OnDevice(TritonEngine, model, weights="fp32"), condition(model, 2)
    whole = engine.generate(engine.start(2), conditioning, Noise(torch.tensor([7, 8]), 9))
    assert torch.equal(generate_in_chunks(engine, conditioning, 9, 4), whole)
