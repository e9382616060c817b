"""Griffin-Lim: the baseline that turns the same mels into audio without learning anything.

Griffin and Lim 1984, "Signal estimation from modified short-time Fourier transform"; the momentum
is of Perraudin et al. 2013, "A fast Griffin-Lim algorithm". Written out, because the frames here
are centred between hops (see :mod:`vocoder.features`) and the noise comes from a seed; momentum
and number of iterations are those of torchaudio and librosa.
"""

import functools
import math

import torch
from torch import Tensor

from vocoder.audio import Samples
from vocoder.config import FeatureConfig
from vocoder.features import Features, mel_filterbank

ITERATIONS = 60
MOMENTUM = 0.99


@functools.lru_cache(maxsize=16)
def _pseudo_inverse(config: FeatureConfig) -> Tensor:
    """Least squares from mel bands to FFT bins (n_fft // 2 + 1, n_mels)."""
    inverse: Tensor = torch.linalg.pinv(mel_filterbank(config).double().T)
    return inverse.float()


def magnitudes(mel: Tensor, config: FeatureConfig) -> Tensor:
    """STFT magnitudes (n_fft // 2 + 1, F) whose mel power is nearest to exp(mel) (n_mels, F).

    The least-squares solution with negative powers set to zero. The exact non-negative solution
    (librosa's) measures the same to the third digit and takes a hundred times as long.
    """
    power = (_pseudo_inverse(config) @ mel.exp()).clamp_min(0.0)
    return (power * _window(config).square().sum()).sqrt()


def griffin_lim(features: Features, *, iterations: int = ITERATIONS, seed: int = 0) -> Samples:
    """Audio of a log-mel spectrogram.

    Args:
        features: log-mel (n_mels, F) and its settings.
        iterations: rounds of imposing the magnitudes on a consistent spectrogram's phases.
        seed: of the phases it starts from.

    Returns:
        F * hop samples (T,), frame f centred on sample (f + 1/2) hop as in the recording.
    """
    config = features.config
    target = magnitudes(features.mel, config)
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
