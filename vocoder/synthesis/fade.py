"""The rise from silence at a sentence's start, and the fall at its end."""

import numpy as np

from vocoder.audio.io import Samples
from vocoder.scheduling.segment import Mel, PostFilter

FADE_S = 0.005
"""Length of the rise and the fall at a sentence's ends, in seconds."""


class Fading:
    """A finisher whose audio rises from silence at its start and falls to it at its end."""

    def __init__(self, finisher: PostFilter, length: int, rate_hz: int) -> None:
        """Fade what ``finisher`` gives, ``length`` samples in all."""
        self._finisher, self._length = finisher, length
        self._fade = round(FADE_S * rate_hz)
        self._at = 0

    def extend(self, mel: Mel) -> None:
        """Know the next frames (n_mels, F)."""
        self._finisher.extend(mel)

    def push(self, samples: Samples) -> Samples:
        """Take the next samples (T,); returns those that are finished (T',)."""
        return self._faded(self._finisher.push(samples))

    def flush(self) -> Samples:
        """End: returns the samples that were held back."""
        return self._faded(self._finisher.flush())

    def _faded(self, samples: Samples) -> Samples:
        first, self._at = self._at, self._at + len(samples)
        if first >= self._fade and self._at <= self._length - self._fade:
            return samples
        at = np.arange(first, self._at)
        distance = np.minimum(at, self._length - 1 - at) + 0.5
        gain = np.sin(np.pi / 2 * np.minimum(1.0, distance / self._fade)) ** 2
        return (samples * gain).astype(np.float32)
