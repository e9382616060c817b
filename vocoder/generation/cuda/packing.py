"""A model's weights and shape, packed for the kernel. kernels.py documents the layout."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from vocoder.config import ModelConfig
from vocoder.generation.cuda.chunk_engine import bands_obstacle
from vocoder.generation.cuda.context_packing import PackedContexts, context_shapes, pack_contexts
from vocoder.generation.cuda.matrices import (
    FORMATS,
    joined,
    layer_matrices,
    pad,
    padded,
    transposed,
)
from vocoder.generation.state import ring_offsets
from vocoder.wavenet import mu_law
from vocoder.wavenet.model import WaveNet
from vocoder.wavenet.modules import ResidualBlock

TILE_ROWS = 16
"""Rows of a program's tile."""

GATE_COLUMNS, GATE_DEPTH = 64, 32
"""Gates that a program projects, and channels of its inner loop's step."""

LARGEST_MATRIX_BYTES = 128 * 1024
"""Largest matrix of one product; it passes through a multiprocessor's shared memory."""

LARGEST_PREFETCH_BYTES = 60 * 1024
"""Largest size of a layer's matrices that are prefetched during the layer before: a quarter of a
multiprocessor's registers."""

HEAD_BLOCK = 32
"""Channels of the head that are computed and projected to the output at a time."""


class Packed(NamedTuple):
    """A model's packed weights, on the model's device.

    Attributes:
        weights: the matrices of all products, in the chosen format.
        biases: float32.
        input_weights: of the input convolution (TAPS, C, R'), float32.
        decode: the sample of each mu-law code, float32.
        ring_offsets: offset of each layer's ring in a row of the state's storage, int64.
        dilations: of each layer, int32.
        contexts: the context stacks; None if the model has none.
    """

    weights: Tensor
    biases: Tensor
    input_weights: Tensor
    decode: Tensor
    ring_offsets: Tensor
    dilations: Tensor
    contexts: PackedContexts | None


def shape(config: ModelConfig) -> dict[str, Any]:
    """The kernel's constants for a model."""
    stack, is_mu_law = config.stack, config.distribution.kind == "mu_law"
    groups = {"mu_law": 1, "gaussian": 2, "logistics": 3}[config.distribution.kind]
    values = config.distribution.parameters // groups
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
        "CHANNELS": mu_law.CLASSES if is_mu_law else 3 if order else 1,
        "VALUES": values,
        "VALUES_": padded(values),
        "GROUPS": groups,
        "MU_LAW": is_mu_law,
        "HOLD": config.hold,
        "ORDER": order,
        "ORDER_": padded(order) if order else 0,
        "CONTEXTS": context_shapes(config),
    }


def prefetches(config: ModelConfig, weights: str) -> bool:
    """Whether a layer's matrices fit into the registers while another layer's are in use."""
    constants = shape(config)
    residual, half, skip = (constants[name] for name in ("RESIDUAL_", "HALF_", "SKIP_"))
    elements = half * (constants["TAPS"] * 2 * residual + residual + skip)
    return bool(elements * FORMATS[weights].itemsize <= LARGEST_PREFETCH_BYTES)


def obstacle(config: ModelConfig, weights: str) -> str | None:
    """Why the kernel cannot run a model in a number format; None if it can."""
    if config.head_width != config.stack.skip_channels:
        return f"the kernel's head has skip_channels; head_channels is {config.head_channels}"
    return bands_obstacle(config) or too_wide(config, weights)


def too_wide(config: ModelConfig, weights: str) -> str | None:
    """Which matrix is too large for the kernel in a number format; None if none is."""
    size = FORMATS[weights].itemsize
    constants = shape(config)
    matrices = [
        ("residual_channels", constants["HALF_"], constants["RESIDUAL_"]),
        ("skip_channels", constants["HALF_"], constants["SKIP_"]),
        ("skip_channels", HEAD_BLOCK, constants["SKIP_"]),
    ]
    for s, context in enumerate(context_shapes(config)):
        where = f"contexts[{s}]"
        matrices += [
            (f"{where}.pool", context.part, context.residual_padded),
            (f"{where}.residual_channels", context.half_padded, context.residual_padded),
            (f"{where}.skip_channels", context.half_padded, context.skip_padded),
            (f"{where}.channels", context.skip_padded, context.channels_padded),
            (f"{where}.channels", context.channels_padded, constants["HALF_"]),
        ]
    for name, rows, columns in matrices:
        if rows * columns * size > LARGEST_MATRIX_BYTES:
            return (
                f"too wide: a matrix of {rows} x {columns} ({name}, in {weights}) has "
                f"{rows * columns * size // 1024} KiB, more than "
                f"{LARGEST_MATRIX_BYTES // 1024} KiB of shared memory"
            )
    return None


def pack(model: WaveNet, weights: str) -> Packed:
    """Weights in one of :data:`matrices.FORMATS`, each width padded with zeros."""
    config, stack = model.config, model.config.stack
    constants = shape(config)
    residual, skip = constants["RESIDUAL_"], constants["SKIP_"]
    values, groups = constants["VALUES_"], constants["GROUPS"]
    parts, biases = layer_matrices(stack, model.stack.blocks, model.stack.skip)
    output = transposed(model.output).unflatten(1, (groups, -1)).transpose(0, 1)
    parts += [pad(transposed(model.head), skip, skip), pad(output, skip, values)]
    biases += [pad(model.stack.skip.bias, skip), pad(model.head.bias, skip)]
    biases += [pad(model.output.bias.unflatten(0, (groups, -1)), values)]
    biases += [pad(model.input.linear.bias, residual)]
    inputs = transposed(model.input.linear).unflatten(0, (stack.kernel_size, -1))
    device = model.device
    return Packed(
        weights=joined(parts).to(FORMATS[weights]),
        biases=joined(biases).float(),
        input_weights=pad(inputs, residual).detach().float().contiguous(),
        decode=mu_law.decode(torch.arange(mu_law.CLASSES, device=device)),
        ring_offsets=torch.tensor(ring_offsets(stack)[:-1], device=device),
        dilations=torch.tensor(stack.dilations, dtype=torch.int32, device=device),
        contexts=pack_contexts(model, weights) if config.contexts else None,
    )


class PackedGates(NamedTuple):
    """The projection from conditioning to gates, float32.

    Attributes:
        weights: for local conditioning, then for the speaker (C + S, L * G).
        bias: of the dilated convolutions, added to every gate (L * G).
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
    projections = [transposed(stack.local_projection), transposed(stack.global_projection)]
    return PackedGates(
        torch.cat(projections).detach().float().contiguous(), torch.cat(biases).detach().float()
    )
