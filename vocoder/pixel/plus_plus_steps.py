"""PixelCNN++, pixel by pixel: a halved map advances on every second row and column only."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.pixel.caches import ConvCache, ConvWeights, RowCache
from vocoder.pixel.condition import Condition
from vocoder.pixel.masks import each
from vocoder.pixel.pixel_cnn_plus_plus import (
    GatedResidual,
    Level,
    PixelCnnPlusPlus,
    ShiftedConv,
    Upsampling,
    concat_elu,
)


class _RowLayer:
    """A layer of the stream of the rows above."""

    def __init__(self, layer: GatedResidual, batch: int, width: int) -> None:
        self._layer = layer
        convs = layer.input, layer.output
        self._input, self._output = (RowCache(c.conv, c.padding[1], batch, width) for c in convs)

    def row(self, x: Tensor, other: Tensor | None, condition: Condition | None) -> Tensor:
        inner = self._input.row(concat_elu(x))
        if self._layer.shortcut is not None and other is not None:
            inner = inner + self._layer.shortcut(concat_elu(other))
        return _gated(x, self._output.row(concat_elu(inner)) + _own(self._layer, condition))


class _PixelLayer:
    """A layer of the stream of all pixels before."""

    def __init__(self, layer: GatedResidual, batch: int, width: int) -> None:
        self._layer = layer
        self._input = _cache(layer.input, batch, width)
        self._output = _cache(layer.output, batch, width)

    def begin_row(self, condition: Condition | None) -> None:
        self._input.begin_row()
        self._output.begin_row(_own(self._layer, condition))

    def at(self, column: int, x: Tensor, other: Tensor) -> Tensor:
        inner = self._input.at(column, concat_elu(x))
        if self._layer.shortcut is not None:
            inner = inner + self._layer.shortcut(concat_elu(other))
        return _gated(x, self._output.at(column, concat_elu(inner)))


def _gated(x: Tensor, both: Tensor) -> Tensor:
    value, gate = both.chunk(2, dim=-1)
    return x + value * torch.sigmoid(gate)


def _cache(layer: ShiftedConv, batch: int, width: int) -> ConvCache:
    conv = layer.conv
    return ConvCache(ConvWeights(conv.weight, conv.bias, layer.padding[1]), batch, width)


def _doubled(layer: Upsampling, x: Tensor) -> Tensor:
    """Places of a row (B, W, C) -> two rows of twice the width (B, 2, 2 W, C)."""
    found: Tensor = layer(x.unsqueeze(1))
    return found


class _Resolution:
    """The caches of one resolution, in both halves of the network."""

    def __init__(self, network: PixelCnnPlusPlus, index: int, batch: int, width: int) -> None:
        down = each(network.down, Level)[index].pairs()
        up = each(network.up, Level)[len(network.halving) - index].pairs()
        self.down_rows = [_RowLayer(layer, batch, width) for layer, _ in down]
        self.up_rows = [_RowLayer(layer, batch, width) for layer, _ in up]
        self.down_pixels = [_PixelLayer(layer, batch, width) for _, layer in down]
        self.up_pixels = [_PixelLayer(layer, batch, width) for _, layer in up]
        # What leads to this resolution from the next finer one, and back.
        fine = 2 * width
        self.halving: tuple[RowCache, ConvCache] | None = None
        self.doubling: tuple[Upsampling, Upsampling] | None = None
        if index:
            above, before = each(network.halving[index - 1], ShiftedConv)
            rows = RowCache(above.conv, above.padding[1], batch, fine)
            self.halving = rows, _cache(before, batch, fine)
            pair = each(network.doubling[len(network.halving) - index], Upsampling)
            self.doubling = pair[0], pair[1]
        hidden = network.config.hidden_channels
        zeros = network.output.weight.new_zeros
        self.doubled_rows = zeros(batch, 2, fine, hidden)
        self.doubled_pixels = zeros(batch, 2, fine, hidden)
        """Two rows of the finer map, of both streams, from the row of this resolution."""
        self.row_maps: list[Tensor] = []
        """Rows of the first half's maps (B, W, hidden), for the short-cuts."""
        self.up_row_maps: list[Tensor] = []


class PixelCnnPlusPlusSteps:
    """See :class:`vocoder.pixel.steps.Steps`."""

    def __init__(self, network: PixelCnnPlusPlus, batch: int, width: int) -> None:
        """Start above the first row."""
        self._network = network
        self._levels = [
            _Resolution(network, i, batch, width >> i) for i in range(len(network.halving) + 1)
        ]
        channels = network.first_left.in_channels
        self._image = network.output.weight.new_zeros(batch, 3, width + 2, channels)
        """Two rows above and the current one, with a column of zeros at each side."""
        self._row = -1
        self._first_row: Tensor = network.output.weight.new_zeros(0)

    def begin_row(self, condition: Condition | None) -> None:
        """See :class:`vocoder.pixel.steps.Steps`."""
        self._row += 1
        self._image = torch.cat([self._image[:, 1:], torch.zeros_like(self._image[:, :1])], dim=1)
        image = self._image.permute(0, 3, 1, 2)
        above = self._network.first_above(image[:, :, :2])[:, :, 0].transpose(1, 2)
        self._first_row = self._network.first_row(image[:, :, 1:2])[:, :, 0].transpose(1, 2)
        conditions = self._network.conditions(condition)
        deepest = self._depth(self._row, len(self._levels) - 1)
        for i, level in enumerate(self._levels[: deepest + 1]):
            if level.halving:
                rows, pixels = level.halving
                pixels.begin_row()
                above = rows.row(self._levels[i - 1].row_maps[-1])
            level.row_maps = [above]
            for layer in level.down_rows:
                above = layer.row(above, None, conditions[i])
                level.row_maps.append(above)
            for pixel in level.down_pixels:
                pixel.begin_row(conditions[i])
        if deepest + 1 < len(self._levels):
            # The next level skips this row, but its halving convolution reads it later.
            rows, pixels = self._halving(deepest + 1)
            rows.push(self._levels[deepest].row_maps[-1])
            pixels.begin_row()
        for i in reversed(range(deepest + 1)):
            level = self._levels[i]
            if i + 1 < len(self._levels):
                above = self._levels[i + 1].doubled_rows[:, (self._row >> i) % 2]
            else:
                above = level.row_maps[-1]
            self._begin_second_half(level, i, above, conditions[i])

    def _begin_second_half(
        self, level: _Resolution, index: int, above: Tensor, condition: Condition | None
    ) -> None:
        # The last map of the first half is this half's input at the lowest resolution.
        maps = list(level.row_maps)
        if index == len(self._levels) - 1:
            maps.pop()
        level.up_row_maps = []
        for layer in level.up_rows:
            above = layer.row(above, maps.pop(), condition)
            level.up_row_maps.append(above)
        for pixel in level.up_pixels:
            pixel.begin_row(condition)
        if level.doubling:
            level.doubled_rows = _doubled(level.doubling[0], above)

    def _halving(self, index: int) -> tuple[RowCache, ConvCache]:
        found = self._levels[index].halving
        assert found is not None
        return found

    @staticmethod
    def _depth(place: int, most: int) -> int:
        """The lowest resolution that has a place at a row or column."""
        depth = 0
        while depth < most and place % 2 ** (depth + 1) == 0:
            depth += 1
        return depth

    def at(self, column: int, x: Tensor) -> Tensor:
        """See :class:`vocoder.pixel.steps.Steps`; the pixel itself is not read."""
        most = self._depth(self._row, len(self._levels) - 1)
        deepest = self._depth(column, most)
        left = self._image[:, 1:, column : column + 1].permute(0, 3, 1, 2)
        before = self._first_row[:, column] + self._network.first_left(left)[:, :, 0, 0]
        maps: list[list[Tensor]] = []
        for i, level in enumerate(self._levels[: deepest + 1]):
            place = column >> i
            if level.halving:
                before = level.halving[1].here(column >> (i - 1))
            own = [before]
            for k, pixel in enumerate(level.down_pixels):
                before = pixel.at(place, before, level.row_maps[k + 1][:, place])
                own.append(before)
            maps.append(own)
            if i + 1 < len(self._levels):
                self._halving(i + 1)[1].record(place, before)
        for i in reversed(range(deepest + 1)):
            level, place = self._levels[i], column >> i
            own = maps[i]
            if i + 1 < len(self._levels):
                doubled = self._levels[i + 1].doubled_pixels
                before = doubled[:, (self._row >> i) % 2, place]
            else:
                before = own.pop()
            for above, pixel in zip(level.up_row_maps, level.up_pixels, strict=True):
                other = above[:, place]
                old = own.pop()
                if self._network.config.shortcuts:
                    other = torch.cat([other, old], dim=-1)
                before = pixel.at(place, before, other)
            if level.doubling:
                fine = _doubled(level.doubling[1], before.unsqueeze(1))
                level.doubled_pixels[:, :, 2 * place : 2 * place + 2] = fine
        parameters: Tensor = self._network.output(F.elu(before))
        return parameters

    def settle(self, column: int, x: Tensor) -> None:
        """See :class:`vocoder.pixel.steps.Steps`."""
        self._image[:, 2, column + 1, :-1] = x
        self._image[:, 2, column + 1, -1] = 1.0


def _own(layer: GatedResidual, condition: Condition | None) -> Tensor | float:
    found = layer.condition(condition)
    return found if isinstance(found, float) else found[:, 0]
