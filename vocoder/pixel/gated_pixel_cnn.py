"""Gated PixelCNN: two stacks without a blind spot (van den Oord et al. 2016b, arXiv 1606.05328).

The vertical stack sees all rows above, the horizontal one its row to the left, and each layer of
the vertical stack feeds the horizontal one through a 1x1 convolution. Only the horizontal stack has
groups of channels and residual connections.
"""

from torch import Tensor, nn

from vocoder.pixel.condition import Condition, ConditionProjection
from vocoder.pixel.config import GatedPixelCnnConfig
from vocoder.pixel.masks import MaskedConv2d, PixelHead, convolve, groups_of
from vocoder.wavenet.modules import gated_unit


class RowsAbove(nn.Module):
    """The first convolution of the vertical stack, over rows strictly above."""

    def __init__(self, channels: int, hidden: int, kernel_size: int) -> None:
        super().__init__()
        self.rows, self.sides = kernel_size // 2, kernel_size // 2
        self.conv = nn.Conv2d(channels, hidden, (self.rows, kernel_size))

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, channels) -> (B, H, W, hidden)."""
        bias = self.conv.bias
        return convolve(x, self.conv.weight, bias, above=self.rows, sides=self.sides)[:, :-1]


class VerticalConv(nn.Module):
    """A later convolution of the vertical stack, over its own row and those above."""

    def __init__(self, hidden: int, out: int, kernel_size: int) -> None:
        super().__init__()
        self.above, self.sides = kernel_size // 2, kernel_size // 2
        self.conv = nn.Conv2d(hidden, out, (self.above + 1, kernel_size))

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, hidden) -> (B, H, W, out)."""
        bias = self.conv.bias
        return convolve(x, self.conv.weight, bias, above=self.above, sides=self.sides)


class GatedLayer(nn.Module):
    """One layer of both stacks (figure 2)."""

    def __init__(
        self,
        config: GatedPixelCnnConfig,
        channels: int,
        classes: int,
        map_channels: int,
        *,
        last: bool,
    ) -> None:
        super().__init__()
        hidden, kernel_size = config.hidden_channels, config.kernel_size
        inner, gates = groups_of(hidden, channels), groups_of(hidden, channels, 2)
        self.vertical = VerticalConv(hidden, 2 * hidden, kernel_size)
        self.horizontal = MaskedConv2d(inner, gates, (1, kernel_size), "B")
        self.down = nn.Linear(2 * hidden, 2 * hidden, bias=False)
        self.residual = MaskedConv2d(inner, inner, (1, 1), "B")
        # The last layer's vertical output would be unused.
        self.vertical_condition = (
            None if last else ConditionProjection(classes, map_channels, 2 * hidden)
        )
        self.horizontal_condition = ConditionProjection(classes, map_channels, 2 * hidden)

    def forward(
        self, vertical: Tensor, horizontal: Tensor, condition: Condition | None
    ) -> tuple[Tensor, Tensor]:
        """Both maps (B, H, W, hidden) -> both maps of the next layer."""
        above = self.vertical(vertical)
        beside = self.horizontal(horizontal) + self.down(above)
        gated = gated_unit(beside + self.horizontal_condition(condition))
        if self.vertical_condition is not None:
            vertical = gated_unit(above + self.vertical_condition(condition))
        return vertical, horizontal + self.residual(gated)


class GatedPixelCnn(nn.Module):
    """A first convolution for each stack, gated layers, and two 1x1 layers."""

    def __init__(
        self,
        config: GatedPixelCnnConfig,
        channels: int,
        parameters: int,
        classes: int = 0,
        map_channels: int = 0,
    ) -> None:
        """Set up the network for images of ``channels``, with ``parameters`` for each of them."""
        super().__init__()
        self.config = config
        hidden, kernel = config.hidden_channels, config.first_kernel
        inner = groups_of(hidden, channels)
        self.above = RowsAbove(channels, hidden, kernel)
        self.beside = MaskedConv2d(groups_of(channels, channels), inner, (1, kernel), "A")
        self.down = nn.Linear(hidden, hidden, bias=False)
        self.layers = nn.ModuleList(
            GatedLayer(config, channels, classes, map_channels, last=i == config.layers - 1)
            for i in range(config.layers)
        )
        self.head = PixelHead(hidden, config.head_channels, channels, parameters)

    def forward(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        """Scaled images (B, H, W, channels) -> parameters (B, H, W, channels * parameters)."""
        vertical = self.above(x)
        horizontal = self.beside(x) + self.down(vertical)
        for layer in self.layers:
            vertical, horizontal = layer(vertical, horizontal, condition)
        parameters: Tensor = self.head(horizontal)
        return parameters
