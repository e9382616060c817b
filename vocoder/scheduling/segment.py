"""A stream as a sequence of segments: what an engine generates, and how its output is filtered.

A segment is prepared outside the sample loop and holds the conditioning of the next blocks of one
row. Whatever drives an engine (the synthesizer with one row, the scheduler with many) takes one
segment after another.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vocoder.audio.io import Samples
from vocoder.text.timings import SentenceTimings
from vocoder.wavenet.conditioning import Conditioning

Mel = npt.NDArray[np.float32]


class PostFilter(Protocol):
    """A streaming filter over an engine's output; it may hold samples back."""

    def extend(self, mel: Mel) -> None:
        """Append frames (n_mels, F) to the mel that the audio should have."""

    def push(self, samples: Samples) -> Samples:
        """Filter the next samples (T,); returns those that are finished (T',)."""

    def flush(self) -> Samples:
        """End the stream: returns the samples that were held back."""


@dataclass(frozen=True)
class UtteranceStart:
    """The start of an utterance; its row starts from silence.

    Attributes:
        seed: of its noise.
        post_filter: for its samples.
        timings: of the sentence, delivered with its first audio; None for features.
    """

    seed: int
    post_filter: PostFilter
    timings: SentenceTimings | None = None


@dataclass(frozen=True)
class Segment:
    """A stream's next blocks.

    Attributes:
        conditioning: of one row.
        mel: the frames that the audio of this segment should have (n_mels, F).
        utterance_start: set if an utterance starts with this segment.
        last: whether the utterance ends with this segment.
    """

    conditioning: Conditioning
    mel: Mel
    utterance_start: UtteranceStart | None = None
    last: bool = False
