import pytest
import torch
from conftest import CONFIGS, random_model
from generating import FRAMES, condition, covered, cut, generate_in_chunks, noise
from tolerances import STATE_AGAINST_PARALLEL, STEP_AGAINST_PARALLEL, assert_close

from vocoder.generation.projection import TILE, apply_in_tiles
from vocoder.generation.reference import ReferenceEngine
from vocoder.wavenet import mu_law
from vocoder.wavenet.model import WaveNet


@pytest.mark.parametrize("chunk", ["1", "7", "hop", "whole"])
def test_step_equals_parallel_forward(model: WaveNet, chunk: str) -> None:
    hop = model.config.features.hop_length
    size = {"1": 1, "7": 7, "hop": hop, "whole": FRAMES * hop}[chunk]
    conditioning = condition(model, rows=3)
    audio = generate_in_chunks(ReferenceEngine(model), conditioning, FRAMES * hop, size)
    with torch.inference_mode():
        signal = model.signal(audio, conditioning.prediction)
        expected = model(audio, conditioning)
    engine, state, found = ReferenceEngine(model), None, []
    state = engine.start(3)
    for position in range(0, audio.shape[1], size):
        part = cut(signal, position, position + size)
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
            signal = cut(signal, 0, samples)
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
        context = model.context(audio)
        gates = model.stack.project(conditioning.local, conditioning.speaker, context)
        layers = gates.chunk(model.config.stack.layers, dim=-1)
        for block, ring, gate in zip(
            model.stack.blocks, state.stacks[0].buffers, layers, strict=True
        ):
            length = ring.shape[1]
            slots = torch.arange(samples - length, samples) % length
            assert_close(ring[:, slots], x[:, samples - length :], STATE_AGAINST_PARALLEL)
            x, _ = block(x, gate)


def test_the_comparison_catches_an_off_by_one_queue() -> None:
    """The equality helper fails on a planted fault: one layer's queue turned by one slot."""
    model = random_model(CONFIGS["logistics"])
    conditioning, engine = condition(model, rows=1), ReferenceEngine(model)
    audio = engine.generate(engine.start(1), conditioning, noise(1, covered(model, conditioning)))
    signal = model.signal(audio, None)
    state = engine.start(1)
    head, tail = cut(signal, 0, 50), cut(signal, 50, audio.shape[1])
    engine.trace(state, conditioning, head, noise(1, 50))
    ring = state.stacks[0].buffers[2]
    ring.copy_(ring.roll(1, dims=1))
    found, _ = engine.trace(state, conditioning, tail, noise(1, tail.samples.shape[1]))
    with torch.inference_mode():
        expected = model(audio, conditioning)[:, 50:]
    with pytest.raises(AssertionError, match="differs"):
        assert_close(found, expected, STEP_AGAINST_PARALLEL)


def test_queues_of_the_context_stacks_hold_their_parallel_activations() -> None:
    model = random_model(CONFIGS["contexts"])
    conditioning, engine = condition(model, rows=2), ReferenceEngine(model)
    samples = covered(model, conditioning)
    state = engine.start(2)
    audio = engine.generate(state, conditioning, noise(2, samples))
    companded = mu_law.compand(model.signal(audio, None).samples)
    for stack, queues, window, given in zip(
        model.contexts, state.stacks[1:], state.windows, state.contexts, strict=True
    ):
        pool = window.shape[1]
        assert_close(window, companded[:, samples - pool :], STATE_AGAINST_PARALLEL)
        with torch.inference_mode():
            assert_close(given, stack(companded)[:, -1], STATE_AGAINST_PARALLEL)
            windows = torch.nn.functional.pad(companded, (pool, -pool)).unflatten(1, (-1, pool))
            x = stack.input(windows)
            for block, ring in zip(stack.blocks, queues.buffers, strict=True):
                steps, length = windows.shape[1], min(ring.shape[1], windows.shape[1])
                slots = torch.arange(steps - length, steps) % ring.shape[1]
                assert_close(ring[:, slots], x[:, steps - length :], STATE_AGAINST_PARALLEL)
                x, _ = block(x, torch.zeros(2, 1, stack.config.stack.gate_channels))


@pytest.mark.parametrize("outputs", [1, 2, 7, 9, 16, 30, 64, 100])
def test_a_row_of_a_product_does_not_depend_on_where_it_stands(outputs: int) -> None:
    generator = torch.Generator().manual_seed(outputs)
    for inputs in (1, 3, 6, 9, 14, 32, 100, 256):
        linear = torch.nn.Linear(inputs, outputs)
        rows = torch.randn(2 * TILE + 3, inputs, generator=generator)
        with torch.inference_mode():
            together = apply_in_tiles(linear, rows)
            for count in (1, TILE - 1, TILE, len(rows)):
                moved = torch.randperm(len(rows), generator=generator)[:count]
                assert torch.equal(apply_in_tiles(linear, rows[moved]), together[moved]), inputs
