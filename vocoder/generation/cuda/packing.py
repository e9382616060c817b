"""A model's weights and shape as the kernel takes them; the layout is written in kernels.py."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder import quantization
from vocoder.config import ModelConfig
from vocoder.generation.state import ring_offsets
from vocoder.wavenet.model import WaveNet
from vocoder.wavenet.modules import ResidualBlock

FORMATS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
"""Number formats of the weights. Products are summed in float32 in all of them."""

LEAST_WIDTH = 16
"""Least width and least number of rows of a tensor-core product."""

LARGEST_MATRIX_BYTES = 128 * 1024
"""Largest matrix of one product: it passes through a multiprocessor's shared memory."""

LARGEST_PREFETCH_BYTES = 60 * 1024
"""Most of a layer's matrices that are fetched while the layer before is computed: a quarter of a
multiprocessor's registers."""

HEAD_BLOCK = 32
"""Channels of the head that are taken on to the output at a time."""


class Packed(NamedTuple):
    """What the kernel reads of a model, on the model's device.

    Attributes:
        weights: every product's matrices, in their format.
        biases: float32.
        input_weights: of the input convolution (TAPS, C, R'), float32.
        decode: sample of each mu-law code, float32.
        ring_offsets: of each layer's ring in a row of the state's storage, int64.
        dilations: int32.
    """

    weights: Tensor
    biases: Tensor
    input_weights: Tensor
    decode: Tensor
    ring_offsets: Tensor
    dilations: Tensor


def padded(width: int) -> int:
    """The next width that a product takes."""
    return max(LEAST_WIDTH, 1 << (width - 1).bit_length())


def shape(config: ModelConfig) -> dict[str, Any]:
    """The kernel's constants for a model."""
    stack, mu_law = config.stack, config.distribution.kind == "mu_law"
    values = config.distribution.parameters if mu_law else config.distribution.parameters // 3
    order = config.linear_prediction.order if config.linear_prediction else 0
    skip = padded(stack.skip_channels)
    return {
        "LAYERS": stack.layers,
        "TAPS": stack.kernel_size,
        "PERIOD": (stack.kernel_size - 1) * max(stack.dilations),
        "RESIDUAL": stack.residual_channels,
        "RESIDUAL_": padded(stack.residual_channels),
        "HALF": stack.gate_channels // 2,
        "HALF_": padded(stack.gate_channels // 2),
        "SKIP_": skip,
        "SKIP_BLOCK": min(skip, HEAD_BLOCK),
        "CHANNELS": quantization.CLASSES if mu_law else 3 if order else 1,
        "VALUES": values,
        "VALUES_": padded(values),
        "MU_LAW": mu_law,
        "HOLD": config.hold,
        "ORDER": order,
        "ORDER_": padded(order) if order else 0,
    }


def prefetches(config: ModelConfig, weights: str) -> bool:
    """Whether a layer's matrices fit into registers while another layer's are in use."""
    constants = shape(config)
    residual, half, skip = (constants[name] for name in ("RESIDUAL_", "HALF_", "SKIP_"))
    elements = half * (constants["TAPS"] * 2 * residual + residual + skip)
    return bool(elements * FORMATS[weights].itemsize <= LARGEST_PREFETCH_BYTES)


def too_wide(config: ModelConfig, weights: str) -> str | None:
    """Why the kernel cannot take a model in a number format; None where it can."""
    if config.contexts or config.distribution.kind == "gaussian":
        return "context stacks and Gaussian output are not in the kernel yet"
    stack, size = config.stack, FORMATS[weights].itemsize
    half = padded(stack.gate_channels // 2)
    residual, skip = padded(stack.residual_channels), padded(stack.skip_channels)
    for name, rows, columns in (
        ("residual_channels", half, residual),
        ("skip_channels", half, skip),
        ("skip_channels", HEAD_BLOCK, skip),
    ):
        if rows * columns * size > LARGEST_MATRIX_BYTES:
            return (
                f"too wide: a matrix of {rows} x {columns} ({name}, in {weights}) has "
                f"{rows * columns * size // 1024} KiB, more than "
                f"{LARGEST_MATRIX_BYTES // 1024} KiB of shared memory"
            )
    return None


def pack(model: WaveNet, weights: str) -> Packed:
    """Weights in one of :data:`FORMATS`, each width padded with zeros."""
    config, stack = model.config, model.config.stack
    constants = shape(config)
    residual, half, skip = (constants[name] for name in ("RESIDUAL_", "HALF_", "SKIP_"))
    values, groups = constants["VALUES_"], config.distribution.parameters // constants["VALUES"]
    taps, own_half = stack.kernel_size, stack.gate_channels // 2
    parts, biases = [], []
    skips = _transposed(model.stack.skip).unflatten(0, (stack.layers, own_half))
    for block, layer_skip in zip(model.stack.blocks, skips, strict=True):
        assert isinstance(block, ResidualBlock)
        dilated = _transposed(block.dilated.linear)
        dilated = dilated.unflatten(0, (taps, -1)).unflatten(2, (2, own_half)).transpose(1, 2)
        parts.append(_pad(dilated, residual, half))
        if block.residual is None:
            parts.append(parts[-1].new_zeros(half, residual))
            biases.append(parts[-1].new_zeros(residual))
        else:
            parts.append(_pad(_transposed(block.residual), half, residual))
            biases.append(_pad(block.residual.bias, residual))
        parts.append(_pad(layer_skip, half, skip))
    output = _transposed(model.output).unflatten(1, (groups, -1)).transpose(0, 1)
    parts += [_pad(_transposed(model.head), skip, skip), _pad(output, skip, values)]
    biases += [_pad(model.stack.skip.bias, skip), _pad(model.head.bias, skip)]
    biases += [_pad(model.output.bias.unflatten(0, (groups, -1)), values)]
    biases += [_pad(model.input.linear.bias, residual)]
    inputs = _transposed(model.input.linear).unflatten(0, (taps, -1))
    device = model.device
    return Packed(
        weights=torch.cat([part.flatten() for part in parts]).detach().to(FORMATS[weights]),
        biases=torch.cat([bias.flatten() for bias in biases]).detach().float(),
        input_weights=_pad(inputs, residual).detach().float().contiguous(),
        decode=quantization.mu_law_decode(torch.arange(quantization.CLASSES, device=device)),
        ring_offsets=torch.tensor(ring_offsets(stack)[:-1], device=device),
        dilations=torch.tensor(stack.dilations, dtype=torch.int32, device=device),
    )


class PackedGates(NamedTuple):
    """What turns conditioning into gates, float32.

    Attributes:
        weights: of local conditioning, then of the speaker (C + S, L * G).
        bias: of the dilated convolutions, constant in every gate (L * G).
    """

    weights: Tensor
    bias: Tensor


def pack_gates(model: WaveNet) -> PackedGates:
    """The projections of the conditioning, all layers side by side."""
    stack = model.stack
    biases: list[Tensor] = []
    for block in stack.blocks:
        assert isinstance(block, ResidualBlock)
        biases.append(block.dilated.linear.bias)
    projections = [_transposed(stack.local_projection), _transposed(stack.global_projection)]
    return PackedGates(
        torch.cat(projections).detach().float().contiguous(), torch.cat(biases).detach().float()
    )


def _transposed(linear: nn.Linear) -> Tensor:
    """Weights (in, out)."""
    return linear.weight.t()


def _pad(x: Tensor, *widths: int) -> Tensor:
    """Zeros after the last dimensions, up to the widths."""
    last = [width - size for width, size in zip(widths, x.shape[-len(widths) :], strict=True)]
    return F.pad(x, [amount for surplus in reversed(last) for amount in (0, surplus)])
