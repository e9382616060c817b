"""The contract of the engines for models whose step generates a sample of each band."""

from collections.abc import Callable

import pytest
import torch
from conftest import BANDED, random_model
from generating import condition, covered, cut, generate_in_chunks, noise, pick
from tolerances import STATE_AGAINST_PARALLEL, STEP_AGAINST_PARALLEL, assert_close
from torch import Tensor

from vocoder.errors import EngineError
from vocoder.generation import dispatch
from vocoder.generation.cpu import CpuEngine
from vocoder.generation.cuda.engine import TritonEngine
from vocoder.generation.cuda.graph import GraphEngine
from vocoder.generation.dispatch import Engine
from vocoder.generation.noise import Noise
from vocoder.generation.reference import ReferenceEngine
from vocoder.generation.state import GenerationState
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.model import Signal, WaveNet

ENGINES = pytest.mark.parametrize("make", [ReferenceEngine, CpuEngine])
STEPS = 60
"""More than the largest ring of the tiny models, in steps."""


@pytest.fixture(params=BANDED)
def model(request: pytest.FixtureRequest) -> WaveNet:
    return random_model(BANDED[request.param])


def known(model: WaveNet, rows: int) -> tuple[Conditioning, Tensor, Signal]:
    """Conditioning, noise as loud as speech, and that noise in the model's representation."""
    conditioning = condition(model, rows)
    generator = torch.Generator().manual_seed(3)
    audio = torch.randn(rows, covered(model, conditioning), generator=generator) * 0.1
    with torch.inference_mode():
        return conditioning, audio, model.signal(audio, conditioning.prediction)


def traced(
    model: WaveNet,
    samples: int,
    chunk: int,
    fault: Callable[[GenerationState], object] = lambda state: None,
) -> Tensor:
    """Parameters along the known signal; ``fault`` changes the state before the second chunk."""
    conditioning, _, signal = known(model, 2)
    engine, found = ReferenceEngine(model), []
    state = engine.start(2)
    for position in range(0, samples, chunk):
        if position == chunk:
            fault(state)
        part = cut(signal, position, min(position + chunk, samples))
        draws = noise(2, part.samples.shape[1], position)
        found.append(engine.trace(state, conditioning, part, draws).parameters)
    return torch.cat(found, dim=1)


@torch.inference_mode()
def parallel(model: WaveNet, samples: int) -> Tensor:
    conditioning, audio, _ = known(model, 2)
    return model(audio, conditioning)[:, :samples]


@pytest.mark.parametrize("steps", [1, 7, STEPS])
def test_step_equals_parallel_forward(model: WaveNet, steps: int) -> None:
    bands = model.config.bands
    found = traced(model, STEPS * bands, steps * bands)
    assert_close(found, parallel(model, STEPS * bands), STEP_AGAINST_PARALLEL)


@pytest.mark.parametrize(
    "fault",
    [
        lambda state: state.history.copy_(state.history.roll(1, 2)),
        lambda state: state.history.copy_(state.history.roll(1, 1)),
        lambda state: state.history[:, -1].zero_(),
        lambda state: state.sample.copy_(state.sample.roll(1, 1)),
        lambda state: state.excitation.copy_(state.excitation.roll(1, 1)),
    ],
    ids=["stale history", "histories swapped", "no history", "samples swapped", "excitations"],
)
def test_the_comparison_catches_a_fault_in_one_band(
    fault: Callable[[GenerationState], object],
) -> None:
    model = random_model(BANDED["bands_4"])
    found = traced(model, 40 * 4, 20 * 4, fault)
    with pytest.raises(AssertionError, match="differs"):
        assert_close(found, parallel(model, 40 * 4), STEP_AGAINST_PARALLEL)


def test_a_step_does_not_depend_on_its_own_bands(model: WaveNet) -> None:
    """All bands of a step are drawn from the steps before it."""
    conditioning, bands = condition(model, 1), model.config.bands
    engine = ReferenceEngine(model)
    draws = noise(1, STEPS * bands)
    other = draws.clone()
    other[:, 20 * bands] = 1 - other[:, 20 * bands]
    one, two = (
        engine.generate(engine.start(1), conditioning, each).unflatten(1, (-1, bands))
        for each in (draws, other)
    )
    assert torch.equal(one[:, :20], two[:, :20])
    assert torch.equal(one[:, 20, 1:], two[:, 20, 1:])
    assert not torch.equal(one[:, 20, 0], two[:, 20, 0])
    assert not torch.equal(one[:, 21:], two[:, 21:])


def test_queues_hold_the_parallel_activations(model: WaveNet) -> None:
    conditioning, audio, signal = known(model, 2)
    engine, state = ReferenceEngine(model), ReferenceEngine(model).start(2)
    samples = audio.shape[1]
    engine.trace(state, conditioning, signal, noise(2, samples))
    assert state.position.tolist() == [samples, samples]
    with torch.inference_mode():
        x = model.input(model.inputs(signal))
        gates = model.stack.project(conditioning.local, conditioning.speaker, model.context(audio))
        layers = gates.chunk(model.config.stack.layers, dim=-1)
        for block, ring, gate in zip(
            model.stack.blocks, state.stacks[0].buffers, layers, strict=True
        ):
            steps, length = x.shape[1], ring.shape[1]
            slots = torch.arange(steps - length, steps) % length
            assert_close(ring[:, slots], x[:, steps - length :], STATE_AGAINST_PARALLEL)
            x, _ = block(x, gate)


@ENGINES
def test_same_seed_same_bytes_in_chunks_and_in_any_batch(
    model: WaveNet, make: Callable[[WaveNet], Engine]
) -> None:
    engine = make(model)
    conditioning, bands = condition(model, rows=2), model.config.bands
    samples = STEPS * bands
    whole = generate_in_chunks(engine, conditioning, samples, samples)
    for chunk in (bands, 13 * bands):
        assert torch.equal(generate_in_chunks(engine, conditioning, samples, chunk), whole)
    for row in range(2):
        draws = noise(2, samples)[row : row + 1]
        alone = engine.generate(engine.start(1), pick(conditioning, row), draws)
        assert torch.equal(alone[0], whole[row])


@ENGINES
def test_a_band_sample_draws_the_noise_of_its_own_index(
    model: WaveNet, make: Callable[[WaveNet], Engine]
) -> None:
    conditioning, bands = condition(model, rows=2), model.config.bands
    engine, seeds = make(model), torch.tensor([3, 2**63 - 1])
    found = engine.generate(engine.start(2), conditioning, Noise(seeds, 20 * bands))
    draws = Noise(seeds, 20 * bands).uniforms(torch.zeros(2, dtype=torch.int64))
    state = engine.start(2)
    first = engine.generate(state, conditioning, draws[:, : 9 * bands])
    rest = engine.generate(state, conditioning, Noise(seeds, 11 * bands))
    assert torch.equal(found, torch.cat((first, rest), dim=1))


@ENGINES
def test_band_samples_stay_on_their_grid_and_in_their_range(
    make: Callable[[WaveNet], Engine],
) -> None:
    model = random_model(BANDED["bands_4"])
    with torch.no_grad():
        model.output.bias += 5.0
    conditioning = condition(model, rows=1)
    loud = conditioning.prediction
    assert loud is not None
    conditioning = conditioning._replace(prediction=loud._replace(gain=loud.gain * 1e4))
    engine = make(model)
    audio = engine.generate(engine.start(1), conditioning, noise(1, 200))
    assert torch.equal((audio * 32768).round(), audio * 32768)
    assert audio.abs().max() <= 4.0
    assert audio.abs().max() > 1.0


@ENGINES
def test_part_of_a_step_is_refused(make: Callable[[WaveNet], Engine]) -> None:
    model = random_model(BANDED["bands_4"])
    engine = make(model)
    with pytest.raises(ValueError, match="10 samples are not whole steps: a step has 4"):
        engine.generate(engine.start(1), condition(model, 1), noise(1, 10))


@pytest.mark.parametrize("engine", [TritonEngine, GraphEngine])
def test_an_engine_without_bands_refuses_them(engine: type[Engine]) -> None:
    model = random_model(BANDED["bands_2_gaussian"])
    with pytest.raises(EngineError, match="a step of 2 bands runs on"):
        engine(model)


def test_auto_chooses_an_engine_that_has_bands() -> None:
    choice = dispatch.choose(BANDED["bands_4"], torch.device("cpu"))
    assert choice.engine is CpuEngine
