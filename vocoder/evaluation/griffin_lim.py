"""Griffin-Lim: the baseline that turns the same mels into audio without any training.

Griffin and Lim 1984, "Signal estimation from modified short-time Fourier transform", with the
momentum of Perraudin et al. 2013, "A fast Griffin-Lim algorithm". It is implemented here because
our frames are centred between hops (see :mod:`vocoder.features.mel`) and the initial phases come
from a seed. Momentum and number of iterations are those of torchaudio and librosa.

Most of the quality depends on the step before, which turns 80 bands into 513 magnitudes.
``least_squares`` is the pseudo-inverse with negative powers clipped to zero. The inversions of
torchaudio and librosa amount to this, so it is what "Griffin-Lim from mels" usually means.
``positive`` finds powers that are positive everywhere and reproduce the mels: a much stronger
baseline.
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
    """Turn a log-mel spectrogram into audio.

    Args:
        features: log-mel (n_mels, F) and its settings.
        inversion: how to turn mel bands into magnitudes.
        iterations: how often to combine the magnitudes with the phases of the resynthesised audio.
        seed: seed of the initial phases.

    Returns:
        F * hop samples (T,); frame f is centred on sample (f + 1/2) hop, as in the recording.
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
    """Least-squares power (bins, F) from ``bands`` (n_mels, F), clipped at zero."""
    inverse: Tensor = torch.linalg.pinv(bank.T)
    return (inverse @ bands).clamp_min(0.0)


def _positive(bands: Tensor, bank: Tensor) -> Tensor:
    """Positive power (bins, F) with the least Kullback-Leibler divergence from ``bands``.

    Multiplicative updates (Lee and Seung 2001, "Algorithms for non-negative matrix factorization",
    theorem 2), initialised with each bin's mean over the bands that cover it. The result stays
    smooth, whereas exact non-negative least squares gives a few bins per band and zeros between.
    """
    reach = bank.sum(dim=1, keepdim=True)
    share = bank / reach.clamp_min(1e-12)  # bins outside every band stay at zero
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
    """Audio (F * hop,) with the STFT closest to ``spectrum`` (Griffin and Lim 1984, equation 6)."""
    window = _window(config).unsqueeze(1)
    frames = torch.fft.irfft(spectrum, n=config.n_fft, dim=0) * window
    weight = window.square().expand_as(frames)
    side = (config.n_fft - config.hop_length) // 2
    kept = slice(side, side + spectrum.shape[1] * config.hop_length)
    overlapped = _overlap_add(frames, config.hop_length)[kept]
    return overlapped / _overlap_add(weight, config.hop_length)[kept].clamp_min(1e-8)


def _overlap_add(frames: Tensor, hop: int) -> Tensor:
    """Overlap-add of frames (n, F), each one hop after the previous one."""
    length, count = frames.shape
    total = (count - 1) * hop + length
    folded = torch.nn.functional.fold(frames.unsqueeze(0), (1, total), (1, length), stride=(1, hop))
    return folded.flatten()
