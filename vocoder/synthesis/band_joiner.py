"""The post-filter of a voice whose engine generates the bands of a filter bank."""

import numpy as np

from vocoder.audio.io import Samples
from vocoder.scheduling.segment import Mel, PostFilter
from vocoder.wavenet.filter_bank import BandSynthesis


class BandJoiner:
    """Joins band samples into audio, and filters that with another post-filter."""

    def __init__(self, post_filter: PostFilter, bands: int) -> None:
        """Filter the joined audio of ``bands`` bands with ``post_filter``."""
        self._post_filter, self._synthesis = post_filter, BandSynthesis(bands)

    def extend(self, mel: Mel) -> None:
        """See :class:`PostFilter`."""
        self._post_filter.extend(mel)

    def push(self, samples: Samples) -> Samples:
        """See :class:`PostFilter`; ``samples`` are band samples (T,)."""
        return self._post_filter.push(self._synthesis.push(samples))

    def flush(self) -> Samples:
        """See :class:`PostFilter`."""
        rest = self._post_filter.push(self._synthesis.flush())
        return np.concatenate((rest, self._post_filter.flush()))
