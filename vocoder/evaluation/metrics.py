"""Distances of synthetic speech from the recording it copies, sample for sample in time.

Every metric takes two mono signals (T,) of one length and rate, the recording first, and none
aligns them: copy synthesis has the recording's timing. Spectra are of 32 ms Hann windows every
8 ms. Power is floored 60 dB below the recording's loudest bin in both signals, because what lies
below is the room's noise, inaudible under the speech, of which no two realisations agree.
"""

import warnings

import numpy as np
import numpy.typing as npt
import pystoi
import torch
from pydantic import Field

from vocoder.audio import Samples
from vocoder.config import FeatureConfig, Settings
from vocoder.evaluation import pitch
from vocoder.features import mel_filterbank, power_spectrogram

WINDOW_S, HOP_S = 0.032, 0.008
DYNAMIC_RANGE_DB = 60.0
MEL_BANDS = 40
MEL_CEPSTRA = 24


class Metrics(Settings):
    """How far one synthetic signal is from its recording."""

    mcd_db: float = Field(ge=0.0, description="mel-cepstral distortion, dB")
    stoi: float = Field(description="short-time objective intelligibility, 1 is the recording")
    log_spectral_distance_db: float = Field(ge=0.0, description="over linear frequency, dB")
    mel_spectral_distance_db: float = Field(ge=0.0, description="over mel bands, dB")
    log_f0_rmse_cents: float | None = Field(description="where both are voiced; None if nowhere")
    voicing_error: float = Field(ge=0.0, le=1.0, description="part of the frames judged otherwise")


def mel_cepstral_distortion(recording: Samples, synthetic: Samples, sample_rate_hz: int) -> float:
    """Mean over frames of (10 / ln 10) sqrt(2 sum_d (c_d - c'_d)^2), d = 1 ... 24, in dB.

    Kubichek 1993, "Mel-cepstral distance measure for objective speech quality assessment". c_d is
    the cosine transform of the log magnitude L_m in M = 40 mel bands, (1 / M) sum_m L_m cos(pi d
    (m + 1/2) / M). With this scaling the distortion is the RMS difference in dB of two mel spectra
    smoothed to 24 cepstra, level left out; implementations that take the orthonormal transform as
    it is give sqrt(M / 2) times the value, others take power for magnitude and give twice it.
    """
    first, second = _mel_power(recording, synthetic, sample_rate_hz)
    order, band = np.arange(1, MEL_CEPSTRA + 1)[:, None], np.arange(MEL_BANDS) + 0.5
    transform = np.cos(np.pi * order * band / MEL_BANDS) / MEL_BANDS
    cepstra = transform @ (0.5 * np.log(first / second))
    return float(10 / np.log(10) * np.sqrt(2 * np.square(cepstra).sum(axis=0)).mean())


def log_spectral_distance(recording: Samples, synthetic: Samples, sample_rate_hz: int) -> float:
    """Mean over frames of the RMS over FFT bins of the difference of power spectra, in dB.

    Gray and Markel 1976, "Distance measures for speech processing". TODO floor
    """
    first, second = _power(recording, synthetic, sample_rate_hz)
    return _rms_db(first, second)


def mel_spectral_distance(recording: Samples, synthetic: Samples, sample_rate_hz: int) -> float:
    """As :func:`log_spectral_distance`, over 80 mel bands."""
    first, second = _mel_power(recording, synthetic, sample_rate_hz)
    return _rms_db(first, second)


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
    return _f0_distances(
        pitch.contour(recording, sample_rate_hz), pitch.contour(synthetic, sample_rate_hz)
    )[0]


def voicing_error(recording: Samples, synthetic: Samples, sample_rate_hz: int) -> float:
    """Part of all frames that are voiced in one signal and unvoiced in the other."""
    return _f0_distances(
        pitch.contour(recording, sample_rate_hz), pitch.contour(synthetic, sample_rate_hz)
    )[1]


def measure(
    recording: Samples,
    synthetic: Samples,
    sample_rate_hz: int,
    *,
    recording_f0: npt.NDArray[np.float64] | None = None,
) -> Metrics:
    """All metrics of one signal.

    Args:
        recording: samples (T,).
        synthetic: samples (T,).
        sample_rate_hz: of both.
        recording_f0: of :func:`vocoder.evaluation.pitch.contour`, where it is known already.
    """
    if recording_f0 is None:
        recording_f0 = pitch.contour(recording, sample_rate_hz)
    rmse, error = _f0_distances(recording_f0, pitch.contour(synthetic, sample_rate_hz))
    return Metrics(
        mcd_db=mel_cepstral_distortion(recording, synthetic, sample_rate_hz),
        stoi=stoi(recording, synthetic, sample_rate_hz),
        log_spectral_distance_db=log_spectral_distance(recording, synthetic, sample_rate_hz),
        mel_spectral_distance_db=mel_spectral_distance(recording, synthetic, sample_rate_hz),
        log_f0_rmse_cents=rmse,
        voicing_error=error,
    )


def _f0_distances(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]
) -> tuple[float | None, float]:
    """Log-F0 RMSE in cents, and the part of frames whose voicing differs."""
    voiced, also = first > 0, second > 0
    error = float((voiced != also).mean())
    both = voiced & also
    if not both.any():
        return None, error
    cents = 1200 * np.log2(first[both] / second[both])
    return float(np.sqrt(np.square(cents).mean())), error
