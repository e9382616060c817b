"""The context stacks' weights and shapes, packed for the kernel; see contexts.py for the layout."""

from typing import NamedTuple

import torch
from torch import Tensor

from vocoder.config import ModelConfig
from vocoder.generation.cuda.matrices import (
    FORMATS,
    joined,
    layer_matrices,
    pad,
    padded,
    transposed,
)
from vocoder.generation.state import ring_offsets
from vocoder.wavenet.model import WaveNet
from vocoder.wavenet.modules import ContextStack, ResidualBlock

WINDOW_BLOCK = 64
"""Most samples of a context stack's window in one product."""


class PackedContexts(NamedTuple):
    """The packed weights of all context stacks, on the model's device.

    Attributes:
        weights: the matrices of all products, in the chosen format.
        biases: float32.
        ring_offsets: offset of each layer's ring in a row of its stack's storage, int64.
        dilations: of each layer, int32.
    """

    weights: Tensor
    biases: Tensor
    ring_offsets: Tensor
    dilations: Tensor


class ContextShape(NamedTuple):
    """The kernel's constants for a context stack; the kernel reads them by index.

    A padded width is the width of the products.

    Attributes:
        pool: samples of a window.
        channels: width of its output.
        channels_padded: padded width of its output.
        projection: offset of its projection's weights.
        part: samples of a window in one product.
        parts: number of these products.
        layers: number of layers.
        taps: kernel size of its dilated convolutions.
        period: steps after which every ring is back at its first slot.
        residual: width of the residual path.
        residual_padded: padded width of the residual path.
        half_padded: padded half width of the gates.
        skip_padded: padded width of the skip path.
        first_layer: index of its first layer among those of all context stacks.
        first_weight: offset of its other weights.
        first_bias: offset of its biases.
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


def pack_contexts(model: WaveNet, weights: str) -> PackedContexts:
    """Pack the context stacks and their projections to the main stack's gates."""
    config, main = model.config, model.config.stack
    parts: list[Tensor] = []
    biases: list[Tensor] = []
    offsets: list[int] = []
    dilations: list[int] = []
    assert model.stack.context_projection is not None
    onwards = transposed(model.stack.context_projection)
    projections = onwards.split([context.channels for context in config.contexts])
    shapes = context_shapes(config)
    for context, own, projection in zip(model.contexts, shapes, projections, strict=True):
        assert isinstance(context, ContextStack)
        stack = context.config.stack
        layers, residual_biases = layer_matrices(stack, context.blocks, context.skip)
        window = pad(transposed(context.input), own.parts * own.part, own.residual_padded)
        output = pad(transposed(context.output), own.skip_padded, own.channels_padded)
        projection = projection.unflatten(1, (2 * main.layers, -1)).transpose(0, 1)
        projection = pad(projection, own.channels_padded, padded(main.gate_channels // 2))
        parts += [window, *layers, output, projection]
        biases.append(pad(context.input.bias, own.residual_padded))
        for block in context.blocks:
            assert isinstance(block, ResidualBlock)
            biases.append(pad(block.dilated.linear.bias.unflatten(0, (2, -1)), own.half_padded))
        biases += [*residual_biases, pad(context.skip.bias, own.skip_padded)]
        biases.append(pad(context.output.bias, own.channels_padded))
        offsets += ring_offsets(stack)[:-1]
        dilations += stack.dilations
    return PackedContexts(
        weights=joined(parts).to(FORMATS[weights]),
        biases=joined(biases).float(),
        ring_offsets=torch.tensor(offsets, device=model.device),
        dilations=torch.tensor(dilations, dtype=torch.int32, device=model.device),
    )
