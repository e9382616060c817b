"""The native engine against the reference, along the same known signal."""

import math
import threading
from typing import NamedTuple

import pytest
import torch
from conftest import BANDED, CONFIGS, random_model
from generating import condition, cut, generate_in_chunks, noise, pick
from joblib.externals.loky.backend import context
from tolerances import DRAW, ENGINE_PARAMETERS, ENGINE_STATE, assert_close

from vocoder.config import GaussianConfig, LogisticsConfig, ModelConfig, MuLawConfig
from vocoder.errors import EngineError
from vocoder.generation import dispatch
from vocoder.generation.cpu import CpuEngine
from vocoder.generation.reference import ReferenceEngine
from vocoder.generation.state import GenerationState, Trace
from vocoder.machine import processors
from vocoder.native import library as native
from vocoder.presets import PRESETS
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.model import Signal, WaveNet

INSTRUCTION_SETS = native.load().instruction_sets()
SAMPLES = 2496
MODELS: dict[str, ModelConfig] = {
    **CONFIGS,
    **BANDED,
    **PRESETS,
    "standard_logistics": PRESETS["standard"].model_copy(
        update={"distribution": LogisticsConfig()}
    ),
}


class Known(NamedTuple):
    """A model, a signal, and the reference's trace of it."""

    model: WaveNet
    conditioning: Conditioning
    signal: Signal
    state: GenerationState
    trace: Trace


@pytest.fixture(scope="module", params=MODELS)
def known(request: pytest.FixtureRequest) -> Known:
    """Each configuration with 2,496 samples of noise, as loud as speech."""
    model = random_model(MODELS[request.param])
    hop, hold = model.config.features.hop_length, model.config.hold
    conditioning = condition(model, 1, frames=-(-SAMPLES // hop))
    generator = torch.Generator().manual_seed(3)
    audio = torch.randn(1, conditioning.blocks * hold, generator=generator) * 0.1
    with torch.inference_mode():
        signal = model.signal(audio, conditioning.prediction)
    signal = Signal(*(None if part is None else part[:, :SAMPLES] for part in signal))
    engine = ReferenceEngine(model)
    state = engine.start(1)
    trace = engine.trace(state, conditioning, signal, noise(1, SAMPLES))
    return Known(model, conditioning, signal, state, trace)


def follow(
    known: Known, instructions: str, weights: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[GenerationState, Trace]:
    monkeypatch.setenv(native.INSTRUCTIONS_VARIABLE, instructions)
    engine = CpuEngine(known.model, weights=weights, threads=1)
    state = engine.start(1)
    return state, engine.trace(state, known.conditioning, known.signal, noise(1, SAMPLES))


@pytest.mark.parametrize("weights", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("instructions", INSTRUCTION_SETS)
def test_parameters_and_state_equal_the_reference(
    known: Known, instructions: str, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, trace = follow(known, instructions, weights, monkeypatch)
    assert_close(trace.parameters, known.trace.parameters, ENGINE_PARAMETERS[weights])
    for name, tensor in known.state.tensors().items():
        if not tensor.numel():
            continue
        exact = name in ("position", "code")
        limit = 0.0 if exact else ENGINE_STATE[weights]
        assert_close(state.tensors()[name], tensor, limit)


@pytest.mark.parametrize("instructions", INSTRUCTION_SETS)
def test_draws_differ_only_at_a_boundary(
    known: Known, instructions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, trace = follow(known, instructions, "fp32", monkeypatch)
    differs = ((trace.audio - known.trace.audio).abs() > 1e-6)[0]
    assert differs.float().mean() < 0.01
    distances = boundary_distance(known)[0, differs]
    assert (distances < DRAW["fp32"]).all(), distances.max()


def boundary_distance(known: Known) -> torch.Tensor:
    """Distance of each of the reference's draws from the nearest change of its outcome (1, T)."""
    parameters, draws = known.trace.parameters.double(), noise(1, SAMPLES).double()
    distribution = known.model.config.distribution
    if isinstance(distribution, GaussianConfig):
        location, log_scale = parameters.unbind(-1)
        turn = 2 * math.pi * draws[..., 1]
        quantile = (-2 * draws[..., 0].log()).sqrt() * turn.cos()
        choice = torch.full_like(location, math.inf)
    else:
        weights, *of_components = (
            parameters.chunk(3, dim=-1)
            if isinstance(distribution, LogisticsConfig)
            else (parameters,)
        )
        cumulative = weights.softmax(-1).cumsum(-1)
        choice = (cumulative - draws[..., :1]).abs().amin(-1)
        if isinstance(distribution, MuLawConfig):
            return choice
        component = (cumulative < draws[..., :1]).sum(-1, keepdim=True)
        location, log_scale = (part.gather(-1, component)[..., 0] for part in of_components)
        quantile = draws[..., 1].log() - (-draws[..., 1]).log1p()
    scale = log_scale.clamp_min(distribution.log_scale_min).exp()
    sample = known.signal.shift + known.signal.gain * (location + scale * quantile)
    steps = sample * 32768
    half_way = ((steps - steps.floor()) - 0.5).abs()
    return torch.minimum(choice, half_way * 1e-3)


def test_the_comparison_catches_a_ring_that_is_off_by_one() -> None:
    model = random_model(CONFIGS["logistics"])
    conditioning = condition(model, rows=1)
    engine, reference = CpuEngine(model, weights="fp32"), ReferenceEngine(model)
    ours, theirs = engine.start(1), reference.start(1)
    for each, state in ((engine, ours), (reference, theirs)):
        each.generate(state, conditioning, noise(1, 50))
    ring = ours.stacks[0].buffers[2]
    ring.copy_(ring.roll(1, dims=1))
    rest = noise(1, 50, 50)
    signal = model.signal(torch.zeros(1, 600), None)
    signal = Signal(*(None if part is None else part[:, :50] for part in signal))
    found = engine.trace(ours, conditioning, signal, rest).parameters
    expected = reference.trace(theirs, conditioning, signal, rest).parameters
    with pytest.raises(AssertionError, match="differs"):
        assert_close(found, expected, ENGINE_PARAMETERS["fp32"])


def test_a_poisoned_ring_shows() -> None:
    """The network does not clamp NaN away."""
    model = random_model(CONFIGS["logistics"])
    for weights in ("fp32", "bf16"):
        engine = CpuEngine(model, weights=weights)
        state = engine.start(1)
        state.stacks[0].buffers[0].fill_(float("nan"))
        audio = engine.generate(state, condition(model, 1), noise(1, 1))
        assert audio.isnan().all()


def test_the_comparison_catches_a_context_of_the_window_before() -> None:
    """Using the output of the previous window changes the parameters."""
    model = random_model(CONFIGS["contexts"])
    conditioning = condition(model, rows=1)
    engine, reference = CpuEngine(model, weights="fp32"), ReferenceEngine(model)
    ours, theirs = engine.start(1), reference.start(1)
    before = ours.contexts[0].clone()
    for each, state in ((engine, ours), (reference, theirs)):
        each.generate(state, conditioning, noise(1, 90))
    assert_close(ours.contexts[0], theirs.contexts[0], ENGINE_STATE["fp32"])
    ours.contexts[0].copy_(before)
    rest = noise(1, 10, 90)
    signal = cut(model.signal(torch.zeros(1, 600), None), 0, 10)
    found = engine.trace(ours, conditioning, signal, rest).parameters
    expected = reference.trace(theirs, conditioning, signal, rest).parameters
    with pytest.raises(AssertionError, match="differs"):
        assert_close(found, expected, ENGINE_PARAMETERS["fp32"])


def test_rows_whose_windows_end_at_different_samples_equal_each_alone() -> None:
    """A full tile; every row is some samples ahead of the previous one."""
    model = random_model(CONFIGS["contexts_hold_1"])
    conditioning = condition(model, rows=16, frames=1)
    engine, apart = CpuEngine(model, threads=1), torch.arange(16) * 3
    state, draws = engine.start(16), noise(16, 200)
    alone = engine.start(16)
    for row in range(16):
        one, index = pick(conditioning, row), torch.tensor([row])
        engine.generate(state, one, draws[row : row + 1, : apart[row]], index)
        engine.generate(alone, one, draws[row : row + 1, : apart[row] + 50], index)
    rest = torch.stack([draws[row, apart[row] : apart[row] + 50] for row in range(16)])
    engine.generate(state, conditioning, rest)
    for name, tensor in alone.tensors().items():
        assert torch.equal(state.tensors()[name], tensor), name


def test_a_poisoned_context_stays_in_its_row() -> None:
    """Rows share scratch memory with stacks of several widths."""
    model = random_model(CONFIGS["contexts_hold_1"])
    conditioning = condition(model, rows=2, frames=1)
    for weights in ("fp32", "bf16", "int8"):
        engine = CpuEngine(model, weights=weights, threads=1)
        clean, poisoned = engine.start(2), engine.start(2)
        for window in poisoned.windows:
            window[0].fill_(float("nan"))
        for ring in poisoned.stacks[1].buffers:
            ring[0].fill_(float("nan"))
        expected = engine.generate(clean, conditioning, noise(2, 80))
        found = engine.generate(poisoned, conditioning, noise(2, 4))
        assert poisoned.contexts[0][0].isnan().all()
        rest = engine.generate(poisoned, conditioning, noise(2, 76, 4))
        assert torch.equal(torch.cat((found[1], rest[1])), expected[1])


def test_other_threads_run_while_it_generates() -> None:
    model = random_model(PRESETS["small"])
    engine, conditioning = CpuEngine(model, weights="fp32"), condition(model, 1, frames=60)
    state, draws = engine.start(1), noise(1, 12000)
    thread = threading.Thread(target=lambda: engine.generate(state, conditioning, draws))
    turns = 0
    thread.start()
    while thread.is_alive():
        turns += 1
        thread.join(0.001)
    assert turns > 5


def test_state_stays_finite_and_memory_does_not_grow() -> None:
    import resource

    model = random_model(PRESETS["tiny"])
    engine = CpuEngine(model)
    conditioning = condition(model, 1, frames=500)
    state, draws = engine.start(1), noise(1, 100_000)
    engine.generate(state, conditioning, draws)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(4):
        state.position.zero_()
        engine.generate(state, conditioning, draws)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * 1024
    assert all(tensor.isfinite().all() for tensor in state.tensors().values())


@pytest.mark.parametrize("name", ["logistics", "gaussian"])
def test_low_temperature_narrows_the_draws(name: str) -> None:
    model = random_model(CONFIGS[name])
    conditioning = condition(model, 1)
    spreads = [
        float(
            generate_in_chunks(
                CpuEngine(model, weights="fp32", temperature=temperature), conditioning, 600, 600
            ).std()
        )
        for temperature in (0.2, 1.0)
    ]
    assert spreads[0] < spreads[1] / 2


@pytest.mark.parametrize("instructions", INSTRUCTION_SETS)
def test_it_is_the_first_choice_on_the_cpu_and_names_its_instruction_set(
    instructions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(native.INSTRUCTIONS_VARIABLE, instructions)
    choice = dispatch.choose(PRESETS["tiny"], torch.device("cpu"))
    assert choice.engine is CpuEngine
    assert f"native code for {instructions}" in choice.reason


def test_without_the_library_dispatch_chooses_the_reference_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(native.importlib, "import_module", missing)
    choice = dispatch.choose(PRESETS["tiny"], torch.device("cpu"))
    assert choice.engine is ReferenceEngine
    assert "cpu passed over: the native library is missing" in choice.reason
    with pytest.raises(EngineError, match="the native library is missing"):
        dispatch.create(random_model(CONFIGS["mu_law"]), "cpu")


def test_an_unsupported_instruction_set_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(native.INSTRUCTIONS_VARIABLE, "sve9")
    with pytest.raises(EngineError, match=f"sve9: this processor supports {INSTRUCTION_SETS[0]}"):
        CpuEngine(random_model(CONFIGS["mu_law"]))


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(EngineError, match="'fp8' is unknown: choose one of fp32, bf16, int8"):
        CpuEngine(random_model(CONFIGS["mu_law"]), weights="fp8")
    with pytest.raises(EngineError, match="keeps its weights in fp32, not int8"):
        ReferenceEngine(random_model(CONFIGS["mu_law"]), weights="int8")


def test_threads_respect_a_containers_cpu_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    monkeypatch.setattr(f"{context.__name__}._cpu_count_cgroup", lambda _: 3)
    assert processors() == 3
