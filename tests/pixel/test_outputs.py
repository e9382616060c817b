"""Distributions of a pixel: they sum to one, and drawing follows them."""

import math

import pytest
import torch
from drawing import drawing_model
from torch import Tensor

from vocoder.errors import ConfigError, ImageError
from vocoder.pixel import outputs
from vocoder.pixel.condition import Condition
from vocoder.pixel.config import (
    BinaryOutput,
    GatedPixelCnnConfig,
    MixtureOutput,
    OutputConfig,
    PixelCnnPlusPlusConfig,
    PixelConfig,
    SoftmaxOutput,
)
from vocoder.pixel.model import PixelModel
from vocoder.pixel.quantisation import LevelRange

OUTPUTS: dict[str, tuple[OutputConfig, int]] = {
    "binary": (BinaryOutput(), 2),
    "softmax": (SoftmaxOutput(), 5),
    "mixture": (MixtureOutput(components=4), 5),
}


def config(kind: str, channels: int = 1, *, coupled: bool = False) -> PixelConfig:
    output, levels = OUTPUTS[kind]
    network = PixelCnnPlusPlusConfig() if coupled else GatedPixelCnnConfig()
    return PixelConfig(channels=channels, levels=levels, network=network, output=output)


def pixels(settings: PixelConfig) -> Tensor:
    """Every pixel that there is (levels ^ channels, channels)."""
    each = torch.arange(settings.levels)
    return torch.cartesian_prod(*[each] * settings.channels).view(-1, settings.channels)


def parameters(settings: PixelConfig) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(outputs.parameters_of_a_pixel(settings), generator=generator)


@pytest.mark.parametrize(
    "settings",
    [config(kind) for kind in OUTPUTS]
    + [config("mixture", 3, coupled=True), config("softmax", 2), config("mixture", 2)],
    ids=lambda c: f"{c.output.kind}-{c.channels}",
)
def test_probabilities_sum_to_one_and_drawing_follows_them(settings: PixelConfig) -> None:
    every, given = pixels(settings), parameters(settings)
    p = (-outputs.nll(settings, given.expand(len(every), -1), every)).exp()
    assert float(p.sum()) == pytest.approx(1.0, abs=1e-5)
    count = 40_000
    uniforms = torch.rand(count, settings.channels, 2, generator=torch.Generator().manual_seed(0))
    drawn = torch.zeros(count, settings.channels, dtype=torch.int64)
    for channel in range(1 if settings.coupled else settings.channels):
        outputs.put(settings, drawn, given.expand(count, -1), uniforms, channel, 1.0)
    base = torch.tensor([settings.levels**i for i in reversed(range(settings.channels))])
    share = torch.bincount((drawn * base).sum(-1), minlength=len(every)) / count
    # Five standard deviations of a share.
    assert ((share - p).abs() < 5 * (p / count).sqrt() + 1e-4).all()


def test_green_and_blue_follow_the_channels_before_them() -> None:
    settings = PixelConfig(
        channels=3,
        levels=256,
        network=PixelCnnPlusPlusConfig(),
        output=MixtureOutput(components=1),
    )
    given = torch.zeros(outputs.parameters_of_a_pixel(settings))
    given[4:7] = -5.0  # narrow
    given[7] = 4.0  # green = tanh(4) red, nearly 1
    red = torch.tensor([[40, 40, 128], [40, 200, 128]])
    near, far = outputs.nll(settings, given.expand(2, -1), red).tolist()
    assert near < far - 10


def test_a_uniform_model_needs_one_bit_and_log_levels() -> None:
    binary, softmax = config("binary"), config("softmax")
    image = torch.tensor([[1], [0]])
    assert torch.allclose(
        outputs.nll(binary, torch.zeros(2, 1), image), torch.full((2,), math.log(2))
    )
    assert torch.allclose(
        outputs.nll(softmax, torch.zeros(2, 5), image), torch.full((2,), math.log(5))
    )


def test_spectrograms_become_images_and_return() -> None:
    scale = LevelRange(lowest=-20.0, highest=0.0)
    mel = torch.linspace(-20.0, 0.0, 12).view(3, 4)
    image = scale.image(mel, 256)
    assert image.shape == (4, 3, 1)
    assert (scale.mel(image, 256) - mel).abs().max() <= 10.0 / 255 + 1e-5
    assert scale.image(mel + 50, 256).unique().tolist() == [255]
    with pytest.raises(ConfigError, match="lowest 1 is not below highest 0"):
        LevelRange.parse({"lowest": 1.0, "highest": 0.0}, "here")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output": {"kind": "binary"}}, "needs levels 2, not 256"),
        ({"channels": 3, "network": {"kind": "pixel_cnn_plus_plus"}}, "set output.kind to"),
        ({"classes": 10}, "'pixel_cnn' is unconditional"),
        ({"channels": 3, "network": {"kind": "row_lstm", "hidden_channels": 2}}, "at least chan"),
        ({"network": {"kind": "pixel_cnn", "kernel_size": 4}}, "kernel_size 4 must be odd"),
        ({"network": {"kind": "vit"}}, "network"),
        ({"levels": 1}, "levels"),
    ],
)
def test_configurations_that_cannot_be_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PixelConfig.parse(change, "here")


def test_images_and_conditions_that_cannot_be_are_refused() -> None:
    model = drawing_model("gated_pixel_cnn", 3, conditional=True)
    image = torch.zeros(2, 4, 5, 3, dtype=torch.int64)
    label, map_ = torch.tensor([0, 2]), torch.zeros(2, 4, 5, 2)
    assert model.nll(image, Condition(label, map_)).shape == (2, 4, 5)
    for wrong, message in (
        (image.float(), "int64"),
        (image[..., :1], r"\(batch, rows, columns, 3\)"),
        (image[0], "expected"),
        (image + 16, "levels from 16 to 16, expected 0 to 15"),
        (image - 1, "levels from -1"),
        (image[:, :0], "0 rows"),
    ):
        with pytest.raises(ImageError, match=message):
            model.nll(wrong, Condition(label, map_))
    for given, message in (
        (None, "needs one of 3 classes"),
        (Condition(label), "needs a map of 2 channels"),
        (Condition(label, map_[:, :3]), r"expected \(2, 4, 5, 2\)"),
        (Condition(label[:1], map_), "labels have shape"),
        (Condition(label + 1, map_), "labels must be from 0 to 2"),
    ):
        with pytest.raises(ImageError, match=message):
            model.nll(image, given)
    plain = PixelModel(PixelConfig())
    with pytest.raises(ImageError, match="no map"):
        plain.nll(image[..., :1], Condition(map=map_))
