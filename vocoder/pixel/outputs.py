"""Distributions of a pixel: likelihood in nats, and sampling from given uniforms.

Levels lie at ``2 v / (levels - 1) - 1`` in [-1, 1]. A factorised output has parameters for each
channel, whose network saw the channels before it. A coupled one describes the whole pixel: the
components of its mixture are common to all channels, and the location of a channel is linear in
the channels before it (Salimans et al. 2017, equation 3).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.pixel.config import MixtureOutput, PixelConfig
from vocoder.wavenet.distributions import (
    categorical_nll,
    categorical_sample,
    logistics_log_mass,
)

DRAWS = 2
"""Uniforms for each channel of a pixel, as in :mod:`vocoder.wavenet.distributions`."""


def parameters_of_a_channel(config: PixelConfig) -> int:
    """Parameters of each channel of a factorised output."""
    if isinstance(config.output, MixtureOutput):
        return 3 * config.output.components
    return 1 if config.output.kind == "binary" else config.levels


def parameters_of_a_pixel(config: PixelConfig) -> int:
    """Parameters of a pixel."""
    if config.coupled and isinstance(config.output, MixtureOutput):
        channels = config.channels
        return config.output.components * (1 + 2 * channels + channels * (channels - 1) // 2)
    return config.channels * parameters_of_a_channel(config)


def scaled(config: PixelConfig, image: Tensor) -> Tensor:
    """Levels as float32 in [-1, 1]."""
    return image.float() * (2.0 / (config.levels - 1)) - 1.0


def nll(config: PixelConfig, parameters: Tensor, image: Tensor) -> Tensor:
    """Negative log-likelihood of pixels in nats (...), summed over their channels.

    Args:
        config: of the model.
        parameters: (..., P), with P as in :func:`parameters_of_a_pixel`.
        image: levels (..., channels), int64.
    """
    parameters = parameters.float()
    if config.coupled and isinstance(config.output, MixtureOutput):
        weights, locations, log_scales = _coupled(config, parameters, scaled(config, image))
        mass = _log_mass(config, config.output, locations, log_scales, image)
        return -(mass.sum(-2) + weights.log_softmax(-1)).logsumexp(-1)
    own = parameters.unflatten(-1, (config.channels, -1))
    if isinstance(config.output, MixtureOutput):
        weights, locations, log_scales = own.chunk(3, dim=-1)
        mass = _log_mass(config, config.output, locations, log_scales, image)
        return -(mass + weights.log_softmax(-1)).logsumexp(-1).sum(-1)
    if config.output.kind == "binary":
        sign = 1.0 - 2.0 * image.float()
        return F.softplus(sign * own.squeeze(-1)).sum(-1)
    return categorical_nll(own, image).sum(-1)


def draw(
    config: PixelConfig, parameters: Tensor, uniforms: Tensor, channel: int, temperature: float
) -> Tensor:
    """Draw a channel of a pixel from a factorised output.

    Args:
        config: of the model.
        parameters: (..., P).
        uniforms: in (0, 1) (..., channels, 2).
        channel: index of the channel.
        temperature: divides logits and multiplies scales; 1 is the model's own distribution.

    Returns:
        Levels (...), int64.
    """
    own = parameters.unflatten(-1, (config.channels, -1))[..., channel, :].float()
    noise = uniforms[..., channel, :]
    if isinstance(config.output, MixtureOutput):
        weights, locations, log_scales = own.chunk(3, dim=-1)
        component = categorical_sample(weights, noise).unsqueeze(-1)
        return _draw_logistic(
            config,
            locations.gather(-1, component).squeeze(-1),
            log_scales.gather(-1, component).squeeze(-1).clamp_min(config.output.log_scale_min),
            noise[..., 1],
            temperature,
        )
    if config.output.kind == "binary":
        return (noise[..., 0] < torch.sigmoid(own.squeeze(-1) / temperature)).long()
    return categorical_sample(own / temperature, noise)


def draw_coupled(
    config: PixelConfig, parameters: Tensor, uniforms: Tensor, temperature: float
) -> Tensor:
    """Draw whole pixels (..., channels), int64; arguments as in :func:`draw`.

    The first channel's first uniform selects the component of all channels.
    """
    output, channels = config.output, config.channels
    if not isinstance(output, MixtureOutput):
        return draw(config, parameters, uniforms, 0, temperature).unsqueeze(-1)
    parameters = parameters.float()
    component = categorical_sample(parameters[..., : output.components], uniforms[..., 0, :])
    index = component.unsqueeze(-1)
    drawn = torch.zeros_like(index).expand(*component.shape, channels).clone()
    for channel in range(channels):
        _, locations, log_scales = _coupled(config, parameters, scaled(config, drawn))
        log_scale = log_scales[..., channel, :].gather(-1, index).squeeze(-1)
        drawn[..., channel] = _draw_logistic(
            config,
            locations[..., channel, :].gather(-1, index).squeeze(-1),
            log_scale.clamp_min(output.log_scale_min),
            uniforms[..., channel, 1],
            temperature,
        )
    return drawn


def put(
    config: PixelConfig,
    pixel: Tensor,
    parameters: Tensor,
    uniforms: Tensor,
    channel: int,
    temperature: float,
) -> None:
    """Draw a channel of ``pixel`` (..., channels) in place; all of them if they are coupled."""
    if config.coupled:
        pixel.copy_(draw_coupled(config, parameters, uniforms, temperature))
    else:
        pixel[..., channel] = draw(config, parameters, uniforms, channel, temperature)


def _coupled(config: PixelConfig, parameters: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (..., K), and locations and log-scales (..., channels, K), given channels x."""
    assert isinstance(config.output, MixtureOutput)
    components, channels = config.output.components, config.channels
    weights, rest = parameters[..., :components], parameters[..., components:]
    rest = rest.unflatten(-1, (-1, components))
    locations, log_scales = rest[..., :channels, :], rest[..., channels : 2 * channels, :]
    coefficients = rest[..., 2 * channels :, :].tanh()
    rows, first = [], 0
    for channel in range(channels):
        linear = coefficients[..., first : first + channel, :] * x[..., :channel, None]
        rows.append(locations[..., channel, :] + linear.sum(-2))
        first += channel
    return weights, torch.stack(rows, dim=-2), log_scales


def _log_mass(
    config: PixelConfig,
    output: MixtureOutput,
    locations: Tensor,
    log_scales: Tensor,
    image: Tensor,
) -> Tensor:
    """Log-probability of each channel's level under each component (..., channels, K)."""
    level = image.unsqueeze(-1)
    return logistics_log_mass(
        scaled(config, level) - locations,
        log_scales.clamp_min(output.log_scale_min),
        torch.tensor(1.0 / (config.levels - 1), device=locations.device),
        lowest=level == 0,
        highest=level == config.levels - 1,
    )


def _draw_logistic(
    config: PixelConfig, location: Tensor, log_scale: Tensor, uniform: Tensor, temperature: float
) -> Tensor:
    logistic = uniform.log() - (-uniform).log1p()
    value = location + temperature * log_scale.exp() * logistic
    level = (value + 1.0) * ((config.levels - 1) / 2)
    return level.round().clamp(0, config.levels - 1).long()
