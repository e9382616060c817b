"""Small models of images with random weights, one of each member of the family."""

import torch
from torch import Tensor

from vocoder.generation.noise import uniforms
from vocoder.pixel.condition import Condition
from vocoder.pixel.config import (
    DiagonalLstmConfig,
    GatedPixelCnnConfig,
    MixtureOutput,
    NetworkConfig,
    OutputConfig,
    PixelCnnConfig,
    PixelCnnPlusPlusConfig,
    PixelConfig,
    RowLstmConfig,
)
from vocoder.pixel.model import PixelModel

MEMBERS: dict[str, NetworkConfig] = {
    "pixel_cnn": PixelCnnConfig(layers=2, hidden_channels=7, head_channels=8),
    "gated_pixel_cnn": GatedPixelCnnConfig(layers=2, hidden_channels=7, head_channels=8),
    "pixel_cnn_plus_plus": PixelCnnPlusPlusConfig(layers=1, hidden_channels=6),
    "without_shortcuts": PixelCnnPlusPlusConfig(
        layers=1, hidden_channels=6, downsamplings=1, shortcuts=False
    ),
    "row_lstm": RowLstmConfig(layers=2, hidden_channels=7, head_channels=8),
    "diagonal_lstm": DiagonalLstmConfig(layers=2, hidden_channels=7, head_channels=8),
}
CONDITIONAL = ("gated_pixel_cnn", "pixel_cnn_plus_plus")
LEVELS = 16


def drawing_model(
    member: str,
    channels: int,
    *,
    conditional: bool = False,
    output: OutputConfig = MixtureOutput(components=3),  # noqa: B008 - immutable
) -> PixelModel:
    """A model whose every layer matters."""
    config = PixelConfig(
        channels=channels,
        levels=LEVELS,
        network=MEMBERS[member],
        output=output,
        classes=3 if conditional else 0,
        map_channels=2 if conditional else 0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = PixelModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 1.5
    return model


def noise(seeds: list[int], height: int, width: int, channels: int) -> Tensor:
    """Counter-based noise of images (B, H, W, C, 2)."""
    count = height * width * channels
    flat = uniforms(torch.tensor(seeds), torch.zeros(len(seeds), dtype=torch.int64), count)
    return flat.unflatten(1, (height, width, channels))


def condition(rows: int, height: int, width: int) -> Condition:
    """Classes and maps for a conditional model."""
    generator = torch.Generator().manual_seed(5)
    return Condition(
        torch.arange(rows) % 3, torch.randn(rows, height, width, 2, generator=generator)
    )
