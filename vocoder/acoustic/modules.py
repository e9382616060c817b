"""Layers shared by the aligner and the acoustic model. Sequences are [B, C, T]."""

import torch.nn.functional as F
from torch import Tensor, nn


class ResidualConv(nn.Module):
    """``x + W gelu(conv(norm(x)))``: a convolution with a wide hidden layer, masked."""

    def __init__(self, channels: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.conv = nn.Conv1d(channels, 2 * channels, kernel_size, padding=kernel_size // 2)
        self.mix = nn.Conv1d(2 * channels, channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Sequence (B, C, T) and its mask (B, 1, T) -> (B, C, T); padding has no effect."""
        inner = self.norm(x.transpose(1, 2)).transpose(1, 2) * mask
        return x + self.dropout(self.mix(F.gelu(self.conv(inner))))


class ConvStack(nn.Module):
    """An input projection, residual convolutions and an output projection."""

    def __init__(
        self,
        inputs: int,
        channels: int,
        outputs: int,
        layers: int,
        kernel_size: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.input = nn.Conv1d(inputs, channels, 1)
        self.layers = nn.ModuleList(
            ResidualConv(channels, kernel_size, dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(channels)
        self.output = nn.Conv1d(channels, outputs, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Sequence (B, inputs, T) and its mask (B, 1, T) -> (B, outputs, T)."""
        return self.output(self.hidden(x, mask))

    def hidden(self, x: Tensor, mask: Tensor) -> Tensor:
        """The output projection's input (B, channels, T); arguments as in :meth:`forward`."""
        x = self.input(x * mask)
        for layer in self.layers:
            x = layer(x, mask)
        return self.norm(x.transpose(1, 2)).transpose(1, 2)
