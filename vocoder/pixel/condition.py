"""What conditions an image: its class, the same everywhere, and a map with channels at each pixel.

van den Oord et al. 2016b, section 2.3 (arXiv 1606.05328).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from vocoder.errors import ImageError
from vocoder.pixel.config import PixelConfig


class Condition(NamedTuple):
    """Conditions of B images.

    Attributes:
        label: class of each image (B,), int64; None for a model without classes.
        map: (B, H, W, map_channels), float32; None for a model without a map.
    """

    label: Tensor | None = None
    map: Tensor | None = None


def check_condition(
    config: PixelConfig, condition: Condition | None, batch: int, height: int, width: int
) -> None:
    """Refuse a condition that the model does not have, or of another size.

    Raises:
        ImageError: with what was given and what would be right.
    """
    label, map_ = condition or Condition()
    if (label is None) != (not config.classes):
        wanted = f"one of {config.classes} classes" if config.classes else "no class"
        given = "none" if label is None else "one"
        raise ImageError(f"the model needs {wanted} for each image, {given} was given")
    if (map_ is None) != (not config.map_channels):
        wanted = f"a map of {config.map_channels} channels" if config.map_channels else "no map"
        given = "none" if map_ is None else "one"
        raise ImageError(f"the model needs {wanted}, {given} was given")
    if label is not None:
        if label.shape != (batch,) or label.dtype != torch.int64:
            raise ImageError(
                f"labels have shape {tuple(label.shape)} and type {label.dtype}, "
                f"expected ({batch},) and int64"
            )
        if label.numel() and not 0 <= int(label.min()) <= int(label.max()) < config.classes:
            raise ImageError(f"labels must be from 0 to {config.classes - 1}")
    wanted_map = (batch, height, width, config.map_channels)
    if map_ is not None and map_.shape != wanted_map:
        raise ImageError(f"the map has shape {tuple(map_.shape)}, expected {wanted_map}")


class ConditionProjection(nn.Module):
    """What a condition adds to a layer: ``V^T h + V * s``, without a bias."""

    def __init__(self, classes: int, map_channels: int, features: int) -> None:
        super().__init__()
        self.label = nn.Embedding(classes, features) if classes else None
        self.map = nn.Linear(map_channels, features, bias=False) if map_channels else None
        if self.label is not None:
            nn.init.normal_(self.label.weight, std=0.1)

    def forward(self, condition: Condition | None) -> Tensor | float:
        """(B, 1 or H, 1 or W, features); 0 without a condition."""
        total: Tensor | float = 0.0
        if condition is None:
            return total
        if self.label is not None:
            total = total + self.label(condition.label)[:, None, None]
        if self.map is not None:
            total = total + self.map(condition.map)
        return total
