"""Output distributions: negative log-likelihood in nats, and sampling from given noise.

Sampling takes two uniforms per sample as an input and adds no randomness of its own, so every
engine draws the same audio from the same noise.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.special import log_ndtr

from vocoder.audio.io import PCM_16_LEVELS

HALF_STEP = 0.5 / PCM_16_LEVELS
"""Half a 16-bit quantisation step, for samples in [-1, 1)."""


def categorical_nll(logits: Tensor, codes: Tensor) -> Tensor:
    """Negative log-likelihood (...) of codes (...) under logits (..., classes)."""
    return -logits.float().log_softmax(-1).gather(-1, codes.unsqueeze(-1)).squeeze(-1)


def categorical_sample(logits: Tensor, uniforms: Tensor) -> Tensor:
    """Codes (...) by inverting the cumulative distribution at ``uniforms[..., 0]``.

    Args:
        logits: (..., classes).
        uniforms: in (0, 1), (..., 2).
    """
    weights = (logits - logits.amax(-1, keepdim=True)).exp()
    cumulative = weights.cumsum(-1)
    threshold = uniforms[..., :1] * cumulative[..., -1:]
    return (cumulative < threshold).sum(-1).clamp_max(logits.shape[-1] - 1)


def logistics_log_mass(
    distance: Tensor, log_scales: Tensor, half_step: Tensor, *, lowest: Tensor, highest: Tensor
) -> Tensor:
    """Logarithm of a logistic's mass within half a step on each side of a value.

    The outermost steps extend to infinity (Salimans et al. 2017, equation 2).

    Args:
        distance: from the location to the value (...).
        log_scales: of the logistic (...).
        half_step: half of a quantisation step, in the unit of the distance (...).
        lowest: whether the value is the lowest level (...), bool.
        highest: whether the value is the highest level (...), bool.
    """
    inverse_scale = (-log_scales).exp()
    centred = distance * inverse_scale
    upper = centred + half_step * inverse_scale
    lower = centred - half_step * inverse_scale
    # sigma(u) - sigma(l) = (1 - exp(l - u)) sigma(u) sigma(-l), free of cancellation in the tails.
    width = (upper - lower).clamp_min(1e-7)
    inside = torch.log(-torch.expm1(-width)) - F.softplus(-upper) - F.softplus(lower)
    return torch.where(
        highest, -F.softplus(lower), torch.where(lowest, -F.softplus(-upper), inside)
    )


def logistics_nll(
    parameters: Tensor,
    target: Tensor,
    log_scale_min: float,
    shift: Tensor,
    gain: Tensor,
    limit: float = 1.0,
) -> Tensor:
    """Negative log-likelihood of 16-bit samples under a discretised mixture of logistics.

    Each component contributes :func:`logistics_log_mass`. Location and scale are in units of
    ``gain`` around ``shift``; plain mixtures have shift 0 and gain 1.

    Args:
        parameters: weight logits, locations and log-scales side by side (..., 3 K).
        target: samples in [-limit, limit) on the 16-bit grid (...).
        log_scale_min: lower bound of the log-scales.
        shift: linear prediction (...).
        gain: standard deviation of the excitation (...).
        limit: end of the range of samples; band samples can be larger than 1.

    Returns:
        Nats (...).
    """
    weights, locations, log_scales = parameters.float().chunk(3, dim=-1)
    excitation = ((target - shift) / gain).unsqueeze(-1)
    target = target.unsqueeze(-1)
    log_mass = logistics_log_mass(
        excitation - locations,
        log_scales.clamp_min(log_scale_min),
        (HALF_STEP / gain).unsqueeze(-1),
        lowest=target <= -limit + HALF_STEP,
        highest=target >= limit - 3 * HALF_STEP,
    )
    return -(log_mass + weights.log_softmax(-1)).logsumexp(-1)


def logistics_sample(
    parameters: Tensor,
    uniforms: Tensor,
    log_scale_min: float,
    shift: Tensor,
    gain: Tensor,
    temperature: float = 1.0,
    limit: float = 1.0,
) -> Tensor:
    """Draw samples on the 16-bit grid (...).

    Args:
        parameters: as in :func:`logistics_nll` (..., 3 K).
        uniforms: in (0, 1) (..., 2): the first selects the component, the second inverts its CDF.
        log_scale_min: lower bound of the log-scales.
        shift: linear prediction (...).
        gain: standard deviation of the excitation (...).
        temperature: multiplies the scales; 1 samples the model's own distribution.
        limit: end of the range of samples.
    """
    weights, locations, log_scales = parameters.chunk(3, dim=-1)
    component = categorical_sample(weights, uniforms).unsqueeze(-1)
    location = locations.gather(-1, component).squeeze(-1)
    log_scale = log_scales.gather(-1, component).squeeze(-1).clamp_min(log_scale_min)
    uniform = uniforms[..., 1]
    logistic = uniform.log() - (-uniform).log1p()
    sample = shift + gain * (location + temperature * log_scale.exp() * logistic)
    return to_16_bit(sample, limit)


def gaussian_nll(
    parameters: Tensor,
    target: Tensor,
    log_scale_min: float,
    shift: Tensor,
    gain: Tensor,
    limit: float = 1.0,
) -> Tensor:
    """Negative log-likelihood of 16-bit samples under a discretised Gaussian.

    Arguments as in :func:`logistics_nll`; parameters are location and log-scale (..., 2).

    Returns:
        Nats (...).
    """
    location, log_scale = parameters.float().unbind(-1)
    inverse_scale = (-log_scale.clamp_min(log_scale_min)).exp()
    centred = ((target - shift) / gain - location) * inverse_scale
    half = HALF_STEP / gain * inverse_scale
    # Mirror both ends to the left of the mean, where the tail's logarithm keeps its precision.
    far = -centred.abs()
    upper, lower = _log_normal_mass(far + half), _log_normal_mass(far - half)
    inside = upper + torch.log(-torch.expm1((lower - upper).clamp_max(-1e-7)))
    # For narrow steps use the density at the middle: the difference would lose precision.
    density = torch.log(2 * half) - centred.square() / 2 - math.log(2 * math.pi) / 2
    inside = torch.where(half < NARROW, density, inside)
    return -torch.where(
        target >= limit - 3 * HALF_STEP,
        _log_normal_mass(half - centred),
        torch.where(target <= -limit + HALF_STEP, _log_normal_mass(centred + half), inside),
    )


def _log_normal_mass(x: Tensor) -> Tensor:
    """Logarithm of the standard normal's CDF at x, with finite gradients."""
    tail = x.clamp_max(-TAIL)
    beyond = (1 - tail.square().reciprocal()).log() - tail.square() / 2
    beyond = beyond - (-tail).log() - math.log(2 * math.pi) / 2
    return torch.where(x < -TAIL, beyond, log_ndtr(x.clamp_min(-TAIL)))


TAIL = 8.0
"""Standard deviations beyond which the asymptote is used (Abramowitz and Stegun 26.2.12)."""


NARROW = 0.02
"""Half step, in standard deviations, below which the density is taken as linear within a step."""


def gaussian_sample(
    parameters: Tensor,
    uniforms: Tensor,
    log_scale_min: float,
    shift: Tensor,
    gain: Tensor,
    temperature: float = 1.0,
    limit: float = 1.0,
) -> Tensor:
    """Draw samples on the 16-bit grid (...); arguments as in :func:`logistics_sample`.

    The standard normal is the Box-Muller transform (1958): sqrt(-2 ln u_0) cos(2 pi u_1).
    """
    location, log_scale = parameters.unbind(-1)
    normal = (-2 * uniforms[..., 0].log()).sqrt() * (2 * math.pi * uniforms[..., 1]).cos()
    scale = temperature * log_scale.clamp_min(log_scale_min).exp()
    return to_16_bit(shift + gain * (location + scale * normal), limit)


def to_16_bit(samples: Tensor, limit: float = 1.0) -> Tensor:
    """Round to the 16-bit grid and clip to its range, [-limit, limit)."""
    rounded = (samples * PCM_16_LEVELS).round() / PCM_16_LEVELS
    return rounded.clamp(-limit, limit - 2 * HALF_STEP)


def bits(nats: float) -> float:
    """Convert nats to bits."""
    return nats / math.log(2)
