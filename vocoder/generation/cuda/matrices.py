"""Weights in the layout of the kernels' products: transposed, padded and concatenated."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.config import StackConfig
from vocoder.wavenet.modules import ResidualBlock

FORMATS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
"""Number formats of the weights. Every format accumulates in float32."""

LEAST_WIDTH = 16
"""Smallest width, and smallest number of rows, of a tensor-core product."""


def padded(width: int) -> int:
    """The smallest valid width of a product that is at least ``width``."""
    return max(LEAST_WIDTH, 1 << (width - 1).bit_length())


def joined(parts: list[Tensor]) -> Tensor:
    """All elements in one flat tensor, one part after another."""
    return torch.cat([part.flatten() for part in parts]).detach()


def transposed(linear: nn.Linear) -> Tensor:
    """Weights (in, out)."""
    return linear.weight.t()


def pad(x: Tensor, *widths: int) -> Tensor:
    """Pad the last dimensions with zeros to the given widths."""
    last = [width - size for width, size in zip(widths, x.shape[-len(widths) :], strict=True)]
    return F.pad(x, [amount for surplus in reversed(last) for amount in (0, surplus)])


def layer_matrices(
    stack: StackConfig, blocks: nn.ModuleList, skip: nn.Linear
) -> tuple[list[Tensor], list[Tensor]]:
    """The matrices of every layer, in order, and the residual path's bias of each."""
    taps, own_half = stack.kernel_size, stack.gate_channels // 2
    residual, half = padded(stack.residual_channels), padded(own_half)
    parts: list[Tensor] = []
    biases: list[Tensor] = []
    skips = transposed(skip).unflatten(0, (stack.layers, own_half))
    for block, layer_skip in zip(blocks, skips, strict=True):
        assert isinstance(block, ResidualBlock)
        dilated = transposed(block.dilated.linear)
        dilated = dilated.unflatten(0, (taps, -1)).unflatten(2, (2, own_half)).transpose(1, 2)
        parts.append(pad(dilated, residual, half))
        if block.residual is None:
            parts.append(dilated.new_zeros(half, residual))
            biases.append(dilated.new_zeros(residual))
        else:
            parts.append(pad(transposed(block.residual), half, residual))
            biases.append(pad(block.residual.bias, residual))
        parts.append(pad(layer_skip, half, padded(stack.skip_channels)))
    return parts, biases
