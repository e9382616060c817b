"""The filter bank that splits audio into M bands at 1/M of its rate, and joins them again.

A cosine-modulated bank (Nguyen 1994, "Near-perfect-reconstruction pseudo-QMF banks"; as used for
vocoders by Yu et al. 2019, DurIAN, arXiv 1909.01700), but with perfect reconstruction: its filters
and their shifts by M samples are an orthonormal basis (Koilpillai and Vaidyanathan 1992,
"Cosine-modulated FIR filter banks satisfying perfect reconstruction"). So white noise stays white
at the same level, the likelihoods of band samples and of samples are comparable, and the same
filters analyse and synthesise. Only rounding separates the joined bands from the audio; exceptions
are the first ``OVERLAP * M`` and the last :func:`delay` samples, which also belong to steps before
the start and after the end.

Band samples are in the order of time, then frequency: sample ``M t + k`` is that of band k at step
t, so there are as many of them as samples of audio.
"""

import functools

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.audio.io import Samples

OVERLAP = 8
"""Length of the filters in units of 2 M samples."""

Array = npt.NDArray[np.float64]

_KAISER_BETA, _CUTOFF = 7.0, 0.6
"""The window of the initial prototype, and its cutoff in units of pi / M: those that leave little
energy outside the bands, -49 dB or less, once the prototype reconstructs perfectly."""


def delay(bands: int) -> int:
    """Number of band samples after a sample's own step that :class:`BandSynthesis` waits for."""
    return (OVERLAP - 1) * bands if bands > 1 else 0


def lookahead(bands: int) -> int:
    """Number of samples after its own step that a band sample depends on."""
    return OVERLAP * bands if bands > 1 else 0


@functools.lru_cache(maxsize=4)
def filters(bands: int) -> Array:
    """The impulse responses (M, 2 OVERLAP M), lowest band first, each of unit norm."""
    if bands == 1:
        return np.ones((1, 1))
    prototype = _perfect(bands)
    length = len(prototype)
    n, k = np.arange(length) - (length - 1) / 2, np.arange(bands)[:, None]
    phase = (2 * k + 1) * np.pi / (2 * bands) * n + (-1.0) ** k * np.pi / 4
    return np.asarray(np.sqrt(2.0) * prototype * np.cos(phase))


def _perfect(bands: int) -> Array:
    """The prototype of a perfectly reconstructing bank that is nearest to a windowed sinc.

    Newton's method, each step of minimum norm, on the conditions of perfect reconstruction: for
    each k below M / 2, the polyphase components k and k + M of 2 M are power complementary.
    """
    length = 2 * OVERLAP * bands
    n = np.arange(length) - (length - 1) / 2
    prototype = np.sinc(_CUTOFF / bands * n) * np.kaiser(length, _KAISER_BETA)
    half = (prototype / np.linalg.norm(prototype))[: length // 2]
    for _ in range(12):
        error, slope = _conditions(np.concatenate((half, half[::-1])), bands)
        # The prototype is symmetric: each of its values occurs twice.
        slope = slope[:, : length // 2] + slope[:, : length // 2 - 1 : -1]
        half = half - np.linalg.lstsq(slope, error, rcond=None)[0]
    return np.concatenate((half, half[::-1]))


def _conditions(prototype: Array, bands: int) -> tuple[Array, Array]:
    """Errors of the conditions (bands / 2 * OVERLAP,), and their derivatives (..., length)."""
    errors, slopes = [], []
    for k in range(bands // 2):
        for shift in range(OVERLAP):
            error, slope = -float(shift == 0) / bands, np.zeros_like(prototype)
            for first in (k, k + bands):
                index = first + 2 * bands * np.arange(OVERLAP)
                early, late = index[: OVERLAP - shift], index[shift:]
                error += float(prototype[early] @ prototype[late])
                slope[early] += prototype[late]
                slope[late] += prototype[early]
            errors.append(error)
            slopes.append(slope)
    return np.array(errors), np.stack(slopes)


@functools.lru_cache(maxsize=16)
def power_responses(bands: int, n_fft: int) -> Tensor:
    """Squared magnitude of each filter at the bins of an FFT (M, n_fft // 2 + 1), float64."""
    taps = filters(bands)
    angle = 2 * np.pi / n_fft * np.outer(np.arange(taps.shape[1]), np.arange(n_fft // 2 + 1))
    return torch.from_numpy(np.square(taps @ np.cos(angle)) + np.square(taps @ np.sin(angle)))


def analyse(audio: Tensor, bands: int) -> Tensor:
    """Audio (B, T), T a multiple of M, surrounded by silence, to band samples (B, T)."""
    if bands == 1:
        return audio
    taps = torch.from_numpy(filters(bands)).to(audio)
    padded = F.pad(audio.unsqueeze(1), (delay(bands), lookahead(bands)))
    with torch.autocast(audio.device.type, enabled=False):
        split = F.conv1d(padded, taps.unsqueeze(1), stride=bands)
    return split.transpose(1, 2).flatten(1)


class BandSynthesis:
    """Joins the bands of one stream, in float64. The result does not depend on the chunks."""

    def __init__(self, bands: int) -> None:
        """Join ``bands`` bands; before the first step there is silence."""
        self._bands, self._taps = bands, synthesis_matrix(bands)
        self._input = np.zeros(lookahead(bands))

    def push(self, samples: Samples) -> Samples:
        """Join the next band samples (T,), any number; returns the finished samples (T',)."""
        self._input = np.concatenate((self._input, samples))
        length, bands = len(self._taps), self._bands
        steps = max(0, (len(self._input) - length) // bands + 1)
        if not steps:
            return np.zeros(0, dtype=np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(self._input, length)[::bands][:steps]
        joined = np.zeros((steps, bands))
        # Not a product of matrices: the order of its sums would depend on the number of steps.
        for window, taps in zip(windows.T, self._taps, strict=True):
            joined += window[:, None] * taps
        self._input = self._input[steps * bands :]
        return joined.reshape(-1).astype(np.float32)

    def flush(self) -> Samples:
        """End the stream: returns the samples held back, as many as are still missing.

        Missing band samples count as silence.
        """
        return self.push(np.zeros(delay(self._bands), dtype=np.float32))


@functools.lru_cache(maxsize=4)
def synthesis_matrix(bands: int) -> Array:
    """From the band samples around a step to its M samples (2 OVERLAP M, M).

    Its rows belong to the ``OVERLAP`` steps before, the step itself, and those of the delay.
    """
    if bands == 1:
        return np.ones((1, 1))
    steps = filters(bands).reshape(bands, 2 * OVERLAP, bands)
    return np.ascontiguousarray(steps[:, ::-1].transpose(1, 0, 2).reshape(-1, bands))
