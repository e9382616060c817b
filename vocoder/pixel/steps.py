"""PixelCNN, Gated PixelCNN and PixelRNN, pixel by pixel, from caches of what earlier pixels left.

Each class is the state of a tile of images: rows begin one after another, and within a row the
parameters of each pixel are computed from left to right. A copy of the state continues on its own.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.pixel.caches import ConvCache, ConvWeights, Pointwise, RowCache
from vocoder.pixel.condition import Condition
from vocoder.pixel.gated_pixel_cnn import GatedLayer, GatedPixelCnn
from vocoder.pixel.masks import MaskedConv2d, PixelHead, each
from vocoder.pixel.pixel_cnn import PixelCnn, ResidualBlock
from vocoder.pixel.pixel_rnn import DiagonalLstm, PixelRnn, RnnLayer, RowLstm
from vocoder.pixel.recurrence import lstm_cell
from vocoder.wavenet.modules import gated_unit


class Steps(Protocol):
    """The state of B images that are drawn pixel by pixel."""

    def begin_row(self, condition: Condition | None) -> None:
        """Move to the next row; a condition's map is of this row (B, 1, W, map_channels)."""
        ...

    def at(self, column: int, x: Tensor) -> Tensor:
        """Parameters (B, P) of a pixel, of whose scaled channels x (B, C) some may be known."""
        ...

    def settle(self, column: int, x: Tensor) -> None:
        """Record all of a pixel's scaled channels (B, C)."""
        ...


def _cache(layer: MaskedConv2d, batch: int, width: int) -> ConvCache:
    return ConvCache(ConvWeights.of(layer), batch, width)


class _Head:
    def __init__(self, head: PixelHead) -> None:
        self._hidden, self._output = Pointwise(head.hidden), Pointwise(head.output)

    def __call__(self, x: Tensor) -> Tensor:
        return self._output(F.relu(self._hidden(F.relu(x))))


class PixelCnnSteps:
    """See :class:`Steps`."""

    def __init__(self, network: PixelCnn, batch: int, width: int) -> None:
        """Start above the first row."""
        self._first = _cache(network.first, batch, width)
        self._blocks = [
            (Pointwise(b.reduce), _cache(b.conv, batch, width), Pointwise(b.expand))
            for b in each(network.blocks, ResidualBlock)
        ]
        self._head = _Head(network.head)

    def begin_row(self, condition: Condition | None) -> None:
        """See :class:`Steps`."""
        self._first.begin_row()
        for _, conv, _ in self._blocks:
            conv.begin_row()

    def at(self, column: int, x: Tensor) -> Tensor:
        """See :class:`Steps`."""
        x = self._first.at(column, x)
        for reduce, conv, expand in self._blocks:
            x = x + expand(F.relu(conv.at(column, F.relu(reduce(F.relu(x))))))
        return self._head(x)

    def settle(self, column: int, x: Tensor) -> None:
        """See :class:`Steps`."""
        self._first.record(column, x)


class GatedPixelCnnSteps:
    """See :class:`Steps`. The vertical stack advances row by row."""

    def __init__(self, network: GatedPixelCnn, batch: int, width: int) -> None:
        """Start above the first row."""
        self._network, self._layers = network, each(network.layers, GatedLayer)
        above = network.above
        self._above = RowCache(above.conv, above.sides, batch, width)
        self._beside = _cache(network.beside, batch, width)
        self._vertical = [
            RowCache(layer.vertical.conv, layer.vertical.sides, batch, width)
            for layer in self._layers
        ]
        self._horizontal = [_cache(layer.horizontal, batch, width) for layer in self._layers]
        self._residual = [Pointwise(layer.residual) for layer in self._layers]
        self._head = _Head(network.head)
        self._row = above.conv.weight.new_zeros(batch, width, above.conv.in_channels)

    def begin_row(self, condition: Condition | None) -> None:
        """See :class:`Steps`."""
        network = self._network
        vertical = self._above.row(self._row)
        self._beside.begin_row(network.down(vertical))
        caches = zip(self._layers, self._vertical, self._horizontal, strict=True)
        for layer, rows, horizontal in caches:
            above = rows.row(vertical)
            own = layer.horizontal_condition(condition)
            horizontal.begin_row(layer.down(above) + (own if isinstance(own, float) else own[:, 0]))
            if layer.vertical_condition is not None:
                own = layer.vertical_condition(condition)
                vertical = gated_unit(above + (own if isinstance(own, float) else own[:, 0]))

    def at(self, column: int, x: Tensor) -> Tensor:
        """See :class:`Steps`."""
        x = self._beside.at(column, x)
        for horizontal, residual in zip(self._horizontal, self._residual, strict=True):
            x = x + residual(gated_unit(horizontal.at(column, x)))
        return self._head(x)

    def settle(self, column: int, x: Tensor) -> None:
        """See :class:`Steps`."""
        self._beside.record(column, x)
        self._row[:, column] = x


class RowLstmSteps:
    """See :class:`Steps`. The states of the row above enter once for the whole row."""

    def __init__(self, network: PixelRnn, batch: int, width: int) -> None:
        """Start above the first row."""
        self._network, hidden = network, network.config.hidden_channels
        self._first = _cache(network.first, batch, width)
        layers = each(network.layers, RnnLayer)
        self._lstms = [layer.lstm for layer in layers if isinstance(layer.lstm, RowLstm)]
        self._inputs = [_cache(lstm.input, batch, width) for lstm in self._lstms]
        self._expand = [Pointwise(layer.expand) for layer in layers]
        self._head = _Head(network.head)
        zeros = network.first.conv.weight.new_zeros
        self._states = zeros(len(self._lstms), 2, batch, width, hidden)
        """States and cells of the row above, of each layer."""
        self._row = torch.zeros_like(self._states)

    def begin_row(self, condition: Condition | None) -> None:
        """See :class:`Steps`."""
        self._states, self._row = self._row, torch.zeros_like(self._row)
        self._first.begin_row()
        for i, lstm in enumerate(self._lstms):
            side, taps = -lstm.offsets[0], len(lstm.offsets)
            padded = F.pad(self._states[i, 0], (0, 0, side, side))
            patches = padded.unfold(1, taps, 1).transpose(2, 3).flatten(2)
            self._inputs[i].begin_row(patches @ lstm.recurrent[0])

    def at(self, column: int, x: Tensor) -> Tensor:
        """See :class:`Steps`."""
        x = self._first.at(column, x)
        for i, (inputs, expand) in enumerate(zip(self._inputs, self._expand, strict=True)):
            gates = inputs.at(column, x)
            state, cell = lstm_cell(gates, self._states[i, 1, :, column])
            self._row[i, 0, :, column], self._row[i, 1, :, column] = state, cell
            y = expand(state)
            x = x + y if self._network.config.residual else y
        return self._head(x)

    def settle(self, column: int, x: Tensor) -> None:
        """See :class:`Steps`."""
        self._first.record(column, x)


class DiagonalLstmSteps:
    """See :class:`Steps`. The second direction advances when a row is complete, from its right."""

    def __init__(self, network: PixelRnn, batch: int, width: int) -> None:
        """Start above the first row."""
        self._network, hidden = network, network.config.hidden_channels
        self._first = _cache(network.first, batch, width)
        layers = each(network.layers, RnnLayer)
        self._lstms = [layer.lstm for layer in layers if isinstance(layer.lstm, DiagonalLstm)]
        inputs = [each(lstm.input, MaskedConv2d) for lstm in self._lstms]
        self._left = [_cache(left, batch, width) for left, _ in inputs]
        self._right = [right for _, right in inputs]
        self._expand = [Pointwise(layer.expand) for layer in layers]
        self._head = _Head(network.head)
        zeros = network.first.conv.weight.new_zeros
        shape = (len(self._lstms), batch, width)
        self._inputs = zeros(*shape, 2 * hidden)
        """Inputs of each layer in this row, for the second direction."""
        self._above, self._row = zeros(*shape, hidden), zeros(*shape, hidden)
        self._cells = zeros(2, len(self._lstms), batch, hidden)
        """Cells of the left neighbour, and of the pixel as computed last."""
        self._later = zeros(*shape, hidden)
        """States of the second direction in the row above."""
        self._begun = False

    def begin_row(self, condition: Condition | None) -> None:
        """See :class:`Steps`."""
        if self._begun:
            self._later = self._from_right()
        self._begun = True
        self._above, self._row = self._row, torch.zeros_like(self._row)
        self._cells = torch.zeros_like(self._cells)
        for cache in (self._first, *self._left):
            cache.begin_row()

    def _from_right(self) -> Tensor:
        """States of the second direction in the row that is complete (L, B, W, h)."""
        weight = torch.stack([lstm.recurrent[1] for lstm in self._lstms])
        pairs = zip(self._right, self._inputs, strict=True)
        gates = torch.stack([conv(x.unsqueeze(1)).squeeze(1) for conv, x in pairs])
        states = torch.empty_like(self._later)
        state = cell = torch.zeros_like(self._cells[0])
        for column in reversed(range(states.shape[2])):
            read = torch.cat([self._later[:, :, column], state], dim=-1)
            state, cell = lstm_cell(torch.baddbmm(gates[:, :, column], read, weight), cell)
            states[:, :, column] = state
        return states

    def at(self, column: int, x: Tensor) -> Tensor:
        """See :class:`Steps`."""
        x = self._first.at(column, x)
        for i, lstm in enumerate(self._lstms):
            self._inputs[i, :, column] = x
            beside = self._row[i, :, column - 1] if column else torch.zeros_like(self._row[i, :, 0])
            read = torch.cat([self._above[i, :, column], beside], dim=-1)
            gates = self._left[i].at(column, x) + read @ lstm.recurrent[0]
            state, self._cells[1, i] = lstm_cell(gates, self._cells[0, i])
            self._row[i, :, column] = state
            y = self._expand[i](state + self._later[i, :, column])
            x = x + y if self._network.config.residual else y
        return self._head(x)

    def settle(self, column: int, x: Tensor) -> None:
        """See :class:`Steps`."""
        self._first.record(column, x)
        self._cells[0] = self._cells[1]
