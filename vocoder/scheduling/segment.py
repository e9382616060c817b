"""What a stream has generated for it, piece by piece, and what is made of the samples then.

A piece is prepared outside the sample loop: conditioning of the next blocks of one row. Whoever
drives an engine (the synthesizer one row, the scheduler many) takes pieces in turn.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vocoder.audio.io import Samples
from vocoder.wavenet.conditioning import Conditioning

Mel = npt.NDArray[np.float32]


class PostFilter(Protocol):
    """Turns what the engine generated into what is heard, as a stream; may hold samples back."""

    def extend(self, mel: Mel) -> None:
        """Know the next frames (n_mels, F) that the audio was asked to have."""

    def push(self, samples: Samples) -> Samples:
        """Take the next samples (T,); returns those that are finished (T',)."""

    def flush(self) -> Samples:
        """End: returns the samples that were held back."""


@dataclass(frozen=True)
class UtteranceStart:
    """An utterance begins: the row starts from silence.

    Attributes:
        seed: of its noise.
        finisher: of its samples.
        label: whatever is to come back with its first audio.
    """

    seed: int
    finisher: PostFilter
    label: object = None


@dataclass(frozen=True)
class Segment:
    """The next stretch of a stream.

    Attributes:
        conditioning: of one row.
        mel: the frames asked for in this stretch (n_mels, F).
        beginning: how the utterance begins, where it begins here.
        last: whether the utterance ends here.
    """

    conditioning: Conditioning
    mel: Mel
    beginning: UtteranceStart | None = None
    last: bool = False
