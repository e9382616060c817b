"""Griffin-Lim: the baseline that turns the same mels into audio without learning anything.

Griffin and Lim 1984, "Signal estimation from modified short-time Fourier transform"; the momentum
is of Perraudin et al. 2013, "A fast Griffin-Lim algorithm". Written out, because the frames here
are centred between hops (see :mod:`vocoder.features.mel`) and the noise comes from a seed; momentum
and number of iterations are those of torchaudio and librosa.

Most of the quality is decided before, where 80 bands become 513 magnitudes. There are two ways:
``least_squares`` is the pseudo-inverse with negative powers set to zero, which is what torchaudio's
and librosa's inversions come to, and what people mean by Griffin-Lim from mels. ``positive`` finds
powers that are positive everywhere and give exactly these mels: a much stronger baseline.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from vocoder.audio.io import Samples
from vocoder.config import FeatureConfig
from vocoder.features.feature_file import Features
from vocoder.features.mel import mel_filterbank

Inversion = Literal["least_squares", "positive"]

ITERATIONS = 60
MOMENTUM = 0.99
UPDATES = 100


def griffin_lim(
    features: Features,
    *,
    inversion: Inversion = "least_squares",
    iterations: int = ITERATIONS,
    seed: int = 0,
) -> Samples:
    """Audio of a log-mel spectrogram.

    Args:
        features: log-mel (n_mels, F) and its settings.
        inversion: how mel bands become magnitudes.
        iterations: rounds of imposing the magnitudes on a consistent spectrogram's phases.
        seed: of the phases it starts from.

    Returns:
        F * hop samples (T,), frame f centred on sample (f + 1/2) hop as in the recording.
    """
    config = features.config
    target = magnitudes(features.mel, config, inversion)
    generator = torch.Generator().manual_seed(seed)
    phases = 2 * math.pi * torch.rand(target.shape, generator=generator)
    spectrum = torch.polar(target, phases)
    previous = torch.zeros_like(spectrum)
    for _ in range(iterations):
        consistent = _analyse(_synthesise(spectrum, config), config)
        accelerated = consistent - MOMENTUM / (1 + MOMENTUM) * previous
        previous = consistent
        spectrum = target * accelerated / accelerated.abs().clamp_min(1e-16)
    return _synthesise(spectrum, config).numpy()


def magnitudes(mel: Tensor, config: FeatureConfig, inversion: Inversion) -> Tensor:
    """STFT magnitudes (n_fft // 2 + 1, F) of a log-mel spectrogram (n_mels, F)."""
    bank = mel_filterbank(config).double()
    bands = mel.double().exp()
    invert = _least_squares if inversion == "least_squares" else _positive
    return (invert(bands, bank) * _window(config).square().sum()).sqrt().float()


def _least_squares(bands: Tensor, bank: Tensor) -> Tensor:
    """Power (bins, F) nearest to ``bands`` (n_mels, F) through ``bank`` (bins, n_mels), clipped."""
    inverse: Tensor = torch.linalg.pinv(bank.T)
    return (inverse @ bands).clamp_min(0.0)


def _positive(bands: Tensor, bank: Tensor) -> Tensor:
    """Positive power (bins, F) of least Kullback-Leibler divergence from ``bands`` (n_mels, F).

    Multiplicative updates (Lee and Seung 2001, "Algorithms for non-negative matrix factorization",
    theorem 2), started from each bin's mean over the bands around it. They keep what is smooth
    smooth, where exact non-negative least squares leaves a few bins a band and zeros between.
    """
    reach = bank.sum(dim=1, keepdim=True)
    share = bank / reach.clamp_min(1e-12)  # bins that no band covers stay at zero
    power = share @ (bands / bank.sum(dim=0).unsqueeze(1))
    for _ in range(UPDATES):
        power = power * (share @ (bands / (bank.T @ power).clamp_min(1e-30)))
    return power


def _window(config: FeatureConfig) -> Tensor:
    """Hann window, padded to the length of the FFT as torch.stft does (n_fft,)."""
    left = (config.n_fft - config.win_length) // 2
    right = config.n_fft - config.win_length - left
    return torch.nn.functional.pad(torch.hann_window(config.win_length), (left, right))


def _analyse(audio: Tensor, config: FeatureConfig) -> Tensor:
    """STFT (n_fft // 2 + 1, F) of audio (F * hop,), framed as the features are."""
    side = (config.n_fft - config.hop_length) // 2
    padded = torch.nn.functional.pad(audio, (side, side))
    return torch.stft(
        padded,
        config.n_fft,
        config.hop_length,
        window=_window(config),
        center=False,
        return_complex=True,
    )


def _synthesise(spectrum: Tensor, config: FeatureConfig) -> Tensor:
    """Audio (F * hop,) whose STFT is nearest to ``spectrum`` (Griffin and Lim 1984, equation 6)."""
    window = _window(config).unsqueeze(1)
    frames = torch.fft.irfft(spectrum, n=config.n_fft, dim=0) * window
    weight = window.square().expand_as(frames)
    side = (config.n_fft - config.hop_length) // 2
    kept = slice(side, side + spectrum.shape[1] * config.hop_length)
    overlapped = _overlap_add(frames, config.hop_length)[kept]
    return overlapped / _overlap_add(weight, config.hop_length)[kept].clamp_min(1e-8)


def _overlap_add(frames: Tensor, hop: int) -> Tensor:
    """Sum of frames (n, F), each one hop later than the one before."""
    length, count = frames.shape
    total = (count - 1) * hop + length
    folded = torch.nn.functional.fold(frames.unsqueeze(0), (1, total), (1, length), stride=(1, hop))
    return folded.flatten()
