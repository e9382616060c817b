"""Building blocks of the sample loop's kernel: products and activations of a tile of rows."""

import triton
import triton.language as tl


@triton.jit
def product(x, weight, WIDEN: tl.constexpr):
    """``x @ weight`` in the weights' format, accumulated in float32.

    ``WIDEN`` multiplies the same rounded values in float32, because Triton's interpreter cannot
    multiply bfloat16.
    """
    x = x.to(weight.dtype)
    if WIDEN:
        x, weight = x.to(tl.float32), weight.to(tl.float32)
    return tl.dot(x, weight, input_precision="ieee")


@triton.jit
def matrix(start, column, INPUTS: tl.constexpr, OUTPUTS: tl.constexpr):
    """Load some columns of a weight matrix (INPUTS, OUTPUTS)."""
    row = tl.arange(0, INPUTS)
    return tl.load(start + row[:, None] * OUTPUTS + column[None, :])


@triton.jit
def layer_matrix(
    start,
    index: tl.constexpr,
    SIZES: tl.constexpr,
):
    """Load one of a layer's 2 * TAPS + 2 matrices: filter and gate of each tap, residual, skip.

    ``SIZES`` holds TAPS and the padded widths of residual path, half the gate, and skip path.
    """
    TAPS: tl.constexpr = SIZES[0]
    RESIDUAL_: tl.constexpr = SIZES[1]
    HALF_: tl.constexpr = SIZES[2]
    SKIP_: tl.constexpr = SIZES[3]
    residual = start + 2 * TAPS * RESIDUAL_ * HALF_
    if index < 2 * TAPS:
        here = start + index * RESIDUAL_ * HALF_
        found = matrix(here, tl.arange(0, HALF_), RESIDUAL_, HALF_)
    elif index == 2 * TAPS:
        found = matrix(residual, tl.arange(0, RESIDUAL_), HALF_, RESIDUAL_)
    else:
        found = matrix(residual + HALF_ * RESIDUAL_, tl.arange(0, SKIP_), HALF_, SKIP_)
    return found


@triton.jit
def layer_matrices(
    start,
    SIZES: tl.constexpr,
):
    """Load all matrices of a layer."""
    found = ()
    for index in tl.static_range(2 * SIZES[0] + 2):
        found = found + (layer_matrix(start, index, SIZES),)  # noqa: RUF005
    return found


@triton.jit
def layer_product(
    x,
    held,
    start,
    index: tl.constexpr,
    SIZES: tl.constexpr,
    PREFETCH: tl.constexpr,
    WIDEN: tl.constexpr,
):
    """``x`` times one of a layer's matrices, which is prefetched in ``held`` if ``PREFETCH``."""
    weight = held[index] if PREFETCH else layer_matrix(start, index, SIZES)
    return product(x, weight, WIDEN)


@triton.jit
def wrap(slot, length, POWER_OF_TWO: tl.constexpr):
    """``slot`` modulo the ring's length; ``slot`` is not negative."""
    return slot & (length - 1) if POWER_OF_TWO else slot % length


@triton.jit
def relu(x):
    """max(x, 0). NaN stays NaN, as in PyTorch."""
    return tl.where(x < 0.0, 0.0, x)


@triton.jit
def tanh(x):
    """Hyperbolic tangent, to float32's absolute precision."""
    return 2.0 * tl.sigmoid(2.0 * x) - 1.0


@triton.jit
def head(
    skip,
    head_weights,
    head_biases,
    SKIP_: tl.constexpr,
    SKIP_BLOCK: tl.constexpr,
    VALUES_: tl.constexpr,
    GROUPS: tl.constexpr,
    WIDEN: tl.constexpr,
):
    """The distribution's parameters, ``GROUPS`` tensors (ROWS, VALUES_), from the skip path's sum.

    The head is computed in blocks of channels; each block is projected to the output at once.
    """
    value = tl.arange(0, VALUES_)
    output_weights, output_biases = head_weights + SKIP_ * SKIP_, head_biases + SKIP_
    ROWS: tl.constexpr = skip.shape[0]
    skip = relu(skip)
    found = ()
    for group in tl.static_range(GROUPS):
        bias = tl.load(output_biases + group * VALUES_ + value)[None, :]
        found = found + (tl.zeros((ROWS, VALUES_), tl.float32) + bias,)  # noqa: RUF005
    for part in range(SKIP_ // SKIP_BLOCK):
        column = part * SKIP_BLOCK + tl.arange(0, SKIP_BLOCK)
        hidden = product(skip, matrix(head_weights, column, SKIP_, SKIP_), WIDEN)
        hidden = relu(hidden + tl.load(head_biases + column)[None, :])
        onwards = output_weights + part * SKIP_BLOCK * VALUES_
        summed = ()
        for group in tl.static_range(GROUPS):
            weight = matrix(onwards + group * SKIP_ * VALUES_, value, SKIP_BLOCK, VALUES_)
            summed = summed + (found[group] + product(hidden, weight, WIDEN),)  # noqa: RUF005
        found = summed
    return found
