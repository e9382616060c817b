"""Linear prediction from the mel spectrogram, which leaves only the excitation to the network.

As in LPCNet (Valin and Skoglund 2019, arXiv 1810.11846) the predictor comes from the conditioning
itself, so it costs no side information: the mel bands give a smooth power spectrum, its inverse
Fourier transform the autocorrelation, and the Levinson-Durbin recursion the coefficients
(Makhoul 1975, "Linear Prediction: A Tutorial Review"). Unlike LPCNet, the residual is
normalised by the expected excitation, so silence and shouting have the same scale for the network.
The order may also exceed a pitch period: the lower mel bands resolve the harmonics, so a long
predictor carries the fundamental frequency into the sample loop.

With a filter bank each band has its own predictor. The autocorrelation of band k at lag m is that
of the audio filtered by its filter H_k at lag M m, so it is the transform of the power spectrum
times ``|H_k|^2`` at every M-th lag.

On the CPU, native code computes the same frame by frame if the FFT length is a power of two; with
bands it solves the equations only.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vocoder.config import FeatureConfig, LinearPredictionConfig
from vocoder.features.mel import mel_filterbank
from vocoder.native import library as native
from vocoder.wavenet.filter_bank import power_responses


class LinearPrediction(NamedTuple):
    """A predictor for each block of ``hold`` samples and each of M bands; M is 1 without bands.

    Attributes:
        coefficients: a_1 to a_order (B, N, M, order); the prediction is sum_i a_i x_{t-i}.
        gain: standard deviation of the excitation, the prediction's residual (B, N, M).
        level: standard deviation of the signal (B, N, M).
    """

    coefficients: Tensor
    gain: Tensor
    level: Tensor


@functools.lru_cache(maxsize=16)
def spectrum_matrix(config: FeatureConfig) -> Tensor:
    """Linear interpolation from the band centres to the FFT bins (n_mels, n_fft // 2 + 1)."""
    bank = mel_filterbank(config).double()
    bins = torch.arange(bank.shape[0], dtype=torch.float64)
    centres = (bank * bins[:, None]).sum(dim=0) / bank.sum(dim=0)
    right = torch.searchsorted(centres, bins).clamp(min(1, config.n_mels - 1), config.n_mels - 1)
    left = (right - 1).clamp_min(0)
    span = (centres[right] - centres[left]).clamp_min(1e-9)
    weight = ((bins - centres[left]) / span).clamp(0.0, 1.0)
    matrix = torch.zeros(config.n_mels, bank.shape[0], dtype=torch.float64)
    columns = torch.arange(bank.shape[0])
    matrix[left, columns] += 1 - weight
    matrix[right, columns] += weight
    return matrix


@functools.lru_cache(maxsize=16)
def _autocorrelation_matrices(n_fft: int, order: int, bands: int) -> Tensor:
    """From a power spectrum to the autocorrelation of each band (M, bins, order + 1).

    The inverse real Fourier transform of the filtered spectrum, for lags 0 to order of the band.
    """
    bins = n_fft // 2 + 1
    lags = bands * torch.arange(order + 1)
    phase = torch.outer(torch.arange(bins), lags).double() * 2 * math.pi / n_fft
    weight = torch.full((bins, 1), 2.0, dtype=torch.float64)
    weight[0] = 1.0
    if n_fft % 2 == 0:
        weight[-1] = 1.0
    return power_responses(bands, n_fft).unsqueeze(-1) * (weight * phase.cos() / n_fft)


def levinson_durbin(autocorrelation: Tensor) -> tuple[Tensor, Tensor]:
    """Solve the normal equations of linear prediction.

    Args:
        autocorrelation: lags 0 to order (..., order + 1), lag 0 positive.

    Returns:
        Coefficients a_1 to a_order (..., order) and the prediction error's power (...).
    """
    library = _library(autocorrelation)
    if library is None or autocorrelation.dtype != torch.float64:
        return reference_levinson_durbin(autocorrelation)
    lags = autocorrelation.reshape(-1, autocorrelation.shape[-1]).contiguous()
    coefficients, error = torch.empty_like(lags[:, 1:]), torch.empty_like(lags[:, 0])
    library.levinson_durbin(
        lags=lags,
        coefficients=coefficients,
        error=error,
        instructions=native.instruction_set(library),
    )
    shape = autocorrelation.shape[:-1]
    return coefficients.reshape(*shape, -1), error.reshape(shape)


def reference_levinson_durbin(autocorrelation: Tensor) -> tuple[Tensor, Tensor]:
    """The definition of :func:`levinson_durbin`, in plain PyTorch for any device and dtype."""
    order = autocorrelation.shape[-1] - 1
    # Lags first, so that the slices below are contiguous.
    lags = autocorrelation.movedim(-1, 0).contiguous()
    falling = lags.flip(0)
    error = lags[0].clone()
    coefficients = torch.zeros_like(lags[1:])
    for i in range(order):
        known = coefficients[:i]
        known_part = (known * falling[order - i : order]).sum(0)
        reflection = torch.sub(lags[i + 1], known_part, out=coefficients[i]).div_(error)
        known.addcmul_(known.flip(0), reflection, value=-1)
        error = torch.addcmul(error, error, reflection.square(), value=-1)
    return coefficients.movedim(0, -1), error


def predict_from_mel(
    mel: Tensor, features: FeatureConfig, config: LinearPredictionConfig, bands: int = 1
) -> LinearPrediction:
    """The predictor of each column of a log-mel spectrogram (B, n_mels, N), in each band."""
    library = _library(mel)
    if library is None or not _has_transform(features, config, bands):
        solve = levinson_durbin if bands > 1 else reference_levinson_durbin
        return _predict(mel, features, config, bands, solve)
    predictor = _predictor(features, config, native.instruction_set(library))
    rows, _, frames = mel.shape
    prediction = LinearPrediction(
        torch.empty(rows, frames, 1, config.order),
        torch.empty(rows, frames, 1),
        torch.empty(rows, frames, 1),
    )
    for row in range(rows):
        coefficients, gain, level = (part[row, :, 0] for part in prediction)
        predictor.predict(
            mel=mel[row].detach().float().contiguous(),
            coefficients=coefficients,
            gain=gain,
            level=level,
        )
    return prediction


@torch.no_grad()
def reference_predict_from_mel(
    mel: Tensor, features: FeatureConfig, config: LinearPredictionConfig, bands: int = 1
) -> LinearPrediction:
    """The definition of :func:`predict_from_mel`, in plain PyTorch for any device and FFT."""
    return _predict(mel, features, config, bands, reference_levinson_durbin)


@torch.no_grad()
def _predict(
    mel: Tensor,
    features: FeatureConfig,
    config: LinearPredictionConfig,
    bands: int,
    solve: Callable[[Tensor], tuple[Tensor, Tensor]],
) -> LinearPrediction:
    interpolation = spectrum_matrix(features).to(mel.device)
    transforms = _autocorrelation_matrices(features.n_fft, config.order, bands).to(mel.device)
    log_band_power = mel.double().transpose(-1, -2) - _log_area(features).to(mel.device)
    power = (log_band_power @ interpolation).exp()
    autocorrelation = torch.stack([power @ transform for transform in transforms], dim=-2)
    autocorrelation = autocorrelation * _lag_window(features, config, bands).to(mel.device)
    coefficients, error = solve(autocorrelation)
    return LinearPrediction(
        coefficients.float(), error.sqrt().float(), autocorrelation[..., 0].sqrt().float()
    )


def _log_area(features: FeatureConfig) -> Tensor:
    """Logarithm of each filter's sum (n_mels,)."""
    return mel_filterbank(features).double().sum(dim=0).log()


def _lag_window(features: FeatureConfig, config: LinearPredictionConfig, bands: int) -> Tensor:
    """The window over the lags of a band's autocorrelation (order + 1,)."""
    lags = bands * torch.arange(config.order + 1, dtype=torch.float64)
    spread = 2 * math.pi * config.lag_window_hz / features.sample_rate_hz
    window = (-0.5 * (spread * lags).square()).exp()
    window[0] *= 1 + config.noise_floor
    return window


def _library(tensor: Tensor) -> Any:
    return native.find() if tensor.device.type == "cpu" else None


def _has_transform(features: FeatureConfig, config: LinearPredictionConfig, bands: int) -> bool:
    return bands == 1 and native.transforms(features.n_fft) and config.order < features.n_fft


@functools.lru_cache(maxsize=16)
def _predictor(features: FeatureConfig, config: LinearPredictionConfig, instructions: str) -> Any:
    return native.load().Predictor(
        n_fft=features.n_fft,
        filters=mel_filterbank(features).double().contiguous(),
        interpolation=spectrum_matrix(features).contiguous(),
        log_area=_log_area(features),
        lag_window=_lag_window(features, config, 1),
        instructions=instructions,
    )


@torch.no_grad()
def predict(audio: Tensor, coefficients: Tensor, hold: int) -> Tensor:
    """Predict every sample from the known ones before it (teacher forcing).

    Args:
        audio: signal (B, T) with T = N * hold; it is preceded by zeros.
        coefficients: (B, N, order).
        hold: samples per block.

    Returns:
        sum_i a_i x_{t-i} (B, T).
    """
    order = coefficients.shape[-1]
    history = torch.nn.functional.pad(audio, (order, 0))
    prediction = torch.zeros_like(audio).unflatten(1, (-1, hold))
    for i in range(1, order + 1):
        past = history[:, order - i : order - i + audio.shape[1]].unflatten(1, (-1, hold))
        prediction.addcmul_(coefficients[..., i - 1 : i], past)
    return prediction.flatten(1)
