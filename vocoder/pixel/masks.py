"""Masked convolutions: a pixel sees those before it in raster order, and channels in R, G, B order.

van den Oord et al. 2016, section 3.4 (arXiv 1601.06759). Maps are (B, H, W, C), channels last. The
features of a map are divided into as many groups as a pixel has channels; a group predicts its
channel. At the pixel itself, mask A shows a group the groups before it, and mask B its own as well.
"""

from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Mask = Literal["A", "B"]
Layer = TypeVar("Layer", bound=nn.Module)


def groups_of(features: int, groups: int, copies: int = 1) -> Tensor:
    """The group of each of ``copies`` x ``features`` channels, int64; groups are contiguous.

    Args:
        features: channels of one copy.
        groups: number of groups; group sizes differ by at most one.
        copies: how often the channels are repeated, such as once for each gate.
    """
    return (torch.arange(features) * groups // features).repeat(copies)


def centre_mask(inputs: Tensor, outputs: Tensor, mask: Mask) -> Tensor:
    """Which inputs a feature may see at its own pixel, float32 (len(outputs), len(inputs))."""
    before = inputs.unsqueeze(0), outputs.unsqueeze(1)
    return (before[0] < before[1] if mask == "A" else before[0] <= before[1]).float()


class MaskedConv2d(nn.Module):
    """A convolution over the rows above and the pixels to the left, with zeros outside the image.

    Only the upper half of the kernel exists; ``weight`` is (out, in, rows, columns), and its last
    row is the pixel's own.
    """

    mask: Tensor

    def __init__(
        self,
        inputs: Tensor,
        outputs: Tensor,
        kernel: tuple[int, int],
        mask: Mask,
        *,
        bias: bool = True,
    ) -> None:
        """Set up the weights.

        Args:
            inputs: group of each input channel.
            outputs: group of each output channel.
            kernel: height and width of the whole kernel, both odd.
            mask: what a group sees at its own pixel.
            bias: whether to add a bias.
        """
        super().__init__()
        rows, columns = kernel[0] // 2 + 1, kernel[1]
        self.conv = nn.Conv2d(len(inputs), len(outputs), (rows, columns), bias=bias)
        visible = torch.ones_like(self.conv.weight)
        visible[:, :, -1, columns // 2] = centre_mask(inputs, outputs, mask)
        visible[:, :, -1, columns // 2 + 1 :] = 0.0
        self.register_buffer("mask", visible, persistent=False)
        with torch.no_grad():
            # PyTorch's bound, for the number of inputs that are seen.
            seen = visible.mean().clamp_min(1 / visible[0].numel())
            self.conv.weight *= seen.rsqrt() * visible

    @property
    def weight(self) -> Tensor:
        """The masked weights (out, in, rows, columns)."""
        return self.conv.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, in) -> (B, H, W, out)."""
        rows, columns = self.mask.shape[2:]
        return convolve(x, self.weight, self.conv.bias, above=rows - 1, sides=columns // 2)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, *, above: int, sides: int) -> Tensor:
    """Convolve (B, H, W, in) after adding rows of zeros above, and columns at both sides."""
    x = x.permute(0, 3, 1, 2)
    if above:
        x = F.pad(x, (0, 0, above, 0))
    return F.conv2d(x, weight, bias, padding=(0, sides)).permute(0, 2, 3, 1)


def each(modules: nn.Module, kind: type[Layer]) -> list[Layer]:
    """The members of a list of modules, which are all of one kind."""
    assert isinstance(modules, nn.ModuleList)
    found = [module for module in modules if isinstance(module, kind)]
    assert len(found) == len(modules)
    return found


class PixelHead(nn.Module):
    """ReLU, 1x1 mask B, ReLU, 1x1 mask B: from the last map to the output's parameters."""

    def __init__(self, features: int, hidden: int, channels: int, parameters: int) -> None:
        """Set up the layers.

        Args:
            features: channels of the last map.
            hidden: width between the two layers.
            channels: channels of a pixel.
            parameters: output parameters of each channel.
        """
        super().__init__()
        middle = groups_of(hidden, channels)
        self.hidden = MaskedConv2d(groups_of(features, channels), middle, (1, 1), "B")
        final = groups_of(channels * parameters, channels)
        self.output = MaskedConv2d(middle, final, (1, 1), "B")

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, features) -> (B, H, W, channels * parameters)."""
        parameters: Tensor = self.output(F.relu(self.hidden(F.relu(x))))
        return parameters
