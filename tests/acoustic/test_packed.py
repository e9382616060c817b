"""The packed acoustic model against the PyTorch layers it replaces."""

import pytest
import torch
from conftest import TINY, TINY_ACOUSTIC, random_acoustic_model
from tolerances import RENDERED_MEL, STACK, assert_close

from vocoder.acoustic import rendering
from vocoder.acoustic.model import AcousticModel
from vocoder.acoustic.modules import ConvStack
from vocoder.acoustic.packed import PackedRefiner, PackedStack, packed
from vocoder.acoustic.refiner import Refiner
from vocoder.acoustic.rendering import Rendering, render
from vocoder.config import AcousticConfig
from vocoder.native import library as native
from vocoder.text.frontend import TextFrontEnd

INSTRUCTION_SETS = native.load().instruction_sets()
SENTENCE = next(TextFrontEnd().sentences("She sells, sea shells."))


@pytest.fixture(params=INSTRUCTION_SETS)
def instructions(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def maker(instructions: str, same: bool = True):
    return lambda inputs, format: native.load().Stack(
        inputs=inputs, same=same, format=format, instructions=instructions
    )


def random_stack(inputs: int, channels: int, outputs: int, layers: int, taps: int) -> ConvStack:
    generator = torch.Generator().manual_seed(1)
    stack = ConvStack(inputs, channels, outputs, layers, taps, 0.0).eval()
    with torch.no_grad():
        for parameter in stack.parameters():
            size = 1.5 / parameter[0].numel() ** 0.5 if parameter.ndim > 1 else 0.3
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * size)
        for layer in stack.modules():
            if isinstance(layer, torch.nn.LayerNorm):
                layer.weight += 1
    return stack


def sequence(rows: int, channels: int, frames: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(rows, channels, frames, generator=generator)


SHAPES = ((5, 7, 3, 2, 5), (40, 32, 16, 2, 3), (20, 96, 33, 1, 1))


@pytest.mark.parametrize("format", ["fp32", "bf16"])
@pytest.mark.parametrize("shape", SHAPES)
@torch.inference_mode()
def test_a_packed_stack_equals_pytorch(
    shape: tuple[int, ...], format: str, instructions: str
) -> None:
    source = random_stack(*shape)
    found = PackedStack(source, maker(instructions), format)
    for frames in (1, 2, 33, 70):
        x = sequence(2, shape[0], frames)
        mask = torch.ones(2, 1, frames)
        mask[1, :, max(1, frames - 4) :] = 0
        expected = source(x, mask) * mask
        assert 0.3 < expected.abs().max() < 30
        assert_close(found(x, mask), expected, STACK[format] * float(expected.abs().max()))
        hidden = found.hidden(x, mask)
        assert_close(hidden, source.hidden(x, mask) * mask, 10 * STACK[format])
        assert torch.equal(found.output(hidden) * mask, found(x, mask))
    broken = expected.clone()
    broken[0, 0, 0] += 0.1 * float(expected.abs().max())
    with pytest.raises(AssertionError, match="differs"):
        assert_close(found(x, mask), broken, STACK[format] * float(expected.abs().max()))


@pytest.mark.parametrize("format", ["fp32", "bf16"])
@torch.inference_mode()
def test_a_frame_far_from_the_ends_does_not_depend_on_the_length(
    format: str, instructions: str
) -> None:
    found = PackedStack(random_stack(*SHAPES[1]), maker(instructions), format)
    x = sequence(1, 40, 101)
    whole = found(x, torch.ones(1, 1, 101))
    for first, last in ((0, 50), (7, 45), (30, 101)):
        part = found(x[..., first:last], torch.ones(1, 1, last - first))
        inner = slice(2 if first else 0, last - first - 2 if last < 101 else None)
        assert torch.equal(part[..., inner], whole[..., first:last][..., inner])


@torch.inference_mode()
def test_the_packed_refiner_equals_pytorch(instructions: str) -> None:
    config = AcousticConfig(decoder_channels=24, refiner_channels=16, refiner_layers=2)
    source = Refiner(config, 20)
    source.field = random_stack(2 * 20 + 24 + 3, 16, 20, 2, 3)
    noise, condition = sequence(2, 20, 40), sequence(2, 44, 40)
    mask = torch.ones(2, 40)
    mask[1, 31:] = 0
    expected = source.draw(noise, condition, mask) * mask[:, None]
    found = PackedRefiner(source, maker(instructions)).draw(noise, condition, mask)
    assert_close(found, expected, 5 * STACK["bf16"] * float(expected.abs().max()))
    assert (expected - noise * mask[:, None]).abs().max() > 0.5
    source.steps = 0
    resting = PackedRefiner(source, maker(instructions))
    assert torch.equal(resting.draw(noise[:1], condition, mask[:1]), noise[:1])


def test_a_packed_model_renders_a_sentence_as_pytorch_does(
    instructions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_acoustic_model()
    monkeypatch.setenv(native.INSTRUCTIONS_VARIABLE, instructions)
    assert packed(model) is not model
    found = render(model, SENTENCE, 0, seed=3)
    with monkeypatch.context() as context:
        context.setattr(rendering, "packed", lambda model: model)
        expected = render(model, SENTENCE, 0, seed=3)
    assert torch.equal(found.durations, expected.durations)
    assert torch.equal(found.prosody.voiced, expected.prosody.voiced)
    assert_close(found.prosody.log_f0, expected.prosody.log_f0, STACK["fp32"])
    assert_close(found.mel, expected.mel, RENDERED_MEL)
    with pytest.raises(AssertionError, match="differs"):
        assert_close(found.mel.roll(1, 1), expected.mel, RENDERED_MEL)


def same(one: Rendering, other: Rendering) -> bool:
    return torch.equal(one.mel, other.mel) and torch.equal(one.durations, other.durations)


def test_the_number_of_threads_changes_nothing() -> None:
    model = random_acoustic_model()
    first = render(model, SENTENCE, 0)
    torch.set_num_threads(2)
    assert same(render(model, SENTENCE, 0), first)


def test_only_changed_weights_are_packed_again() -> None:
    model = random_acoustic_model()
    first, made = render(model, SENTENCE, 0), packed(model)
    assert packed(model) is made
    with torch.no_grad():
        model.decoder.output.bias += 1.0
    assert packed(model) is not made
    assert not same(render(model, SENTENCE, 0), first)
    with torch.no_grad():
        model.decoder.output.bias -= 1.0
    assert torch.allclose(render(model, SENTENCE, 0).mel, first.mel, atol=1e-4)


def test_an_encoder_without_layers_is_packed() -> None:
    config = TINY_ACOUSTIC.model_copy(update={"encoder_layers": 0, "refiner_steps": 0})
    model = AcousticModel(config, TINY.features, 3).eval()
    assert render(model, SENTENCE, 0).mel.isfinite().all()


def test_without_the_native_library_pytorch_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_acoustic_model()
    monkeypatch.setattr(native, "find", lambda: None)
    assert packed(model) is model
    assert render(model, SENTENCE, 0).mel.isfinite().all()
