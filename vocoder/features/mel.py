"""The log-mel spectrogram.

Frame f describes samples [f * hop, (f + 1) * hop); its window is centred on them, with zeros beyond
the ends. F frames therefore represent exactly F * hop samples.
"""

import functools
import warnings

import torch
import torchaudio
from torch import Tensor

from vocoder.config import FeatureConfig
from vocoder.errors import ConfigError


@functools.lru_cache(maxsize=16)
def mel_filterbank(config: FeatureConfig) -> Tensor:
    """Triangular filters (n_fft // 2 + 1, n_mels) on Slaney's mel scale, each of equal area.

    Raises:
        ConfigError: a band is too narrow to contain an FFT bin.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about empty bands, which raise an error below
        bank = torchaudio.functional.melscale_fbanks(
            config.n_fft // 2 + 1,
            config.f_min_hz,
            config.f_max_hz,
            config.n_mels,
            config.sample_rate_hz,
            norm="slaney",
            mel_scale="slaney",
        )
    empty = int((bank.sum(dim=0) == 0).sum())
    if empty:
        raise ConfigError(
            f"n_mels {config.n_mels} leaves {empty} bands without an FFT bin at n_fft "
            f"{config.n_fft}: use fewer bands or a longer FFT",
            param="n_mels",
        )
    return bank


def power_spectrogram(audio: Tensor, config: FeatureConfig) -> Tensor:
    """Power (..., n_fft // 2 + 1, F) of audio (..., T), divided by the window's energy.

    White noise of variance v has expectation v in every inner bin.
    """
    window = torch.hann_window(config.win_length, dtype=audio.dtype, device=audio.device)
    samples = audio.shape[-1]
    tail = config.frames(samples) * config.hop_length - samples
    side = (config.n_fft - config.hop_length) // 2
    padded = torch.nn.functional.pad(audio, (side, side + tail))
    spectrum = torch.stft(
        padded.reshape(-1, padded.shape[-1]),
        config.n_fft,
        config.hop_length,
        config.win_length,
        window,
        center=False,
        return_complex=True,
    )
    power = spectrum.abs().square() / window.square().sum()
    return power.reshape(*audio.shape[:-1], *power.shape[-2:])


def log_mel(audio: Tensor, config: FeatureConfig) -> Tensor:
    """Natural logarithm of mel power (..., n_mels, F) of audio (..., T)."""
    bank = mel_filterbank(config).to(audio)
    mel = (power_spectrogram(audio, config).transpose(-1, -2) @ bank).transpose(-1, -2)
    return mel.clamp_min(config.log_floor).log()
