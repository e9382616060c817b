"""The refiner: adds the detail that a mean spectrogram lacks, by flow matching.

A decoder trained on absolute errors predicts the median of all ways to say a phone, which is too
smooth. The refiner learns a vector field from noise to the residuals of recordings (conditional
flow matching along straight lines, Lipman et al. 2023, arXiv 2210.02747; for speech: Mehta et al.
2024, Matcha-TTS, arXiv 2309.03199). A few Euler steps along it draw one possible residual.
"""

import math

import torch
from torch import Tensor, nn

from vocoder.acoustic.modules import ConvStack
from vocoder.config import AcousticConfig
from vocoder.generation.noise import uniforms

TIME_CHANNELS = 3


class Refiner(nn.Module):
    """The vector field over residuals of the mel, given the mean mel and the decoder's state."""

    def __init__(self, config: AcousticConfig, n_mels: int) -> None:
        super().__init__()
        self.steps = config.refiner_steps
        self.field = ConvStack(
            2 * n_mels + config.decoder_channels + TIME_CHANNELS,
            config.refiner_channels,
            n_mels,
            config.refiner_layers,
            config.kernel_size,
            config.dropout,
        )

    def forward(self, residual: Tensor, time: Tensor, condition: Tensor, mask: Tensor) -> Tensor:
        """The field at a point.

        Args:
            residual: a point between noise and residual (B, n_mels, F).
            time: 0 at the noise, 1 at the residual (B,).
            condition: the mean mel and the decoder's last layer (B, n_mels + C, F).
            mask: 1 for frames, 0 for padding (B, F).

        Returns:
            (B, n_mels, F).
        """
        waves = time_waves(time)[..., None].expand(-1, -1, residual.shape[2]).to(condition.dtype)
        x = torch.cat((residual.to(condition.dtype), condition, waves), 1)
        return self.field(x, mask[:, None]).float()

    def loss(
        self, residual: Tensor, noise: Tensor, time: Tensor, condition: Tensor, mask: Tensor
    ) -> Tensor:
        """Squared error of the field at a point on the line from ``noise`` to ``residual``.

        Returns:
            Mean over the bands (B, F).
        """
        part = time[:, None, None]
        direction = self(torch.lerp(noise, residual, part), time, condition, mask)
        return (direction - (residual - noise)).square().mean(1)

    def draw(self, noise: Tensor, condition: Tensor, mask: Tensor) -> Tensor:
        """A residual (B, n_mels, F), by Euler steps from ``noise`` of the same shape."""
        x = noise
        for step in range(self.steps):
            time = torch.full((len(x),), step / self.steps, device=x.device)
            x = x + self(x, time, condition, mask) / self.steps
        return x


def time_waves(time: Tensor) -> Tensor:
    """Encode the time (B,) as input channels: (B, TIME_CHANNELS)."""
    return torch.stack((time, (math.pi * time).cos(), (2 * math.pi * time).cos()), 1)


def normals(seed: int, n_mels: int, frames: int) -> Tensor:
    """Standard normal noise (1, n_mels, F), a function of the seed; no value depends on F."""
    pairs = -(-n_mels // 2)
    start = torch.zeros(1, dtype=torch.int64)
    first, second = uniforms(torch.tensor([seed]), start, frames * pairs)[0].double().unbind(-1)
    radius, angle = (-2 * first.log()).sqrt(), 2 * math.pi * second
    drawn = torch.stack((radius * angle.cos(), radius * angle.sin()), -1)
    return drawn.reshape(frames, 2 * pairs)[:, :n_mels].T[None].float()
