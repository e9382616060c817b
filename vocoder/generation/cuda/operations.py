"""What the sample loop's kernel is made of: products, activations and draws of a tile of rows."""

import triton
import triton.language as tl


@triton.jit
def product(x, weight, WIDEN: tl.constexpr):
    """``x @ weight`` in the weights' format, summed in float32.

    ``WIDEN`` multiplies the same rounded values in float32: Triton's interpreter cannot multiply
    bfloat16.
    """
    x = x.to(weight.dtype)
    if WIDEN:
        x, weight = x.to(tl.float32), weight.to(tl.float32)
    return tl.dot(x, weight, input_precision="ieee")


@triton.jit
def matrix(start, column, INPUTS: tl.constexpr, OUTPUTS: tl.constexpr):
    """Some columns of a matrix (INPUTS, OUTPUTS) of weights."""
    row = tl.arange(0, INPUTS)
    return tl.load(start + row[:, None] * OUTPUTS + column[None, :])


@triton.jit
def layer_matrix(
    start,
    index: tl.constexpr,
    SIZES: tl.constexpr,
):
    """One of a layer's 2 * TAPS + 2 matrices: each tap's filter and gate, residual, skip.

    ``SIZES`` are TAPS and the padded widths of residual path, half the gate, and skip path.
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
    """All matrices of a layer."""
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
    """``x`` times one of a layer's matrices: of those held where they were fetched ahead."""
    weight = held[index] if PREFETCH else layer_matrix(start, index, SIZES)
    return product(x, weight, WIDEN)


@triton.jit
def wrap(slot, length, POWER_OF_TWO: tl.constexpr):
    """``slot`` modulo the ring's length; not negative."""
    return slot & (length - 1) if POWER_OF_TWO else slot % length


@triton.jit
def relu(x):
    """Zero for what is negative. NaN stays, as in PyTorch."""
    return tl.where(x < 0.0, 0.0, x)


@triton.jit
def tanh(x):
    """Hyperbolic tangent, to float32's absolute precision."""
    return 2.0 * tl.sigmoid(2.0 * x) - 1.0


@triton.jit
def pick(logits, uniform, VALUES: tl.constexpr, VALUES_: tl.constexpr):
    """Index (ROWS,) by inverting the cumulative distribution of ``logits`` (ROWS, VALUES_)."""
    column = tl.arange(0, VALUES_)[None, :]
    logits = tl.where(column < VALUES, logits, float("-inf"))
    weight = tl.exp(logits - tl.max(logits, axis=1)[:, None])
    cumulative = tl.cumsum(weight, axis=1)
    total = tl.sum(tl.where(column == VALUES - 1, cumulative, 0.0), axis=1)
    below = cumulative < (uniform * total)[:, None]
    return tl.minimum(tl.sum(below.to(tl.int32), axis=1), VALUES - 1)


@triton.jit
def draw_logistic(
    weights,
    locations,
    log_scales,
    uniform_0,
    uniform_1,
    log_scale_min,
    temperature,
    VALUES: tl.constexpr,
    VALUES_: tl.constexpr,
):
    """A draw (ROWS,) from a mixture of logistics, in units of the excitation's scale."""
    chosen = pick(weights, uniform_0, VALUES, VALUES_)
    component = tl.arange(0, VALUES_)[None, :] == chosen[:, None]
    location = tl.sum(tl.where(component, locations, 0.0), axis=1)
    log_scale = tl.sum(tl.where(component, log_scales, 0.0), axis=1)
    log_scale = tl.where(log_scale < log_scale_min, log_scale_min, log_scale)
    logistic = tl.log(uniform_1) - tl.log(1.0 - uniform_1)
    return location + temperature * tl.exp(log_scale) * logistic


@triton.jit
def to_16_bit(x):
    """Rounded to the 16-bit grid (ties to even) and clipped to what it holds. NaN stays."""
    steps = x * 32768.0
    steps = tl.where(steps > 32767.0, 32767.0, tl.where(steps < -32768.0, -32768.0, steps))
    # Adding 1.5 * 2^23 leaves no room for a fraction: the sum is rounded to nearest even.
    return ((steps + 12582912.0) - 12582912.0) / 32768.0
