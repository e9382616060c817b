"""Splits audio into chunks."""

from collections.abc import Iterator, Sequence

from vocoder.audio.io import Samples


def cut(samples: Samples, sizes: Sequence[int]) -> Iterator[Samples]:
    """Chunks whose sizes cycle through ``sizes``."""
    first = turn = 0
    while first < len(samples):
        yield samples[first : first + sizes[turn % len(sizes)]]
        first, turn = first + sizes[turn % len(sizes)], turn + 1
