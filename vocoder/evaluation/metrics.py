"""Distances of synthetic speech from the recording it copies, sample for sample in time.

Every metric takes two mono signals (T,) of one length and rate, the recording first, and none
aligns them: copy synthesis has the recording's timing.

Spectral distances floor the power of both signals 60 dB below the recording's loudest point. What
lies below is the room's noise, inaudible under the speech, and it is chance: two realisations of
white noise are 7.9 dB apart over linear frequency, 3.4 dB over 80 mel bands and 3.0 dB in mel
cepstra, which no vocoder that draws its own noise escapes. (The level of a bin of noise, in dB,
has a standard deviation of 5.6, and the difference of two of them 7.9.)
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
from vocoder.features.mel import mel_filterbank, power_spectrogram

DYNAMIC_RANGE_DB = 60.0
"""What is compared below the recording's loudest point."""

SILENCE = 1e-14
"""Least power, far below the 8e-11 of rounding to 16 bits: two silent signals can be compared."""

SPECTRUM_S, SPECTRUM_HOP_S, SPECTRUM_BANDS = 0.064, 0.0125, 80
CEPSTRUM_S, CEPSTRUM_HOP_S, CEPSTRUM_BANDS = 0.032, 0.008, 40
CEPSTRA = 24


class Metrics(StrictModel):
    """How far one synthetic signal is from its recording."""

    mcd_db: float = Field(ge=0.0, description="mel-cepstral distortion, dB")
    stoi: float | None = Field(
        description="short-time objective intelligibility, 1 at best; None for too little speech"
    )
    log_spectral_distance_db: float = Field(ge=0.0, description="over linear frequency, dB")
    mel_spectral_distance_db: float = Field(ge=0.0, description="over mel bands, dB")
    log_f0_rmse_cents: float | None = Field(
        description="over frames voiced in both, cents; None if there are none"
    )
    gross_pitch_error: float | None = Field(
        description="part of those frames off by a fifth or more; None as above"
    )
    voicing_error: float = Field(ge=0.0, le=1.0, description="part of frames judged otherwise")


def mel_cepstral_distortion(recording: Samples, synthetic: Samples, sample_rate_hz: int) -> float:
    """Mean over frames of (10 / ln 10) sqrt(2 sum_d (c_d - c'_d)^2), d = 1 to 24, in dB.

    Kubichek 1993, "Mel-cepstral distance measure for objective speech quality assessment". Here
    c_d = (2 / M) sum_m L_m cos(pi d (m + 1/2) / M), with L_m the natural logarithm of the magnitude
    in M = 40 mel bands of 32 ms windows every 8 ms: a spectrum is sum_d c_d cos(d w), and the
    distortion the RMS difference in dB of two mel spectra smoothed to 24 cepstra, levels aside.
    Those who take the orthonormal transform as it is get sqrt(M / 2) times the value.
    """
    config = _analysis(sample_rate_hz, CEPSTRUM_S, CEPSTRUM_HOP_S, CEPSTRUM_BANDS)
    decibels = _mel_difference(recording, synthetic, config)
    order, band = np.arange(1, CEPSTRA + 1)[:, None], np.arange(CEPSTRUM_BANDS) + 0.5
    transform = np.cos(np.pi * order * band / CEPSTRUM_BANDS) / CEPSTRUM_BANDS
    # Decibels are (20 / ln 10) L: the factors 10 / ln 10 and 2 / M leave 1 / M.
    return float(np.sqrt(2 * np.square(transform @ decibels).sum(axis=0)).mean())


def log_spectral_distance(recording: Samples, synthetic: Samples, sample_rate_hz: int) -> float:
    """Mean over frames of the RMS over FFT bins of the difference of the power in dB.

    Gray and Markel 1976, "Distance measures for speech processing", with the floor stated above;
    64 ms windows every 12.5 ms.
    """
    config = _analysis(sample_rate_hz, SPECTRUM_S, SPECTRUM_HOP_S, SPECTRUM_BANDS)
    return _rms(_difference(_power(recording, config), _power(synthetic, config)))


def mel_spectral_distance(recording: Samples, synthetic: Samples, sample_rate_hz: int) -> float:
    """As :func:`log_spectral_distance`, over 80 mel bands: much less of it is chance."""
    config = _analysis(sample_rate_hz, SPECTRUM_S, SPECTRUM_HOP_S, SPECTRUM_BANDS)
    return _rms(_mel_difference(recording, synthetic, config))


def stoi(recording: Samples, synthetic: Samples, sample_rate_hz: int) -> float | None:
    """Short-time objective intelligibility, at most 1 (Taal et al. 2011; pystoi).

    None where the recording has less than 0.4 s of speech, the length of the correlations.
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
    """Part of the frames voiced in both where F0 is off by a fifth or more; None as above."""
    return pitch.gross_error(*_contours(recording, synthetic, sample_rate_hz))


def voicing_error(recording: Samples, synthetic: Samples, sample_rate_hz: int) -> float:
    """Part of all frames that are voiced in one signal and unvoiced in the other."""
    return pitch.voicing_error(*_contours(recording, synthetic, sample_rate_hz))


def measure(
    recording: Samples,
    synthetic: Samples,
    sample_rate_hz: int,
    *,
    recording_f0: pitch.Contour | None = None,
) -> Metrics:
    """All metrics of one signal.

    Args:
        recording: samples (T,).
        synthetic: samples (T,).
        sample_rate_hz: of both.
        recording_f0: of :func:`vocoder.features.f0.contour`, where it is known already.
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
    """Windows of a duration, at any rate; even lengths, as the frames' centring needs."""
    window, hop = (2 * round(seconds * sample_rate_hz / 2) for seconds in (window_s, hop_s))
    return FeatureConfig(
        sample_rate_hz=sample_rate_hz,
        n_fft=window,
        win_length=window,
        hop_length=hop,
        n_mels=bands,
        f_max_hz=sample_rate_hz / 2,
    )


def _power(samples: Samples, config: FeatureConfig) -> npt.NDArray[np.float64]:
    """Power (bins, F)."""
    return np.asarray(power_spectrogram(torch.tensor(samples).double(), config).numpy())


def _difference(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Difference in dB of two power spectra, both floored below the first one's peak."""
    floor = max(float(first.max()) * 10 ** (-DYNAMIC_RANGE_DB / 10), SILENCE)
    return np.asarray(10 * np.log10(np.maximum(first, floor) / np.maximum(second, floor)))


def _mel_difference(
    recording: Samples, synthetic: Samples, config: FeatureConfig
) -> npt.NDArray[np.float64]:
    """Difference in dB of two mel power spectra (bands, F), both floored."""
    bank = mel_filterbank(config).double().numpy().T
    return _difference(bank @ _power(recording, config), bank @ _power(synthetic, config))


def _rms(decibels: npt.NDArray[np.float64]) -> float:
    """RMS over frequency, mean over frames."""
    return float(np.sqrt(np.square(decibels).mean(axis=0)).mean())
