"""Sampling in the kernel: counter-based noise, and draws from the distributions, row by row."""

import triton
import triton.language as tl

TURN = tl.constexpr(6.283185307179586)


@triton.jit
def words(seed, position):
    """The first two 32-bit words of :func:`noise.philox` for int64 seeds and positions (ROWS,)."""
    low, high = position.to(tl.uint32), (position >> 32).to(tl.uint32)
    first, second, _, _ = tl.philox(seed, low, high, low * 0, low * 0)
    return first, second


@triton.jit
def uniforms(seed, position):
    """The uniforms of :func:`noise.uniforms`, bit for bit: all operations are exact in float32."""
    first, second = words(seed, position)
    return (
        ((first >> 9).to(tl.float32) + 0.5) * (1.0 / 8388608.0),
        ((second >> 9).to(tl.float32) + 0.5) * (1.0 / 8388608.0),
    )


@triton.jit
def seeded_or_given(noise, member, position, moment, active, SEEDED: tl.constexpr):
    """Two uniforms for each row's sample: drawn from seeds (n,), or given (n, steps, 2)."""
    if SEEDED:
        seed = tl.load(noise + member, mask=active, other=0)
        first, second = uniforms(seed, position)
    else:
        first = tl.load(noise + moment * 2, mask=active, other=0.5)
        second = tl.load(noise + moment * 2 + 1, mask=active, other=0.5)
    return first, second


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
    parameters,
    uniform_0,
    uniform_1,
    log_scale_min,
    temperature,
    VALUES: tl.constexpr,
    VALUES_: tl.constexpr,
):
    """Draw (ROWS,) from a mixture of logistics, in units of the excitation's scale.

    Parameters: weights, locations and log-scales, each (ROWS, VALUES_).
    """
    weights, locations, log_scales = parameters
    chosen = pick(weights, uniform_0, VALUES, VALUES_)
    component = tl.arange(0, VALUES_)[None, :] == chosen[:, None]
    location = tl.sum(tl.where(component, locations, 0.0), axis=1)
    log_scale = tl.sum(tl.where(component, log_scales, 0.0), axis=1)
    log_scale = tl.where(log_scale < log_scale_min, log_scale_min, log_scale)
    logistic = tl.log(uniform_1) - tl.log(1.0 - uniform_1)
    return location + temperature * tl.exp(log_scale) * logistic


@triton.jit
def draw_gaussian(
    parameters, uniform_0, uniform_1, log_scale_min, temperature, VALUES_: tl.constexpr
):
    """Draw (ROWS,) from a Gaussian, in units of the excitation's scale.

    Parameters: location and log-scale, each the first column of (ROWS, VALUES_). The standard
    normal comes from the Box-Muller transform (1958), as in :func:`distributions.gaussian_sample`.
    Triton uses CUDA's logarithm and cosine, accurate to the last bits. No uniform is close enough
    to 1 for the argument of the square root to become negative.
    """
    locations, log_scales = parameters
    first = tl.arange(0, VALUES_)[None, :] == 0
    location = tl.sum(tl.where(first, locations, 0.0), axis=1)
    log_scale = tl.sum(tl.where(first, log_scales, 0.0), axis=1)
    log_scale = tl.where(log_scale < log_scale_min, log_scale_min, log_scale)
    radius = tl.sqrt(-2.0 * tl.log(uniform_0))
    normal = radius * tl.cos(TURN * uniform_1)
    return location + temperature * tl.exp(log_scale) * normal


@triton.jit
def draw(
    parameters,
    uniform_0,
    uniform_1,
    log_scale_min,
    temperature,
    VALUES: tl.constexpr,
    VALUES_: tl.constexpr,
):
    """Draw (ROWS,) from a Gaussian, which has two parameters, or from a mixture of logistics."""
    if len(parameters) == 2:
        drawn = draw_gaussian(parameters, uniform_0, uniform_1, log_scale_min, temperature, VALUES_)
    else:
        drawn = draw_logistic(
            parameters, uniform_0, uniform_1, log_scale_min, temperature, VALUES, VALUES_
        )
    return drawn


@triton.jit
def to_16_bit(x):
    """Round to the 16-bit grid (ties to even) and clip to its range. NaN stays NaN."""
    steps = x * 32768.0
    steps = tl.where(steps > 32767.0, 32767.0, tl.where(steps < -32768.0, -32768.0, steps))
    # Adding 1.5 * 2^23 leaves no fraction bits, so the sum is rounded to nearest even.
    return ((steps + 12582912.0) - 12582912.0) / 32768.0
