"""A model's weights and shape as the kernel takes them; the layout is written in kernels.py."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder import quantization
from vocoder.config import ModelConfig, StackConfig
from vocoder.generation.state import ring_offsets
from vocoder.wavenet.model import WaveNet
from vocoder.wavenet.modules import ContextStack, ResidualBlock

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

WINDOW_BLOCK = 64
"""Most samples of a context stack's window that are taken at a time."""


class PackedContexts(NamedTuple):
    """What the kernel reads of the context stacks; the layout is written in contexts.py.

    Attributes:
        weights: every product's matrices, in their format.
        biases: float32.
        ring_offsets: of each stack's each layer's ring in a row of its storage, int64.
        dilations: likewise, int32.
    """

    weights: Tensor
    biases: Tensor
    ring_offsets: Tensor
    dilations: Tensor


class Packed(NamedTuple):
    """What the kernel reads of a model, on the model's device.

    Attributes:
        weights: every product's matrices, in their format.
        biases: float32.
        input_weights: of the input convolution (TAPS, C, R'), float32.
        decode: sample of each mu-law code, float32.
        ring_offsets: of each layer's ring in a row of the state's storage, int64.
        dilations: int32.
        contexts: None without context stacks.
    """

    weights: Tensor
    biases: Tensor
    input_weights: Tensor
    decode: Tensor
    ring_offsets: Tensor
    dilations: Tensor
    contexts: PackedContexts | None


class ContextShape(NamedTuple):
    """The kernel's constants for a context stack; those padded are widths of products.

    Attributes:
        pool: samples of a window.
        channels: width of what it gives.
        channels_padded: likewise.
        projection: where those of the projection into the main stack's gates begin.
        part: samples of it that are taken at a time.
        parts: how often.
        layers: of the stack.
        taps: of its dilated convolutions.
        period: steps after which every ring is where it was.
        residual: width of the residual path.
        residual_padded: likewise.
        half_padded: half the width of the gates.
        skip_padded: width of the skip path.
        first_layer: where its layers begin among those of all context stacks.
        first_weight: where its weights begin.
        first_bias: where its biases begin.
    """

    pool: int
    channels: int
    channels_padded: int
    projection: int
    part: int
    parts: int
    layers: int
    taps: int
    period: int
    residual: int
    residual_padded: int
    half_padded: int
    skip_padded: int
    first_layer: int
    first_weight: int
    first_bias: int


def padded(width: int) -> int:
    """The next width that a product takes."""
    return max(LEAST_WIDTH, 1 << (width - 1).bit_length())


def shape(config: ModelConfig) -> dict[str, Any]:
    """The kernel's constants for a model."""
    stack, mu_law = config.stack, config.distribution.kind == "mu_law"
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
        "CHANNELS": quantization.CLASSES if mu_law else 3 if order else 1,
        "VALUES": values,
        "VALUES_": padded(values),
        "GROUPS": groups,
        "MU_LAW": mu_law,
        "HOLD": config.hold,
        "ORDER": order,
        "ORDER_": padded(order) if order else 0,
        "CONTEXTS": context_shapes(config),
    }


def context_shapes(config: ModelConfig) -> tuple[ContextShape, ...]:
    """The kernel's constants for each context stack."""
    shapes: list[ContextShape] = []
    layer = weight = bias = 0
    projected = config.stack.layers * 2 * padded(config.stack.gate_channels // 2)
    for context in config.contexts:
        stack = context.stack
        residual, half = padded(stack.residual_channels), padded(stack.gate_channels // 2)
        skip, channels = padded(stack.skip_channels), padded(context.channels)
        part = min(padded(context.pool), WINDOW_BLOCK)
        parts = -(-context.pool // part)
        layer_weights = half * (2 * stack.kernel_size * residual + residual + skip)
        projection = weight + parts * part * residual + stack.layers * layer_weights
        projection += skip * channels
        shapes.append(
            ContextShape(
                pool=context.pool,
                part=part,
                parts=parts,
                layers=stack.layers,
                taps=stack.kernel_size,
                period=(stack.kernel_size - 1) * max(stack.dilations),
                residual=stack.residual_channels,
                residual_padded=residual,
                half_padded=half,
                skip_padded=skip,
                channels=context.channels,
                channels_padded=channels,
                first_layer=layer,
                first_weight=weight,
                projection=projection,
                first_bias=bias,
            )
        )
        layer += stack.layers
        weight = projection + projected * channels
        bias += residual + stack.layers * (2 * half + residual) + skip + channels
    return tuple(shapes)


def prefetches(config: ModelConfig, weights: str) -> bool:
    """Whether a layer's matrices fit into registers while another layer's are in use."""
    constants = shape(config)
    residual, half, skip = (constants[name] for name in ("RESIDUAL_", "HALF_", "SKIP_"))
    elements = half * (constants["TAPS"] * 2 * residual + residual + skip)
    return bool(elements * FORMATS[weights].itemsize <= LARGEST_PREFETCH_BYTES)


def too_wide(config: ModelConfig, weights: str) -> str | None:
    """Why the kernel cannot take a model in a number format; None where it can."""
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
    """Weights in one of :data:`FORMATS`, each width padded with zeros."""
    config, stack = model.config, model.config.stack
    constants = shape(config)
    residual, skip = constants["RESIDUAL_"], constants["SKIP_"]
    values, groups = constants["VALUES_"], constants["GROUPS"]
    parts, biases = _layers(stack, model.stack.blocks, model.stack.skip)
    output = _transposed(model.output).unflatten(1, (groups, -1)).transpose(0, 1)
    parts += [_pad(_transposed(model.head), skip, skip), _pad(output, skip, values)]
    biases += [_pad(model.stack.skip.bias, skip), _pad(model.head.bias, skip)]
    biases += [_pad(model.output.bias.unflatten(0, (groups, -1)), values)]
    biases += [_pad(model.input.linear.bias, residual)]
    inputs = _transposed(model.input.linear).unflatten(0, (stack.kernel_size, -1))
    device = model.device
    return Packed(
        weights=_joined(parts).to(FORMATS[weights]),
        biases=_joined(biases).float(),
        input_weights=_pad(inputs, residual).detach().float().contiguous(),
        decode=quantization.mu_law_decode(torch.arange(quantization.CLASSES, device=device)),
        ring_offsets=torch.tensor(ring_offsets(stack)[:-1], device=device),
        dilations=torch.tensor(stack.dilations, dtype=torch.int32, device=device),
        contexts=_pack_contexts(model, weights) if config.contexts else None,
    )


def _layers(
    stack: StackConfig, blocks: nn.ModuleList, skip: nn.Linear
) -> tuple[list[Tensor], list[Tensor]]:
    """Of each layer the matrices, one after another, and the residual path's bias."""
    taps, own_half = stack.kernel_size, stack.gate_channels // 2
    residual, half = padded(stack.residual_channels), padded(own_half)
    parts: list[Tensor] = []
    biases: list[Tensor] = []
    skips = _transposed(skip).unflatten(0, (stack.layers, own_half))
    for block, layer_skip in zip(blocks, skips, strict=True):
        assert isinstance(block, ResidualBlock)
        dilated = _transposed(block.dilated.linear)
        dilated = dilated.unflatten(0, (taps, -1)).unflatten(2, (2, own_half)).transpose(1, 2)
        parts.append(_pad(dilated, residual, half))
        if block.residual is None:
            parts.append(dilated.new_zeros(half, residual))
            biases.append(dilated.new_zeros(residual))
        else:
            parts.append(_pad(_transposed(block.residual), half, residual))
            biases.append(_pad(block.residual.bias, residual))
        parts.append(_pad(layer_skip, half, padded(stack.skip_channels)))
    return parts, biases


def _pack_contexts(model: WaveNet, weights: str) -> PackedContexts:
    """The context stacks, and their projections into the main stack's gates."""
    config, main = model.config, model.config.stack
    parts: list[Tensor] = []
    biases: list[Tensor] = []
    offsets: list[int] = []
    dilations: list[int] = []
    assert model.stack.context_projection is not None
    onwards = _transposed(model.stack.context_projection)
    projections = onwards.split([context.channels for context in config.contexts])
    shapes = context_shapes(config)
    for context, own, projection in zip(model.contexts, shapes, projections, strict=True):
        assert isinstance(context, ContextStack)
        stack = context.config.stack
        layers, residual_biases = _layers(stack, context.blocks, context.skip)
        window = _pad(_transposed(context.input), own.parts * own.part, own.residual_padded)
        output = _pad(_transposed(context.output), own.skip_padded, own.channels_padded)
        projection = projection.unflatten(1, (2 * main.layers, -1)).transpose(0, 1)
        projection = _pad(projection, own.channels_padded, padded(main.gate_channels // 2))
        parts += [window, *layers, output, projection]
        biases.append(_pad(context.input.bias, own.residual_padded))
        for block in context.blocks:
            assert isinstance(block, ResidualBlock)
            biases.append(_pad(block.dilated.linear.bias.unflatten(0, (2, -1)), own.half_padded))
        biases += [*residual_biases, _pad(context.skip.bias, own.skip_padded)]
        biases.append(_pad(context.output.bias, own.channels_padded))
        offsets += ring_offsets(stack)[:-1]
        dilations += stack.dilations
    return PackedContexts(
        weights=_joined(parts).to(FORMATS[weights]),
        biases=_joined(biases).float(),
        ring_offsets=torch.tensor(offsets, device=model.device),
        dilations=torch.tensor(dilations, dtype=torch.int32, device=model.device),
    )


def _joined(parts: list[Tensor]) -> Tensor:
    """All elements, one part after another."""
    return torch.cat([part.flatten() for part in parts]).detach()


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
