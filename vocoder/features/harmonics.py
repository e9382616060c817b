"""The mel spectrum of a pulse train: the pattern of an F0's harmonics in the mel bands.

Low bands are narrower than the spacing of harmonics, so a log-mel resolves them. With this pattern
as an input, a network does not have to learn it, and F0 can be changed freely.
"""

import math

import torch
from torch import Tensor, nn

from vocoder.config import FeatureConfig
from vocoder.features.f0 import F0_MAX_HZ, F0_MIN_HZ
from vocoder.features.mel import mel_filterbank

STEPS_AN_OCTAVE = 96
MARGIN_OCTAVES = 1.0
"""Extension beyond the analysis range, for shifted voices."""

DEPTH = 3.0
"""Limit of a band's log power above or below that of noise of the same power."""


class HarmonicMel(nn.Module):
    """Log F0 to the log-mel of a pulse train, relative to noise of the same power."""

    def __init__(self, config: FeatureConfig) -> None:
        super().__init__()
        low, high = math.log2(F0_MIN_HZ) - MARGIN_OCTAVES, math.log2(F0_MAX_HZ) + MARGIN_OCTAVES
        self._low = low * math.log(2)
        self._steps = STEPS_AN_OCTAVE / math.log(2)
        grid = 2 ** torch.arange(low, high, 1 / STEPS_AN_OCTAVE, dtype=torch.float64)
        time = (torch.arange(config.win_length, dtype=torch.float64) - config.win_length / 2) / (
            config.sample_rate_hz
        )
        window = torch.hann_window(config.win_length, dtype=torch.float64)
        harmonics = torch.arange(1, int(config.sample_rate_hz / 2 / grid[0]) + 1)
        bank = mel_filterbank(config).double()
        rows = []
        for f0 in grid:
            audible = harmonics[harmonics * f0 < config.sample_rate_hz / 2].double()
            pulses = (2 * math.pi * f0 * audible[:, None] * time).cos().sum(0)
            power = torch.fft.rfft(pulses * window, config.n_fft).abs().square()
            rows.append((power @ bank) / (power.mean() * bank.sum(0)))
        log_mel = torch.stack(rows).clamp_min(1e-9).log().clamp(-DEPTH, DEPTH) / DEPTH
        self.table: Tensor
        self.register_buffer("table", log_mel.float(), persistent=False)

    def forward(self, log_f0: Tensor) -> Tensor:
        """Natural logarithm of F0 in Hz (B, F) -> (B, n_mels, F), in [-1, 1]."""
        place = ((log_f0 - self._low) * self._steps).clamp(0, len(self.table) - 1.001)
        below = place.long()
        part = (place - below)[..., None]
        return torch.lerp(self.table[below], self.table[below + 1], part).transpose(1, 2)
