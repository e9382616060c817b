"""PixelCNN++: whole pixels, strided halves and short-cuts (Salimans et al. 2017, 1701.05517).

Two streams: one sees the rows above, the other, fed by the first, all pixels above and to the left.
The first half of the network halves the resolution, the second half restores it, and its layers see
the maps of the first half. Weights are not normalised as in the paper.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.pixel.condition import Condition, ConditionProjection
from vocoder.pixel.config import PixelCnnPlusPlusConfig
from vocoder.pixel.masks import each

Padding = tuple[int, int, int]
"""Rows above, columns to the left, columns to the right."""

ABOVE: Padding = (1, 1, 1)
"""Of the stream of the rows above: 2 x 3 kernels."""

BEFORE: Padding = (1, 1, 0)
"""Of the stream of all pixels before: 2 x 2 kernels."""


def concat_elu(x: Tensor) -> Tensor:
    """ELU of x and of -x, side by side (Shang et al. 2016)."""
    return F.elu(torch.cat([x, -x], dim=-1))


class ShiftedConv(nn.Module):
    """A convolution over the rows above, its own row, and the columns that ``padding`` gives."""

    def __init__(self, inputs: int, outputs: int, padding: Padding, *, stride: int = 1) -> None:
        super().__init__()
        above, left, right = padding
        self.padding = padding
        self.conv = nn.Conv2d(inputs, outputs, (1 + above, 1 + left + right), stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, inputs) -> (B, H / stride, W / stride, outputs)."""
        above, left, right = self.padding
        x = F.pad(x.permute(0, 3, 1, 2), (left, right, above, 0))
        found: Tensor = self.conv(x)
        return found.permute(0, 2, 3, 1)


class Upsampling(nn.Module):
    """A transposed convolution of stride 2, the counterpart of a strided :class:`ShiftedConv`."""

    def __init__(self, channels: int, padding: Padding) -> None:
        super().__init__()
        # The columns to the right become columns to the left: a place feeds those around it.
        self.cropped = padding[2]
        kernel = (2, 2 + padding[2])
        self.conv = nn.ConvTranspose2d(channels, channels, kernel, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, channels) -> (B, 2 H, 2 W, channels)."""
        found: Tensor = self.conv(x.permute(0, 3, 1, 2))[..., self.cropped :]
        return found.permute(0, 2, 3, 1)


class GatedResidual(nn.Module):
    """Two convolutions with concatenated ELU, a short-cut, dropout, a gate (section 2.3)."""

    def __init__(
        self,
        config: PixelCnnPlusPlusConfig,
        padding: Padding,
        shortcut: int,
        classes: int,
        map_channels: int,
    ) -> None:
        """Set up a layer; ``shortcut`` is the number of channels of its second input."""
        super().__init__()
        hidden = config.hidden_channels
        self.input = ShiftedConv(2 * hidden, hidden, padding)
        self.shortcut = nn.Linear(2 * shortcut, hidden) if shortcut else None
        self.dropout = nn.Dropout(config.dropout)
        self.output = ShiftedConv(2 * hidden, 2 * hidden, padding)
        self.condition = ConditionProjection(classes, map_channels, 2 * hidden)
        with torch.no_grad():
            self.output.conv.weight *= 0.1  # layers start close to the identity

    def forward(self, x: Tensor, other: Tensor | None, condition: Condition | None) -> Tensor:
        """(B, H, W, hidden), and the short-cut's map -> (B, H, W, hidden)."""
        inner = self.input(concat_elu(x))
        if self.shortcut is not None and other is not None:
            inner = inner + self.shortcut(concat_elu(other))
        both = self.output(self.dropout(concat_elu(inner))) + self.condition(condition)
        value, gate = both.chunk(2, dim=-1)
        return x + value * torch.sigmoid(gate)


class Level(nn.Module):
    """Layers of both streams at one resolution, in one half of the network."""

    def __init__(
        self,
        config: PixelCnnPlusPlusConfig,
        layers: int,
        shortcuts: tuple[int, int],
        classes: int,
        map_channels: int,
    ) -> None:
        """Set up the layers; ``shortcuts`` are the channels of each stream's second input."""
        super().__init__()
        self.above = nn.ModuleList(
            GatedResidual(config, ABOVE, shortcuts[0], classes, map_channels) for _ in range(layers)
        )
        self.before = nn.ModuleList(
            GatedResidual(config, BEFORE, shortcuts[1], classes, map_channels)
            for _ in range(layers)
        )

    def pairs(self) -> list[tuple[GatedResidual, GatedResidual]]:
        """The layers of both streams, in order."""
        both = each(self.above, GatedResidual), each(self.before, GatedResidual)
        return list(zip(*both, strict=True))


class PixelCnnPlusPlus(nn.Module):
    """The first half, the second half, and a 1x1 layer."""

    def __init__(
        self,
        config: PixelCnnPlusPlusConfig,
        channels: int,
        parameters: int,
        classes: int = 0,
        map_channels: int = 0,
    ) -> None:
        """Set up the network for images of ``channels``, with ``parameters`` for each pixel."""
        super().__init__()
        self.config = config
        hidden, layers, halvings = config.hidden_channels, config.layers, config.downsamplings
        # A channel of ones shows where the image ends.
        self.first_above = nn.Conv2d(channels + 1, hidden, (2, 3))
        self.first_row = nn.Conv2d(channels + 1, hidden, (1, 3))
        self.first_left = nn.Conv2d(channels + 1, hidden, (2, 1))
        conditions = classes, map_channels
        self.down = nn.ModuleList(
            Level(config, layers, (0, hidden), *conditions) for _ in range(halvings + 1)
        )
        second = (hidden, 2 * hidden) if config.shortcuts else (0, hidden)
        self.up = nn.ModuleList(
            Level(config, layers + (i > 0), second, *conditions) for i in range(halvings + 1)
        )
        self.halving = nn.ModuleList(
            nn.ModuleList(ShiftedConv(hidden, hidden, p, stride=2) for p in (ABOVE, BEFORE))
            for _ in range(halvings)
        )
        self.doubling = nn.ModuleList(
            nn.ModuleList(Upsampling(hidden, p) for p in (ABOVE, BEFORE)) for _ in range(halvings)
        )
        self.output = nn.Linear(hidden, parameters)

    def forward(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        """Scaled images (B, H, W, channels) -> parameters (B, H, W, parameters)."""
        above, before = self.first(x)
        conditions = self.conditions(condition)
        maps = [(above, before)]
        for i, level in enumerate(each(self.down, Level)):
            for above_layer, before_layer in level.pairs():
                above = above_layer(above, None, conditions[i])
                before = before_layer(before, above, conditions[i])
                maps.append((above, before))
            if i < len(self.halving):
                halve_above, halve_before = each(self.halving[i], ShiftedConv)
                above, before = halve_above(above), halve_before(before)
                maps.append((above, before))
        maps.pop()
        for i, level in enumerate(each(self.up, Level)):
            own = conditions[len(self.halving) - i]
            for above_layer, before_layer in level.pairs():
                old_above, old_before = maps.pop()
                above = above_layer(above, old_above, own)
                other = torch.cat([above, old_before], -1) if self.config.shortcuts else above
                before = before_layer(before, other, own)
            if i < len(self.doubling):
                double_above, double_before = each(self.doubling[i], Upsampling)
                above, before = double_above(above), double_before(before)
        assert not maps
        parameters: Tensor = self.output(F.elu(before))
        return parameters

    def first(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The first maps of both streams: rows strictly above, and pixels strictly before."""
        ones = x.new_ones(*x.shape[:3], 1)
        x = torch.cat([x, ones], -1).permute(0, 3, 1, 2)
        above = self.first_above(F.pad(x, (1, 1, 2, -1)))
        row = self.first_row(F.pad(x, (1, 1, 1, -1)))
        left = self.first_left(F.pad(x, (1, -1, 1, 0)))
        return above.permute(0, 2, 3, 1), (row + left).permute(0, 2, 3, 1)

    def conditions(self, condition: Condition | None) -> list[Condition | None]:
        """The condition at each resolution; a place of a halved map has its first pixel's."""
        if condition is None or condition.map is None:
            return [condition] * (len(self.halving) + 1)
        return [
            Condition(condition.label, condition.map[:, :: 2**i, :: 2**i])
            for i in range(len(self.halving) + 1)
        ]
