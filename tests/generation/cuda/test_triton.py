"""The Triton engine against the reference; in Triton's interpreter where there is no GPU."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import random_model
from devices import DEVICE, SMALL_CONFIGS, OnDevice, moved, signal_of, snapshot
from generating import condition, covered, cut, generate_in_chunks, noise, pick
from planted_faults import altered
from tolerances import ENGINE_PARAMETERS, ENGINE_STATE, GATES, STEP_AGAINST_PARALLEL, assert_close

from vocoder.generation.cuda import engine as triton_engine
from vocoder.generation.cuda import packing
from vocoder.generation.cuda.engine import TritonEngine
from vocoder.generation.noise import uniforms
from vocoder.generation.projection import project, window
from vocoder.generation.reference import ReferenceEngine
from vocoder.generation.state import GenerationState
from vocoder.presets import PRESETS
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.model import Signal, WaveNet

pytest.importorskip("triton")

SAMPLES, ROWS, FRAMES = 21, 3, 3
ONE_STEP = 1 / 32768 + 1e-6


@pytest.fixture(params=SMALL_CONFIGS)
def model(request: pytest.FixtureRequest) -> WaveNet:
    return random_model(SMALL_CONFIGS[request.param])


@pytest.fixture
def mu_law() -> WaveNet:
    return random_model(SMALL_CONFIGS["mu_law"])


def triton(model: WaveNet, weights: str = "fp32", **settings: float) -> OnDevice:
    return OnDevice(TritonEngine, model, weights=weights, **settings)


def test_gates_equal_the_reference(model: WaveNet) -> None:
    conditioning, start = condition(model, ROWS, FRAMES), torch.tensor([7, 0, 3])
    engine = triton(model).engine
    given = window(conditioning, start, model.config.hold, SAMPLES)
    with torch.inference_mode():
        expected = project(model, conditioning, start, SAMPLES).gates
        bias = torch.cat([block.dilated.linear.bias for block in model.stack.blocks])
        found = engine._project_gates(moved(given, DEVICE)).cpu()
    assert_close(found, expected + bias, GATES)


def assert_gates_equal_those_of_a_row_alone(model: WaveNet) -> None:
    conditioning, start = condition(model, ROWS, FRAMES), torch.tensor([7, 0, 3])
    engine = triton(model).engine
    given = window(conditioning, start, model.config.hold, SAMPLES)
    together = engine._project_gates(moved(given, DEVICE)).cpu()
    for row in range(ROWS):
        alone = window(pick(conditioning, row), start[row : row + 1], model.config.hold, SAMPLES)
        found = engine._project_gates(moved(alone, DEVICE)).cpu()[0]
        assert torch.equal(found, together[row]), f"row {row} differs"


@torch.inference_mode()
def test_gates_of_a_row_do_not_depend_on_the_batch(model: WaveNet) -> None:
    assert_gates_equal_those_of_a_row_alone(model)


@pytest.mark.skipif(DEVICE.type != "cpu", reason="the interpreter alone can be altered")
@torch.inference_mode()
def test_rounding_that_depends_on_the_place_in_a_tile_is_caught(
    mu_law: WaveNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    from triton.runtime.interpreter import InterpreterBuilder

    create_dot = InterpreterBuilder.create_dot

    def rounding_by_place(*given: Any) -> Any:
        found = create_dot(*given)
        found.data[12:] *= 1 + 2**-22
        return found

    monkeypatch.setattr(InterpreterBuilder, "create_dot", rounding_by_place)
    with pytest.raises(AssertionError, match="differs"):
        assert_gates_equal_those_of_a_row_alone(mu_law)


def assert_same_state(
    found: GenerationState, expected: GenerationState, weights: str = "fp32"
) -> None:
    ours = snapshot(found)
    for name, tensor in snapshot(expected).items():
        if tensor.numel():
            exact = name in ("position", "code")
            assert_close(ours[name], tensor, 0.0 if exact else ENGINE_STATE[weights])


def follow(
    model: WaveNet, engine: OnDevice | ReferenceEngine
) -> tuple[list[torch.Tensor], GenerationState]:
    """Parameters and audio along a signal: two rows, then one of them with a third that joins."""
    conditioning = condition(model, ROWS, FRAMES)
    signal, draws = signal_of(model, conditioning, SAMPLES), noise(ROWS, SAMPLES)
    state, late, found = engine.start(ROWS), 10, []
    # Row 0 is SAMPLES long, row 2 joins after `late` samples, row 1 leaves then.
    pieces = [([1, 0], (0, 0), late), ([0, 2], (late, 0), SAMPLES - late)]
    for rows, starts, steps in pieces:
        spans = [
            (cut(signal, start, start + steps), draws[row, start : start + steps])
            for row, start in zip(rows, starts, strict=True)
        ]
        given = type(signal)(
            *(
                None
                if part[0] is None
                else torch.stack([each[row] for each, row in zip(part, rows, strict=True)])
                for part in zip(*(span for span, _ in spans), strict=True)
            )
        )
        trace = engine.trace(
            state,
            pick(conditioning, *rows),
            given,
            torch.stack([each for _, each in spans]),
            torch.tensor(rows),
        )
        found += [trace.parameters, trace.audio]
    return found, state


def assert_follows_the_reference(model: WaveNet, engine: OnDevice, weights: str) -> None:
    ours, state = follow(model, engine)
    theirs, expected = follow(model, ReferenceEngine(model))
    for i in (0, 2):
        assert_close(ours[i], theirs[i], ENGINE_PARAMETERS[weights])
    if weights == "fp32":
        limit = 1e-6 if model.config.distribution.kind == "mu_law" else ONE_STEP
        for i in (1, 3):
            assert_close(ours[i], theirs[i], limit)
    assert_same_state(state, expected, weights)


def test_parameters_draws_and_state_equal_the_reference(model: WaveNet) -> None:
    assert_follows_the_reference(model, triton(model), "fp32")


@pytest.mark.parametrize("weights", ["bf16", "fp16"])
@pytest.mark.parametrize("name", ["mu_law", "odd_linear_prediction", "contexts_linguistic"])
def test_narrow_formats_stay_near_the_reference(name: str, weights: str) -> None:
    model = random_model(SMALL_CONFIGS[name])
    assert_follows_the_reference(model, triton(model, weights), weights)


def test_same_bytes_in_chunks_and_launches(model: WaveNet, monkeypatch: pytest.MonkeyPatch) -> None:
    conditioning, engine = condition(model, 2, FRAMES), triton(model, "bf16")
    whole = generate_in_chunks(engine, conditioning, SAMPLES, SAMPLES)
    assert torch.equal(generate_in_chunks(engine, conditioning, SAMPLES, 5), whole)
    assert torch.equal(generate_in_chunks(engine, conditioning, 3, 1), whole[:, :3])
    monkeypatch.setattr(triton_engine, "GATE_BYTES", 1)
    assert torch.equal(generate_in_chunks(engine, conditioning, SAMPLES, SAMPLES), whole)


@pytest.mark.parametrize("name", ["mu_law", "odd_linear_prediction"])
def test_weights_fetched_ahead_or_not_give_the_same_audio(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_model(SMALL_CONFIGS[name])
    conditioning, found = condition(model, 2, 1), []
    for most in (packing.LARGEST_PREFETCH_BYTES, 0):
        monkeypatch.setattr(packing, "LARGEST_PREFETCH_BYTES", most)
        found.append(generate_in_chunks(triton(model), conditioning, 6, 6))
    assert torch.equal(*found)


def test_what_it_speaks_by_itself_is_what_the_reference_speaks(model: WaveNet) -> None:
    conditioning = condition(model, 2, FRAMES)
    ours = generate_in_chunks(triton(model), conditioning, SAMPLES, 8)
    theirs = generate_in_chunks(ReferenceEngine(model), conditioning, SAMPLES, 8)
    limit = 1e-6 if model.config.distribution.kind == "mu_law" else 10 * ONE_STEP
    assert_close(ours, theirs, limit)


def test_a_row_does_not_hear_its_neighbours(mu_law: WaveNet) -> None:
    rows, steps = 18, 4
    conditioning, engine = condition(mu_law, rows, 1), triton(mu_law, "bf16")
    draws = noise(rows, steps)
    together = engine.generate(engine.start(rows), conditioning, draws)
    for row in (0, 15, 17):
        alone = engine.generate(engine.start(1), pick(conditioning, row), draws[row : row + 1])
        assert torch.equal(alone[0], together[row])


@pytest.mark.parametrize("name", ["mu_law", "linear_prediction", "contexts_linguistic"])
def test_rows_that_wait_keep_every_byte_and_poison_for_themselves(name: str) -> None:
    model = random_model(SMALL_CONFIGS[name])
    conditioning, engine = condition(model, 1, FRAMES), triton(model)
    state = engine.start(4)
    state.position[:] = 3
    waiting = torch.tensor([0, 1, 3])
    for tensor in state.tensors().values():
        if tensor.is_floating_point():
            tensor[waiting] = float("nan")
    for stack in state.stacks:
        stack.storage[waiting] = float("nan")
    before = snapshot(state)
    paddings = [stack.storage.cpu()[:, -80:].clone() for stack in state.stacks]
    audio = engine.generate(state, conditioning, noise(1, 6, 3), torch.tensor([2]))
    assert audio.isfinite().all()
    for tensor, was in zip(snapshot(state).values(), before.values(), strict=True):
        assert torch.equal(tensor[waiting].nan_to_num(7.0), was[waiting].nan_to_num(7.0))
        assert tensor[2].isfinite().all()
    for stack, padding in zip(state.stacks, paddings, strict=True):
        after = stack.storage.cpu()[:, -80:]
        assert torch.equal(after.nan_to_num(7.0), padding.nan_to_num(7.0))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of NaN
def test_a_poisoned_ring_shows() -> None:
    model = random_model(SMALL_CONFIGS["logistics"])
    engine = triton(model, "bf16")
    state = engine.start(1)
    state.stacks[0].buffers[0].fill_(float("nan"))
    assert engine.generate(state, condition(model, 1), noise(1, 1)).isnan().all()


def test_a_copied_row_goes_on_alike(mu_law: WaveNet) -> None:
    conditioning, engine = condition(mu_law, 1, FRAMES), triton(mu_law)
    state, twin = engine.start(1), engine.start(2)
    engine.generate(state, conditioning, noise(1, 10))
    one, zero = torch.tensor([1], device=DEVICE), torch.tensor([0], device=DEVICE)
    twin.copy_rows(one, state, zero)
    expected = engine.generate(state, conditioning, noise(1, 5, 10))
    found = engine.generate(twin, conditioning, noise(1, 5, 10), torch.tensor([1]))
    assert torch.equal(found, expected)


def test_conditioning_that_ends_too_early_moves_nothing(
    mu_law: WaveNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = triton(mu_law)
    state = engine.start(1)
    for limit in (triton_engine.GATE_BYTES, 1):
        monkeypatch.setattr(triton_engine, "GATE_BYTES", limit)
        with pytest.raises(ValueError, match="blocks 0 to 3, generation needs 0 to 4"):
            engine.generate(state, condition(mu_law, 1, frames=1), noise(1, 13))
    assert state.position.tolist() == [0]


def test_temperature_narrows_what_is_drawn() -> None:
    model = random_model(SMALL_CONFIGS["logistics"])
    conditioning, draws = condition(model, 8, FRAMES), noise(8, 5)
    spreads = []
    for temperature in (0.2, 1.0):
        engine = triton(model, temperature=temperature)
        reference = ReferenceEngine(model, temperature=temperature)
        audio = engine.generate(engine.start(8), conditioning, draws)
        assert_close(audio, reference.generate(reference.start(8), conditioning, draws), 5e-4)
        spreads.append(float(audio.std()))
    assert spreads[0] < spreads[1] * 0.7


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE.type != "cuda", reason="too slow for the interpreter: there is no GPU")
@pytest.mark.parametrize("weights", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("preset", PRESETS)
def test_presets_equal_the_reference_in_float64(preset: str, weights: str) -> None:
    """On fresh noise, longer than the longest dilation, in two tiles, in memory that held NaN."""
    model, rows = random_model(PRESETS[preset]), 17
    conditioning = condition(model, rows, frames=6)
    steps = covered(model, conditioning)
    signal, seed = signal_of(model, conditioning, steps), torch.seed() % 2**32
    engine = triton(model, weights)
    torch.full((1 << 28,), float("nan"), device=DEVICE)
    state = engine.start(rows)
    draws = uniforms(torch.arange(rows) + seed, torch.zeros(rows, dtype=torch.int64), steps)
    found = engine.trace(state, conditioning, signal, draws)
    expected = in_float64(model, signal, conditioning)
    assert_close(found.parameters, expected, ENGINE_PARAMETERS[weights])


@torch.inference_mode()
def in_float64(model: WaveNet, signal: Signal, conditioning: Conditioning) -> torch.Tensor:
    """Parameters of the parallel forward (B, T, P)."""
    exact, inputs = copy.deepcopy(model).double(), model.inputs(signal).double()
    gates = exact.stack.project(
        conditioning.local.double(),
        conditioning.speaker.double(),
        exact.context(signal.samples),
    )
    skips = exact.stack(exact.input(inputs), gates)
    return exact.output(exact.head(skips.relu()).relu())


def test_the_forward_in_float64_is_the_reference(mu_law: WaveNet) -> None:
    conditioning = condition(mu_law, 2, FRAMES)
    steps = covered(mu_law, conditioning)
    signal, engine = signal_of(mu_law, conditioning, steps), ReferenceEngine(mu_law)
    trace = engine.trace(engine.start(2), conditioning, signal, noise(2, steps))
    expected = in_float64(mu_law, signal, conditioning)
    assert_close(trace.parameters, expected, STEP_AGAINST_PARALLEL)


def altered_kernel(module: str, old: str, new: str, folder: Path) -> object:
    def change(source: str) -> str:
        assert source.count(old) == 1, f"{old!r} is there {source.count(old)} times"
        return source.replace(old, new)

    return altered(module, change, folder).generate


FAULTS = {
    "ring read one late": ("t + tap * dilation,", "t + 1 + tap * dilation,"),
    "ring written one late": ("wrap(phase + t, length", "wrap(phase + t + 1, length"),
    "queue of inputs": ("+ t + tap) % PAST * CH", "+ t + 1 + tap) % PAST * CH"),
    "history": ("(history_phase + t) % ORDER", "(history_phase + t + 1) % ORDER"),
    "conditioning": ("(into_block + t) // HOLD", "(into_block + t + 1) // HOLD"),
    "padded channels": ("[None, :] < RESIDUAL\n", "[None, :] < RESIDUAL_\n"),
}


@pytest.mark.skipif(DEVICE.type != "cpu", reason="altered in the interpreter alone")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught(fault: str, tmp_path: Path) -> None:
    model = random_model(SMALL_CONFIGS["odd_linear_prediction"])
    engine = triton(model)
    engine.engine._kernel = altered_kernel("kernels", *FAULTS[fault], tmp_path)
    with pytest.raises(AssertionError, match="differs"):
        assert_follows_the_reference(model, engine, "fp32")


CONTEXT_FAULTS = {
    "window written one late": ("contexts", "+ position % CON", "+ (position + 1) % CON"),
    "window read one late": ("contexts", "* POOL + slot[None", "* POOL + ((slot + 1) % POOL)[None"),
    "ring read a step late": ("contexts", "phase + tap * dil", "phase + 1 + tap * dil"),
    "ring written a step late": ("contexts", "wrap(phase, length", "wrap(phase + 1, length"),
    "rows that are not due": ("contexts", "(position % CONTEXTS[s][POOL] == 0)", "(position >= 0)"),
    "padded channels": ("contexts", "[None, :] < RESIDUAL)", "[None, :] < RESIDUAL_)"),
    "another stack's layers": ("contexts", "dilations + FIRST", "dilations"),
    "a chunk within a block": ("kernels", "(t == 0) | ", ""),
    "a block added to twice": ("kernels", "(into_block + t) % HOLD == 0", "active"),
}


@pytest.mark.skipif(DEVICE.type != "cpu", reason="altered in the interpreter alone")
@pytest.mark.parametrize("fault", CONTEXT_FAULTS)
def test_a_planted_fault_of_the_context_stacks_is_caught(fault: str, tmp_path: Path) -> None:
    model = random_model(SMALL_CONFIGS["contexts_linguistic"])
    engine = triton(model)
    engine.engine._kernel = altered_kernel(*CONTEXT_FAULTS[fault], tmp_path)
    with pytest.raises(AssertionError, match="differs"):
        assert_follows_the_reference(model, engine, "fp32")
