"""Objective distances between synthetic speech and the recording it copies.

Every metric takes two mono signals (T,) of the same length and sample rate, the recording first,
and compares them frame by frame: copy synthesis has the recording's timing. Only
:func:`warped_mel_cepstral_distortion` aligns the two first, for speech with its own timing.

Spectral distances floor the power of both signals 60 dB below the recording's peak. Anything lower
is room noise, inaudible under the speech and random: two realisations of white noise are 7.9 dB
apart over linear frequency, 3.4 dB over 80 mel bands and 3.0 dB in mel cepstra, a bound for every
vocoder that draws its own noise. (The level of one bin of noise has a standard deviation of 5.6 dB,
the difference of two such levels 7.9 dB.)
"""

import functools
import warnings

import numpy as np
import numpy.typing as npt
import pystoi
import torch
from pydantic import Field

from vocoder.audio.io import Samples
from vocoder.config import FeatureConfig, StrictModel
from vocoder.features import f0 as pitch
from vocoder.features.librosa_import import librosa
from vocoder.features.mel import mel_filterbank, power_spectrogram

DYNAMIC_RANGE_DB = 60.0
"""Range below the recording's peak in which spectra are compared."""

SILENCE = 1e-14
"""Smallest floor, far below the 8e-11 of 16-bit rounding, so that two silent signals compare."""

SPECTRUM_S, SPECTRUM_HOP_S, SPECTRUM_BANDS = 0.064, 0.0125, 80
CEPSTRUM_S, CEPSTRUM_HOP_S, CEPSTRUM_BANDS = 0.032, 0.008, 40
CEPSTRA = 24

Array = npt.NDArray[np.float64]


class Metrics(StrictModel):
    """Distances between a synthetic signal and its recording."""

    mcd_db: float = Field(ge=0.0, description="mel-cepstral distortion, dB")
    stoi: float | None = Field(
        description="short-time objective intelligibility, at most 1; None for too little speech"
    )
    log_spectral_distance_db: float = Field(ge=0.0, description="over linear frequency, dB")
    mel_spectral_distance_db: float = Field(ge=0.0, description="over mel bands, dB")
    log_f0_rmse_cents: float | None = Field(
        description="over frames voiced in both, in cents; None if there are none"
    )
    gross_pitch_error: float | None = Field(
        description="fraction of those frames off by a fifth or more; None as above"
    )
    voicing_error: float = Field(
        ge=0.0, le=1.0, description="fraction of frames with the wrong voicing decision"
    )


def mel_cepstral_distortion(recording: Samples, synthetic: Samples, sample_rate_hz: int) -> float:
    """Mean over frames of (10 / ln 10) sqrt(2 sum_d (c_d - c'_d)^2), d = 1 to 24, in dB.

    Kubichek 1993, "Mel-cepstral distance measure for objective speech quality assessment". Here
    c_d = (2 / M) sum_m L_m cos(pi d (m + 1/2) / M), where L_m is the natural logarithm of the
    magnitude in M = 40 mel bands, from 32 ms windows every 8 ms at any sample rate. A spectrum is
    sum_d c_d cos(d w), so the distortion is the RMS difference in dB between two mel spectra
    smoothed to 24 cepstra, regardless of level. Implementations that use the orthonormal transform
    without rescaling report sqrt(M / 2) times this value.
    """
    first, second = _mel_cepstra(recording, synthetic, sample_rate_hz)
    return float(_cepstral_distance(first, second).mean())


def warped_mel_cepstral_distortion(
    recording: Samples, synthetic: Samples, sample_rate_hz: int
) -> float:
    """The mean of :func:`mel_cepstral_distortion` along the best time alignment of two signals.

    The signals may differ in length. Dynamic time warping finds the path through their frames with
    the smallest total distance; the mean is over the steps of that path.
    """
    first, second = _mel_cepstra(recording, synthetic, sample_rate_hz)
    distance = _cepstral_distance(first[:, :, None], second[:, None])
    _, path = librosa().sequence.dtw(C=distance)
    return float(distance[path[:, 0], path[:, 1]].mean())


def log_spectral_distance(recording: Samples, synthetic: Samples, sample_rate_hz: int) -> float:
    """Mean over frames of the RMS difference of the power in dB over the FFT bins.

    Gray and Markel 1976, "Distance measures for speech processing", with the floor stated above;
    64 ms windows every 12.5 ms.
    """
    config = _analysis(sample_rate_hz, SPECTRUM_S, SPECTRUM_HOP_S, SPECTRUM_BANDS)
    return _rms_difference(*_decibels(_power(recording, config), _power(synthetic, config)))


def mel_spectral_distance(recording: Samples, synthetic: Samples, sample_rate_hz: int) -> float:
    """Like :func:`log_spectral_distance` over 80 mel bands, where noise contributes much less."""
    config = _analysis(sample_rate_hz, SPECTRUM_S, SPECTRUM_HOP_S, SPECTRUM_BANDS)
    return _rms_difference(*_mel_decibels(recording, synthetic, config))


def stoi(recording: Samples, synthetic: Samples, sample_rate_hz: int) -> float | None:
    """Short-time objective intelligibility, at most 1 (Taal et al. 2011; pystoi).

    None if the recording has less than 0.4 s of speech, the length of the correlation windows.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Not enough STFT frames", RuntimeWarning)
        try:
            return float(pystoi.stoi(recording, synthetic, sample_rate_hz))
        except RuntimeWarning:
            return None


def log_f0_rmse(recording: Samples, synthetic: Samples, sample_rate_hz: int) -> float | None:
    """RMS difference of log F0 in cents over the frames voiced in both; None if there are none."""
    return pitch.rmse_cents(*_contours(recording, synthetic, sample_rate_hz))


def gross_pitch_error(recording: Samples, synthetic: Samples, sample_rate_hz: int) -> float | None:
    """Fraction of the frames voiced in both whose F0 is off by a fifth or more; None as above."""
    return pitch.gross_error(*_contours(recording, synthetic, sample_rate_hz))


def voicing_error(recording: Samples, synthetic: Samples, sample_rate_hz: int) -> float:
    """Fraction of all frames that are voiced in one signal and unvoiced in the other."""
    return pitch.voicing_error(*_contours(recording, synthetic, sample_rate_hz))


def measure(
    recording: Samples,
    synthetic: Samples,
    sample_rate_hz: int,
    *,
    recording_f0: pitch.Contour | None = None,
) -> Metrics:
    """Compute every metric of one synthetic signal.

    Args:
        recording: samples (T,).
        synthetic: samples (T,).
        sample_rate_hz: of both signals.
        recording_f0: the recording's :func:`vocoder.features.f0.contour`, if already computed.
    """
    if recording_f0 is None:
        recording_f0 = pitch.contour(recording, sample_rate_hz)
    synthetic_f0 = pitch.contour(synthetic, sample_rate_hz)
    return Metrics(
        mcd_db=mel_cepstral_distortion(recording, synthetic, sample_rate_hz),
        stoi=stoi(recording, synthetic, sample_rate_hz),
        log_spectral_distance_db=log_spectral_distance(recording, synthetic, sample_rate_hz),
        mel_spectral_distance_db=mel_spectral_distance(recording, synthetic, sample_rate_hz),
        log_f0_rmse_cents=pitch.rmse_cents(recording_f0, synthetic_f0),
        gross_pitch_error=pitch.gross_error(recording_f0, synthetic_f0),
        voicing_error=pitch.voicing_error(recording_f0, synthetic_f0),
    )


def _contours(
    recording: Samples, synthetic: Samples, sample_rate_hz: int
) -> tuple[pitch.Contour, pitch.Contour]:
    return pitch.contour(recording, sample_rate_hz), pitch.contour(synthetic, sample_rate_hz)


@functools.lru_cache(maxsize=16)
def _analysis(sample_rate_hz: int, window_s: float, hop_s: float, bands: int) -> FeatureConfig:
    """Analysis with windows given in seconds; their lengths are even so that frames centre."""
    window, hop = (2 * round(seconds * sample_rate_hz / 2) for seconds in (window_s, hop_s))
    return FeatureConfig(
        sample_rate_hz=sample_rate_hz,
        n_fft=window,
        win_length=window,
        hop_length=hop,
        n_mels=bands,
        f_max_hz=sample_rate_hz / 2,
    )


def _power(samples: Samples, config: FeatureConfig) -> Array:
    """Power (bins, F)."""
    return np.asarray(power_spectrogram(torch.tensor(samples).double(), config).numpy())


def _decibels(first: Array, second: Array) -> tuple[Array, Array]:
    """Two power spectra in dB, both floored relative to the first one's peak."""
    floor = max(float(first.max()) * 10 ** (-DYNAMIC_RANGE_DB / 10), SILENCE)
    return 10 * np.log10(np.maximum(first, floor)), 10 * np.log10(np.maximum(second, floor))


def _mel_decibels(
    recording: Samples, synthetic: Samples, config: FeatureConfig
) -> tuple[Array, Array]:
    """Two mel power spectra (bands, F) in dB, both floored."""
    bank = mel_filterbank(config).double().numpy().T
    return _decibels(bank @ _power(recording, config), bank @ _power(synthetic, config))


def _mel_cepstra(
    recording: Samples, synthetic: Samples, sample_rate_hz: int
) -> tuple[Array, Array]:
    """Mel cepstra (CEPSTRA, F) of two signals, scaled for :func:`_cepstral_distance`."""
    config = _analysis(sample_rate_hz, CEPSTRUM_S, CEPSTRUM_HOP_S, CEPSTRUM_BANDS)
    transform = cosine_transform(CEPSTRUM_BANDS)
    # Decibels are (20 / ln 10) L: the factors 10 / ln 10 and 2 / M leave 1 / M.
    first, second = _mel_decibels(recording, synthetic, config)
    return transform @ first, transform @ second


def cosine_transform(bands: int) -> Array:
    """The cosine transform (CEPSTRA, bands) of a mean over bands, without the level."""
    order, band = np.arange(1, CEPSTRA + 1)[:, None], np.arange(bands) + 0.5
    return np.asarray(np.cos(np.pi * order * band / bands) / bands)


def _cepstral_distance(first: Array, second: Array) -> Array:
    """Distance in dB of cepstra along the first axis."""
    return np.asarray(np.sqrt(2 * np.square(first - second).sum(axis=0)))


def _rms_difference(first: Array, second: Array) -> float:
    """RMS difference over frequency, mean over frames."""
    return float(np.sqrt(np.square(first - second).mean(axis=0)).mean())
