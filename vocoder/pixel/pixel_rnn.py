"""PixelRNN: Row LSTM and Diagonal BiLSTM layers (van den Oord et al. 2016, arXiv 1601.06759).

Row LSTM computes a row at once from the row above, through a convolution of k positions, so that
its receptive field is a triangle. Diagonal BiLSTM steps through diagonals: a pixel's states come
from its left and upper neighbours, and in the second direction from its right and upper ones. The
map of the second direction moves down by a row before it is added, because the pixels to the right
come later. Together both see the whole past, but for the last pixel of the row above: mask A hides
it from its own features, so only the first convolution sees it, if it is near.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.pixel.config import DiagonalLstmConfig, RowLstmConfig
from vocoder.pixel.masks import MaskedConv2d, PixelHead, each, groups_of
from vocoder.pixel.recurrence import GATES, recur

FORGET_BIAS = 1.0
"""Initial bias of the forget gates, so that cells remember from the start."""


def skew(x: Tensor) -> Tensor:
    """Move row i right by i: (B, H, W, C) -> (B, H, H + W - 1, C), with zeros around it."""
    batch, height, width, channels = x.shape
    padded = F.pad(x, (0, 0, 0, height)).flatten(1, 2)
    return padded[:, : height * (height + width - 1)].view(batch, height, -1, channels)


def unskew(x: Tensor, width: int) -> Tensor:
    """The inverse of :func:`skew`: (B, H, H + W - 1, C) -> (B, H, W, C)."""
    batch, height, _, channels = x.shape
    padded = F.pad(x.flatten(1, 2), (0, 0, 0, height)).view(batch, height, -1, channels)
    return padded[:, :, :width]


class RowLstm(nn.Module):
    """Rows from top to bottom; a state reads k states of the row above."""

    directions = 1

    def __init__(self, inputs: int, hidden: int, kernel_size: int, channels: int) -> None:
        """Set up a layer.

        Args:
            inputs: channels of the map.
            hidden: number of states h.
            kernel_size: k of both convolutions along the row.
            channels: channels of a pixel.
        """
        super().__init__()
        gates = groups_of(hidden, channels, GATES)
        self.input = MaskedConv2d(groups_of(inputs, channels), gates, (1, kernel_size), "B")
        self.offsets = tuple(range(-(kernel_size // 2), kernel_size // 2 + 1))
        self.recurrent = _recurrent_weight(self.directions, len(self.offsets), hidden)
        _remember(self.input, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, inputs) -> (B, H, W, h)."""
        gates = self.input(x).transpose(0, 1).unsqueeze(1)
        return recur(gates, self.recurrent, self.offsets)[:, 0].transpose(0, 1)


class DiagonalLstm(nn.Module):
    """Diagonals in both directions; a state reads its neighbours in the row and above."""

    directions = 2
    offsets = (-1, 0)

    def __init__(self, inputs: int, hidden: int, channels: int) -> None:
        """Set up a layer; arguments as in :class:`RowLstm`."""
        super().__init__()
        groups = groups_of(inputs, channels), groups_of(hidden, channels, GATES)
        self.input = nn.ModuleList(
            MaskedConv2d(*groups, (1, 1), "B") for _ in range(self.directions)
        )
        self.recurrent = _recurrent_weight(self.directions, len(self.offsets), hidden)
        for conv in each(self.input, MaskedConv2d):
            _remember(conv, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, inputs) -> (B, H, W, h)."""
        left, right = self.input
        # (D, B, H, S, C) to steps along the diagonals (S, D, B, H, C).
        gates = torch.stack([skew(left(x)), skew(right(x).flip(2))])
        states = recur(gates.permute(3, 0, 1, 2, 4), self.recurrent, self.offsets)
        from_left, from_right = states.permute(1, 2, 3, 0, 4)
        later = unskew(from_right, x.shape[2]).flip(2)
        return unskew(from_left, x.shape[2]) + F.pad(later, (0, 0, 0, 0, 1, -1))


def _recurrent_weight(directions: int, taps: int, hidden: int) -> nn.Parameter:
    bound = (taps * hidden) ** -0.5
    return nn.Parameter(
        torch.empty(directions, taps * hidden, GATES * hidden).uniform_(-bound, bound)
    )


def _remember(conv: MaskedConv2d, hidden: int) -> None:
    assert conv.conv.bias is not None
    with torch.no_grad():
        conv.conv.bias[hidden : 2 * hidden] = FORGET_BIAS


class RnnLayer(nn.Module):
    """An LSTM layer, a 1x1 convolution to 2 h, and the residual connection (section 3.3)."""

    def __init__(self, config: RowLstmConfig | DiagonalLstmConfig, channels: int) -> None:
        super().__init__()
        hidden, self.residual = config.hidden_channels, config.residual
        self.lstm: RowLstm | DiagonalLstm = (
            RowLstm(2 * hidden, hidden, config.kernel_size, channels)
            if isinstance(config, RowLstmConfig)
            else DiagonalLstm(2 * hidden, hidden, channels)
        )
        groups = groups_of(hidden, channels), groups_of(2 * hidden, channels)
        self.expand = MaskedConv2d(*groups, (1, 1), "B")

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, 2 h) -> (B, H, W, 2 h)."""
        y: Tensor = self.expand(self.lstm(x))
        return x + y if self.residual else y


class PixelRnn(nn.Module):
    """A mask-A convolution, LSTM layers, and two 1x1 layers."""

    def __init__(
        self, config: RowLstmConfig | DiagonalLstmConfig, channels: int, parameters: int
    ) -> None:
        """Set up the network for images of ``channels``, with ``parameters`` for each of them."""
        super().__init__()
        self.config = config
        outer = groups_of(2 * config.hidden_channels, channels)
        first = (config.first_kernel, config.first_kernel)
        self.first = MaskedConv2d(groups_of(channels, channels), outer, first, "A")
        self.layers = nn.ModuleList(RnnLayer(config, channels) for _ in range(config.layers))
        self.head = PixelHead(len(outer), config.head_channels, channels, parameters)

    def forward(self, x: Tensor, condition: None = None) -> Tensor:
        """Scaled images (B, H, W, channels) -> parameters (B, H, W, channels * parameters)."""
        x = self.first(x)
        for layer in self.layers:
            x = layer(x)
        parameters: Tensor = self.head(x)
        return parameters
