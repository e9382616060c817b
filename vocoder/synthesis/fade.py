"""The fade-in at the start of a sentence, and the fade-out at its end."""

import numpy as np

from vocoder.audio.io import Samples
from vocoder.scheduling.segment import Mel, PostFilter

FADE_S = 0.005
"""Length of each fade in seconds."""


class Fade:
    """A post-filter that fades the output of another in and out."""

    def __init__(self, post_filter: PostFilter, length: int, rate_hz: int) -> None:
        """Fade the output of ``post_filter``, ``length`` samples in all."""
        self._post_filter, self._length = post_filter, length
        self._fade = round(FADE_S * rate_hz)
        self._position = 0

    def extend(self, mel: Mel) -> None:
        """See :class:`PostFilter`."""
        self._post_filter.extend(mel)

    def push(self, samples: Samples) -> Samples:
        """See :class:`PostFilter`."""
        return self._apply(self._post_filter.push(samples))

    def flush(self) -> Samples:
        """See :class:`PostFilter`."""
        return self._apply(self._post_filter.flush())

    def _apply(self, samples: Samples) -> Samples:
        first, self._position = self._position, self._position + len(samples)
        if first >= self._fade and self._position <= self._length - self._fade:
            return samples
        index = np.arange(first, self._position)
        distance = np.minimum(index, self._length - 1 - index) + 0.5
        gain = np.sin(np.pi / 2 * np.minimum(1.0, distance / self._fade)) ** 2
        return (samples * gain).astype(np.float32)
