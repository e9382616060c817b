"""When each sentence, word and phoneme is spoken."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TimedPhoneme:
    """A phoneme with its stress mark, or a pause as its punctuation sign."""

    symbol: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class TimedWord:
    """A word of the normalised text, without the pause after it.

    ``phonemes`` include that pause, if there is one, as the last item.
    """

    text: str
    start_s: float
    end_s: float
    phonemes: tuple[TimedPhoneme, ...]


@dataclass(frozen=True)
class SentenceTimings:
    """A sentence's normalised text, and its words in seconds from the start of the stream."""

    text: str
    words: tuple[TimedWord, ...]
