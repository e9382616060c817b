"""Caches of convolutions, to draw an image pixel by pixel (Ramachandran et al. 2017, 1704.06001).

A pixel's features need those of earlier pixels, which do not change any more. The taps above are
computed for a whole row once the rows above are complete; only the taps in the pixel's own row
remain for each pixel.
"""

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.pixel.masks import MaskedConv2d


class ConvWeights:
    """The weights of a convolution, arranged for its cache; copies of a state share them."""

    def __init__(self, weight: Tensor, bias: Tensor | None, left: int) -> None:
        """Arrange the weights.

        Args:
            weight: (out, in, rows, columns); the last row is the pixel's own.
            bias: (out,).
            left: columns to the left of the pixel; in its own row, those to the right are unseen.
        """
        self.out, self.inputs, rows, self.columns = weight.shape
        self.above, self.left = rows - 1, left
        flat = weight.permute(2, 3, 1, 0)
        self.own = flat[-1, : left + 1].reshape(-1, self.out).contiguous()
        self.rows = flat[:-1].reshape(-1, self.out).contiguous()
        self.bias = weight.new_zeros(self.out) if bias is None else bias

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    @classmethod
    def of(cls, layer: MaskedConv2d) -> Self:
        """The weights of a masked convolution."""
        return cls(layer.weight, layer.conv.bias, layer.conv.kernel_size[1] // 2)


class ConvCache:
    """The inputs that a convolution still needs, and what the rows above add to this row."""

    def __init__(self, weights: ConvWeights, batch: int, width: int) -> None:
        """Start above the first row, where everything is zero."""
        self.weights, self.width = weights, width
        zeros = weights.own.new_zeros
        self._before = zeros(batch, weights.above + 1, width + weights.columns - 1, weights.inputs)
        self._sum = zeros(batch, width, weights.out)
        self._first = True

    def begin_row(self, extra: Tensor | float = 0.0) -> None:
        """Move to the next row; ``extra`` (B, 1 or W, out) is added to its outputs."""
        weights, before = self.weights, self._before
        if not self._first and weights.above:
            before = torch.cat([before[:, 1:], torch.zeros_like(before[:, :1])], dim=1)
        elif not self._first:
            before = torch.zeros_like(before)
        self._before, self._first = before, False
        sums = weights.bias
        if weights.above:
            # (B, rows, W, in, columns) to (B, W, rows, columns, in)
            patches = before[:, :-1].unfold(2, weights.columns, 1).permute(0, 2, 1, 4, 3)
            sums = sums + patches.flatten(2) @ weights.rows
        self._sum = (sums + extra).expand(len(before), self.width, weights.out)

    def record(self, column: int, x: Tensor) -> None:
        """Set the input (B, in) of a pixel of this row."""
        self._before[:, -1, self.weights.left + column] = x

    def at(self, column: int, x: Tensor) -> Tensor:
        """Set the input (B, in) of a pixel of this row, and compute its output (B, out)."""
        self.record(column, x)
        return self.here(column)

    def here(self, column: int) -> Tensor:
        """The output (B, out) of a pixel from what was recorded."""
        taps = self._before[:, -1, column : column + self.weights.left + 1]
        return self._sum[:, column] + taps.flatten(1) @ self.weights.own


class Pointwise:
    """A 1x1 convolution of single pixels, which needs no cache."""

    def __init__(self, layer: MaskedConv2d) -> None:
        self._weights = ConvWeights.of(layer)

    def __call__(self, x: Tensor) -> Tensor:
        """(B, in) -> (B, out)."""
        return torch.addmm(self._weights.bias, x, self._weights.own)


class RowCache:
    """The rows above that a convolution over whole rows still needs."""

    def __init__(self, conv: nn.Conv2d, sides: int, batch: int, width: int) -> None:
        """Start above the first row, where everything is zero.

        Args:
            conv: (rows, columns); its last row is the current one.
            sides: columns of zeros at each side.
            batch: number of images B.
            width: columns of the map.
        """
        self._conv, self._sides = conv, sides
        shape = (batch, conv.kernel_size[0] - 1, width, conv.in_channels)
        self._above = conv.weight.new_zeros(shape)

    def push(self, row: Tensor) -> None:
        """Add a row (B, W, in) without computing anything."""
        self._above = torch.cat([self._above, row.unsqueeze(1)], dim=1)[:, 1:]

    def row(self, row: Tensor) -> Tensor:
        """Add a row (B, W, in) and compute its outputs (B, W / stride, out)."""
        conv = self._conv
        both = torch.cat([self._above, row.unsqueeze(1)], dim=1).permute(0, 3, 1, 2)
        padded = F.pad(both, (self._sides, self._sides, 0, 0))
        found = F.conv2d(padded, conv.weight, conv.bias, (1, conv.stride[1]))
        self.push(row)
        return found.permute(0, 2, 3, 1)[:, 0]
