"""PixelCNN: residual blocks of masked convolutions (van den Oord et al. 2016, arXiv 1601.06759).

Its receptive field has a blind spot: pixels above and to the right, beyond a line at 45 degrees,
are not seen however many layers there are.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.pixel.config import PixelCnnConfig
from vocoder.pixel.masks import MaskedConv2d, PixelHead, groups_of


class ResidualBlock(nn.Module):
    """ReLU, 1x1 to h, ReLU, masked k x k, ReLU, 1x1 to 2 h, added to the input (figure 5)."""

    def __init__(self, hidden: int, kernel_size: int, channels: int) -> None:
        super().__init__()
        outer, inner = groups_of(2 * hidden, channels), groups_of(hidden, channels)
        self.reduce = MaskedConv2d(outer, inner, (1, 1), "B")
        self.conv = MaskedConv2d(inner, inner, (kernel_size, kernel_size), "B")
        self.expand = MaskedConv2d(inner, outer, (1, 1), "B")

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, 2 h) -> (B, H, W, 2 h)."""
        inner = F.relu(self.conv(F.relu(self.reduce(F.relu(x)))))
        return x + self.expand(inner)


class PixelCnn(nn.Module):
    """A mask-A convolution, residual blocks, and two 1x1 layers."""

    def __init__(self, config: PixelCnnConfig, channels: int, parameters: int) -> None:
        """Set up the network for images of ``channels``, with ``parameters`` for each of them."""
        super().__init__()
        self.config = config
        outer = groups_of(2 * config.hidden_channels, channels)
        first = (config.first_kernel, config.first_kernel)
        self.first = MaskedConv2d(groups_of(channels, channels), outer, first, "A")
        self.blocks = nn.ModuleList(
            ResidualBlock(config.hidden_channels, config.kernel_size, channels)
            for _ in range(config.layers)
        )
        self.head = PixelHead(len(outer), config.head_channels, channels, parameters)

    def forward(self, x: Tensor, condition: None = None) -> Tensor:
        """Scaled images (B, H, W, channels) -> parameters (B, H, W, channels * parameters)."""
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        parameters: Tensor = self.head(x)
        return parameters
