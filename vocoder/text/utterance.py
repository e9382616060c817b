"""The text front end's output: sentences of words with their phonemes and pauses."""

from dataclasses import dataclass
from typing import NamedTuple

VOWELS = (
    "ɑ", "æ", "ʌ", "ə", "ɔ", "aʊ", "aɪ", "ɛ", "ɚ", "eɪ", "ɪ", "i", "oʊ", "ɔɪ", "ʊ", "u",
)  # fmt: skip
CONSONANTS = (
    "b", "d", "d͡ʒ", "ð", "f", "ɡ", "h", "j", "k", "l", "m", "n", "ŋ", "p", "ɹ", "s", "ʃ", "t",
    "t͡ʃ", "θ", "v", "w", "z", "ʒ",
)  # fmt: skip
PHONEMES = VOWELS + CONSONANTS
"""Phonemes of General American in IPA, without stress."""

PAUSES = (",", ".", "?", "!")
"""Punctuation that affects speech: a pause within a sentence, and three sentence endings."""

STRESS_MARKS = ("", "ˈ", "ˌ")
"""The mark of each degree of stress: none, primary, secondary."""


class Phoneme(NamedTuple):
    """One phoneme of a word.

    Attributes:
        symbol: one of ``PHONEMES``.
        stress: 0 none, 1 primary, 2 secondary; only vowels are stressed.
    """

    symbol: str
    stress: int = 0

    def __str__(self) -> str:
        return STRESS_MARKS[self.stress] + self.symbol


@dataclass(frozen=True)
class Word:
    """A spoken word, the punctuation after it, and its prosody.

    Attributes:
        text: its spelling in the normalised text.
        phonemes: at least one.
        pause: the punctuation after it, one of ``PAUSES``, or an empty string.
        break_s: length in seconds of the pause after it, if the text specifies one.
        rate: speed factor.
        pitch: F0 shift in semitones.
    """

    text: str
    phonemes: tuple[Phoneme, ...]
    pause: str = ""
    break_s: float | None = None
    rate: float = 1.0
    pitch: float = 0.0


@dataclass(frozen=True)
class Sentence:
    """Words that are synthesised together. The pause of the last word is never empty.

    Attributes:
        words: at least one.
        break_s: silence in seconds before the sentence, if the text specifies one.
    """

    words: tuple[Word, ...]
    break_s: float = 0.0

    @property
    def text(self) -> str:
        """The normalised text."""
        return " ".join(word.text + word.pause for word in self.words)

    @property
    def phonemes(self) -> str:
        """Phonemes in IPA, with words separated by spaces, and punctuation."""
        return " ".join("".join(map(str, word.phonemes)) + word.pause for word in self.words)
