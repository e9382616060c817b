"""What the text front end makes of a text: sentences of words with their phonemes and pauses."""

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
"""Phonemes of General American, in the IPA, without stress."""

PAUSES = (",", ".", "?", "!")
"""Punctuation that is heard: a pause within a sentence, and three ways to end one."""

STRESS_MARKS = ("", "ˈ", "ˌ")
"""The sign of each degree of stress: none, primary, secondary."""


class Phoneme(NamedTuple):
    """One phoneme of a word.

    Attributes:
        symbol: one of ``PHONEMES``.
        stress: of a vowel: 0 none, 1 primary, 2 secondary.
    """

    symbol: str
    stress: int = 0

    def __str__(self) -> str:
        return STRESS_MARKS[self.stress] + self.symbol


@dataclass(frozen=True)
class Word:
    """A spoken word, what follows it, and how it is to be said.

    Attributes:
        text: its spelling in the normalised text.
        phonemes: at least one.
        pause: what follows it: one of ``PAUSES``, or nothing.
        break_s: length of a pause after it in seconds, where the text asks for one.
        rate: factor of the speed at which it is said.
        pitch: shift of its F0 in semitones.
    """

    text: str
    phonemes: tuple[Phoneme, ...]
    pause: str = ""
    break_s: float | None = None
    rate: float = 1.0
    pitch: float = 0.0


@dataclass(frozen=True)
class Sentence:
    """Words that are spoken in one go. The last one's pause is never empty.

    Attributes:
        words: at least one.
        break_s: silence before it in seconds, where the text asks for one.
    """

    words: tuple[Word, ...]
    break_s: float = 0.0

    @property
    def text(self) -> str:
        """The normalised text."""
        return " ".join(word.text + word.pause for word in self.words)

    @property
    def phonemes(self) -> str:
        """Phonemes in the IPA, words separated by spaces, pauses as they are written."""
        return " ".join("".join(map(str, word.phonemes)) + word.pause for word in self.words)
