"""Words to phonemes: a lexicon of 129,000 American words, part of speech, and rules for the rest.

Lexicon, tagger and letter-to-sound model are gruut's (MIT): CMUdict's pronunciations in the IPA,
and two small conditional random fields. All of it works offline.
"""

import functools
import re
import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence

import gruut_lang_en
from gruut.g2p import GraphemesToPhonemes
from gruut.phonemize import SqlitePhonemizer
from gruut.pos import PartOfSpeechTagger

from vocoder.errors import TextError
from vocoder.text.utterance import PHONEMES, STRESS_MARKS, VOWELS, Phoneme

Pronunciation = tuple[Phoneme, ...]

_LETTER_ROLE = "gruut:letter"
_ALIASES = {
    "tʃ": "t͡ʃ", "dʒ": "d͡ʒ", "r": "ɹ", "g": "ɡ", "ɝ": "ɚ", "ɜ": "ɚ", "ɐ": "ə", "ɒ": "ɑ", "ɾ": "t",
    "ɫ": "l", "a": "ɑ", "e": "eɪ", "o": "oʊ", "əʊ": "oʊ", "ᵻ": "ɪ", "ɨ": "ɪ", "ɹ̩": "ɚ",
}  # fmt: skip
"""Common ways to write a phoneme, and the one used here."""

_WRITTEN = sorted([*PHONEMES, *_ALIASES], key=len, reverse=True)
_SIGN = re.compile("|".join(map(re.escape, _WRITTEN)))
_IGNORED = re.compile(r"[\s.ː‿/]+")  # syllables, length, liaison: not distinguished here


def parse_ipa(text: str) -> Pronunciation:
    """Phonemes of an IPA transcription such as ``həlˈoʊ``; spaces and length marks are optional.

    A stress mark stands before its syllable or before its vowel.

    Raises:
        TextError: a sign that is no phoneme of General American, or no phoneme at all.
    """
    phonemes: list[Phoneme] = []
    stress, place = 0, 0
    while place < len(text):
        if ignored := _IGNORED.match(text, place):
            place = ignored.end()
        elif text[place] in STRESS_MARKS:
            stress, place = STRESS_MARKS.index(text[place]), place + 1
        elif sign := _SIGN.match(text, place):
            symbol = _ALIASES.get(sign[0], sign[0])
            vowel = symbol in VOWELS
            phonemes.append(Phoneme(symbol, stress if vowel else 0))
            stress, place = 0 if vowel else stress, sign.end()
        else:
            raise TextError(
                f"phonemes {text[:64]!r}: {text[place]!r} is unknown; known are the IPA signs "
                f"{' '.join(PHONEMES)} and the stress marks ˈ ˌ"
            )
    if not phonemes:
        raise TextError(f"phonemes {text[:64]!r}: expected at least one phoneme")
    return tuple(phonemes)


class Pronouncer:
    """Pronounces words. Safe to use from several threads."""

    def __init__(self, lexicon: Mapping[str, str] | None = None) -> None:
        """Pronounce as American English.

        Args:
            lexicon: words and their IPA, which come before all others; case is ignored.

        Raises:
            TextError: one of them is no IPA.
        """
        self._own = {word.casefold(): parse_ipa(ipa) for word, ipa in (lexicon or {}).items()}
        self._lock = threading.Lock()

    def pronounce(self, words: Sequence[str]) -> list[Pronunciation]:
        """Phonemes of each word of a sentence, which decides between readings of one spelling.

        A single capital letter is spelled; the article is written small.
        """
        with self._lock:
            shared = _models()
            tags = shared.tagger(words) if len(words) > 1 else ["NN"] * len(words)
            following = [*words[1:], ""]
            return [
                self._own.get(word.casefold()) or shared.look_up(word, tag, after)
                for word, tag, after in zip(words, tags, following, strict=True)
            ]


class _Models:
    """gruut's lexicon, tagger and letter-to-sound model, loaded once."""

    def __init__(self) -> None:
        folder = gruut_lang_en.get_lang_dir()
        database = sqlite3.connect(
            f"file:{folder / 'lexicon.db'}?mode=ro", uri=True, check_same_thread=False
        )
        self.lexicon = SqlitePhonemizer(database, casing_func=str.lower)
        self.tagger = PartOfSpeechTagger(folder / "pos" / "model.crf")
        self.letters_to_sounds = GraphemesToPhonemes(folder / "g2p" / "model.crf")

    def look_up(self, word: str, tag: str, following: str) -> Pronunciation:
        if len(word) == 1 and word.isupper():
            return self._known(word, _LETTER_ROLE) or self._guess(word)
        if word.lower() == "the":
            return self._article(following)
        if found := self._known(word, f"gruut:{tag}"):
            return found
        # A tag names its kind by its first two letters: VBZ is a VB.
        return self._inflected(word) or self._guess(word)

    def _known(self, word: str, role: str) -> Pronunciation | None:
        for wanted in (role, role[: len("gruut:VB")]):
            phonemes = self.lexicon(word, role=wanted)
            roles = self.lexicon.lexicon.get(word.lower(), {})
            if phonemes is not None and (wanted in roles or "" in roles):
                return _parsed(phonemes)
        return _parsed(phonemes) if phonemes is not None else None

    def _article(self, following: str) -> Pronunciation:
        vowel = bool(following) and self._starts_with_vowel(following)
        return parse_ipa("ði" if vowel else "ðə")

    def _starts_with_vowel(self, word: str) -> bool:
        return self.look_up(word, "NN", "")[0].symbol in VOWELS

    def _inflected(self, word: str) -> Pronunciation | None:
        """A possessive or compound of known words."""
        stem, apostrophe, ending = word.replace("’", "'").rpartition("'")
        if apostrophe and ending in ("s", "") and (known := self._known(stem, "gruut:NN")):
            return (*known, *_plural(known[-1].symbol)) if ending else known
        return None

    def _guess(self, word: str) -> Pronunciation:
        letters = re.sub(r"[^a-z']", "", word.lower())
        guessed = self.letters_to_sounds(letters) if letters else []
        return _parsed(guessed) if guessed else _spelled(self, letters)


def _spelled(models: _Models, letters: str) -> Pronunciation:
    parts: Iterable[Pronunciation | None] = (
        models._known(letter, _LETTER_ROLE) for letter in letters if letter.isalpha()
    )
    phonemes = tuple(phoneme for part in parts if part for phoneme in part)
    if not phonemes:
        raise TextError(f"{letters!r} cannot be pronounced: write it in Latin letters")
    return phonemes


def _plural(last: str) -> Pronunciation:
    """The sounds of ``'s`` after a phoneme."""
    if last in ("s", "z", "ʃ", "ʒ", "t͡ʃ", "d͡ʒ"):
        return (Phoneme("ɪ"), Phoneme("z"))
    return (Phoneme("s" if last in ("p", "t", "k", "f", "θ") else "z"),)


def _parsed(phonemes: Iterable[str]) -> Pronunciation:
    return parse_ipa(" ".join(phonemes))


@functools.cache
def _models() -> _Models:
    return _Models()
