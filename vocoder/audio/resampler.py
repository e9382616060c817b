"""Incremental resampling with the filter of :func:`vocoder.audio.io.resample`.

Output sample j is a weighted sum of the input around position j * rate / to_rate. The weights
depend only on the fractional part of that position, so there is one row of weights per fraction
(Smith, Digital Audio Resampling, 2002). Each output sample is summed separately and in a fixed
order, so the output does not depend on the chunk sizes.
"""

import functools
import math

import numpy as np
import numpy.typing as npt

from vocoder.audio.io import KAISER_BETA, ROLLOFF, ZERO_CROSSINGS, Samples

LARGEST_BLOCK = 4096
"""Output samples computed at a time; this bounds the memory for a long chunk."""


class Resampler:
    """Resamples one signal.

    Attributes:
        delay_s: delay of the output relative to the input, in seconds.
    """

    def __init__(self, rate_hz: int, to_rate_hz: int) -> None:
        divisor = math.gcd(rate_hz, to_rate_hz)
        self._step, self._phases = rate_hz // divisor, to_rate_hz // divisor
        self._reach = _reach(self._step, self._phases) if self._step != self._phases else 0
        self.delay_s = self._reach / rate_hz
        # Input from `_first` on, preceded by the silence that the first output samples need.
        self._kept = np.zeros(max(0, self._reach - 1), dtype=np.float32)
        self._first = -len(self._kept)
        self._read = self._written = 0

    def push(self, samples: Samples) -> Samples:
        """Resample a chunk (T,) of any length; returns the output that is complete."""
        if not self._reach:
            return samples
        self._kept = np.concatenate((self._kept, samples))
        self._read += len(samples)
        # An output sample at input position p needs samples up to floor(p) + reach.
        return self._output(-((self._reach - self._read) * self._phases // self._step))

    def finish(self) -> Samples:
        """Return the rest; the total length is that of :func:`vocoder.audio.io.resample`."""
        if not self._reach:
            return np.zeros(0, dtype=np.float32)
        self._kept = np.concatenate((self._kept, np.zeros(self._reach + 1, dtype=np.float32)))
        return self._output(math.ceil(self._read * self._phases / self._step))

    def _output(self, end: int) -> Samples:
        """Output samples up to ``end``; drops the input that is no longer needed."""
        weights = _weights(self._step, self._phases)
        blocks = [np.zeros(0, dtype=np.float32)]
        while self._written < end:
            index = np.arange(self._written, min(end, self._written + LARGEST_BLOCK))
            first = index * self._step // self._phases - self._reach + 1 - self._first
            windows = np.lib.stride_tricks.sliding_window_view(self._kept, 2 * self._reach)[first]
            blocks.append((windows * weights[index % self._phases]).sum(axis=1))
            self._written += len(index)
        unneeded = self._written * self._step // self._phases - self._reach + 1 - self._first
        self._kept = self._kept[max(0, unneeded) :]
        self._first += max(0, unneeded)
        return np.concatenate(blocks)


def _cutoff(step: int, phases: int) -> float:
    """Cut-off of the low-pass filter relative to the input's Nyquist frequency."""
    return ROLLOFF * min(1.0, phases / step)


def _reach(step: int, phases: int) -> int:
    """Number of input samples on each side of a position that its output depends on."""
    return math.ceil(ZERO_CROSSINGS / _cutoff(step, phases))


@functools.lru_cache(maxsize=16)
def _weights(step: int, phases: int) -> npt.NDArray[np.float32]:
    """Weights (phases, 2 * reach) of the input samples from floor(p) - reach + 1 on."""
    reach, cutoff = _reach(step, phases), _cutoff(step, phases)
    fraction = (np.arange(phases) * step % phases / phases)[:, None]
    distance = cutoff * (np.arange(-reach + 1, reach + 1) - fraction)
    inside = np.clip(distance / ZERO_CROSSINGS, -1.0, 1.0)
    window = np.i0(KAISER_BETA * np.sqrt(1.0 - inside**2)) / np.i0(KAISER_BETA)
    return (cutoff * np.sinc(distance) * window).astype(np.float32)
