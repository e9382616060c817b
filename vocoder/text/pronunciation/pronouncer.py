"""Words to phonemes: a lexicon of 124,000 American words, part of speech, and rules for the rest.

Lexicon, tagger and letter-to-sound model are gruut's (MIT): CMUdict's pronunciations in the IPA,
and two small conditional random fields. All of it works offline.
"""

import functools
import re
import sqlite3
from collections.abc import Mapping, Sequence

import gruut_lang_en

from vocoder.errors import TextError
from vocoder.text.characters import fold, words
from vocoder.text.pronunciation.lexicon_additions import ADDITIONS, READINGS, SINGLE_READING
from vocoder.text.pronunciation.tagging import LettersToSounds, Tagger
from vocoder.text.utterance import PHONEMES, STRESS_MARKS, VOWELS, Phoneme

Pronunciation = tuple[Phoneme, ...]

_ALIASES = {
    "tʃ": "t͡ʃ", "dʒ": "d͡ʒ", "r": "ɹ", "g": "ɡ", "ɝ": "ɚ", "ɜ": "ɚ", "ɐ": "ə", "ɒ": "ɑ", "ɾ": "t",
    "ɫ": "l", "a": "ɑ", "e": "eɪ", "o": "oʊ", "əʊ": "oʊ", "ᵻ": "ɪ", "ɨ": "ɪ", "ɹ̩": "ɚ",
}  # fmt: skip
"""Common ways to write a phoneme, and the one used here."""

_WRITTEN = sorted([*PHONEMES, *_ALIASES], key=len, reverse=True)
_SIGN = re.compile("|".join(map(re.escape, _WRITTEN)))
_IGNORED = re.compile(r"[\s.ː‿/]+")  # syllables, length, liaison: not distinguished here
_LETTER = "letter"
_LONGEST_GUESS = 40
_OTHER_TAGS = {"VBN": "VBD", "RB": "JJ"}
"""Where the lexicon has no reading for a tag: the tag whose reading sounds the same."""


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


def known(word: str) -> bool:
    """Whether the lexicon has the word, or the word it is a possessive of."""
    spelling = fold(word)
    return _models().has(spelling) or _models().has(spelling.removesuffix("'s"))


def plural(last: str) -> Pronunciation:
    """The sounds of ``'s`` after a phoneme."""
    if last in ("s", "z", "ʃ", "ʒ", "t͡ʃ", "d͡ʒ"):
        return (Phoneme("ɪ"), Phoneme("z"))
    return (Phoneme("s" if last in ("p", "t", "k", "f", "θ") else "z"),)


class Pronouncer:
    """Pronounces words. Safe to use from several threads."""

    def __init__(self, lexicon: Mapping[str, str] | None = None) -> None:
        """Pronounce as American English.

        Args:
            lexicon: words and their IPA, which come before all others; case is ignored.

        Raises:
            TextError: one of them is no IPA.
        """
        self._own = {fold(word): parse_ipa(ipa) for word, ipa in (lexicon or {}).items()}

    def pronounce(self, sentence: Sequence[str]) -> list[Pronunciation]:
        """Phonemes of each word of a sentence, which decides between readings of one spelling.

        A single capital letter is spelled; the article is written small.

        Raises:
            TextError: a word without a Latin letter.
        """
        models = _models()
        spellings = [fold(word) for word in sentence]
        ambiguous = len(sentence) > 1 and not models.readings.keys().isdisjoint(spellings)
        tags = models.tagger(sentence) if ambiguous else [""] * len(sentence)
        found: list[Pronunciation] = []
        for place in reversed(range(len(sentence))):
            following = found[-1] if found else ()
            found.append(
                self._own.get(spellings[place])
                or _in_context(spellings, place, following)
                or models.look_up(sentence[place], spellings[place], tags[place])
            )
        return found[::-1]


def _in_context(spellings: Sequence[str], place: int, following: Pronunciation) -> Pronunciation:
    """Pronunciation of a word that its neighbours decide; empty for all others."""
    word = spellings[place]
    before = spellings[place - 1] if place else ""
    after = spellings[place + 1] if place + 1 < len(spellings) else ""
    if word == "the":
        return _parsed("ð i" if following and following[0].symbol in VOWELS else "ð ə")
    if word == "used":
        accustomed = after == "to" and before not in _INSTRUMENTAL
        return _parsed("j ˈu s t" if accustomed else "j ˈu z d")
    if word == "lead":
        metal = after in _OF_METAL or (before in ("of", "from", "with", "leaded") and not after)
        return _parsed("l ˈɛ d" if metal else "l ˈi d")
    return ()


_INSTRUMENTAL = {"is", "are", "was", "were", "be", "been", "being", "it's", "that's"}
_OF_METAL = words("pipe pipes paint poisoning pencil pencils acid bullet bullets shot ore")


class _Models:
    """gruut's lexicon, tagger and letter-to-sound model, loaded once.

    Attributes:
        readings: by word, then by part of speech: of words with several readings.
        tagger: parts of speech of a sentence.
    """

    def __init__(self) -> None:
        folder = gruut_lang_en.get_lang_dir()
        self._sounds: dict[str, str] = {}
        self.readings: dict[str, dict[str, str]] = {}
        database = sqlite3.connect(f"file:{folder / 'lexicon.db'}?mode=ro", uri=True)
        query = "SELECT word, role, phonemes FROM word_phonemes ORDER BY word, pron_order"
        for word, role, sounds in database.execute(query):
            self._sounds.setdefault(word, sounds)
            if role:
                tag = role.removeprefix("gruut:")
                self.readings.setdefault(word, {}).setdefault(tag, sounds)
        database.close()
        self._sounds |= ADDITIONS
        self.readings |= READINGS
        self._letter_a = self.readings.pop("a")[_LETTER]
        self.readings = {
            word: readings
            for word, readings in self.readings.items()
            if word not in SINGLE_READING
            and word not in ADDITIONS
            and {*readings.values(), self._sounds[word]} != {self._sounds[word]}
        }
        self.tagger = Tagger(folder / "pos" / "model.crf")
        self._guessed = LettersToSounds(folder / "g2p" / "model.crf")
        self.guess = functools.lru_cache(maxsize=10_000)(self._guess)

    def has(self, spelling: str) -> bool:
        return spelling in self._sounds

    def look_up(self, word: str, spelling: str, tag: str) -> Pronunciation:
        if not spelling.strip("'"):
            raise TextError(f"{word[:64]!r} cannot be pronounced: write it in Latin letters")
        if spelling == "a" and word.isupper():
            return _parsed(self._letter_a)
        if spelling in self.readings:
            return _parsed(self._read(spelling, tag))
        if spelling in self._sounds:
            return _parsed(self._sounds[spelling])
        return self.guess(spelling)

    def _read(self, spelling: str, tag: str) -> str:
        """The reading for a tag, else for the kind of tag: VBZ is a kind of VB."""
        readings = self.readings[spelling]
        for wanted in (tag, _OTHER_TAGS.get(tag, tag), tag[:2], _OTHER_TAGS.get(tag[:2], tag)):
            if wanted in readings:
                return readings[wanted]
        return self._sounds[spelling]

    def _guess(self, spelling: str) -> Pronunciation:
        if derived := self._derived(spelling):
            return derived
        parts = (
            self._guessed(spelling[start : start + _LONGEST_GUESS])
            for start in range(0, len(spelling), _LONGEST_GUESS)
        )
        sounds = [sound for part in parts for sound in part]
        vowels = any(sound.strip("ˈˌ") in VOWELS for sound in sounds)
        return _stressed(_parsed(" ".join(sounds))) if vowels else self._spelled(spelling)

    def _derived(self, spelling: str) -> Pronunciation:
        """A possessive, a plural, a past or a compound of words in the lexicon."""
        stem = spelling.strip("'")
        if stem != spelling and stem in self._sounds:
            return _parsed(self._sounds[stem])
        stem, apostrophe, ending = spelling.rpartition("'")
        if apostrophe and ending == "s" and stem.strip("'"):
            base = self.look_up(stem, stem, "")
            return (*base, *plural(base[-1].symbol))
        for ending, replacement in _ENDINGS:
            stem = spelling.removesuffix(ending) + replacement
            if spelling.endswith(ending) and len(stem) > 2 and stem in self._sounds:
                base = _parsed(self._sounds[stem])
                return (*base, *_ending(ending, base[-1].symbol))
        for cut in range(len(spelling) - 3, 2, -1):
            first, second = spelling[:cut], spelling[cut:]
            if len(spelling) > 7 and first in self._sounds and second in self._sounds:
                return (*_parsed(self._sounds[first]), *_second(_parsed(self._sounds[second])))
        return ()

    def _spelled(self, letters: str) -> Pronunciation:
        names = (
            self._letter_a if letter == "a" else self._sounds[letter]
            for letter in letters
            if letter != "'"
        )
        return _parsed(" ".join(names))


_ENDINGS = (("s", ""), ("es", ""), ("ies", "y"), ("ing", ""), ("ing", "e"), ("ed", ""), ("ed", "e"))


def _ending(ending: str, last: str) -> Pronunciation:
    """The sounds of an inflection after a phoneme."""
    if ending == "ing":
        return _parsed("ɪ ŋ")
    if ending != "ed":
        return plural(last)
    if last in ("t", "d"):
        return _parsed("ɪ d")
    return (Phoneme("t" if last in ("p", "k", "f", "θ", "s", "ʃ", "t͡ʃ") else "d"),)


def _stressed(phonemes: Pronunciation) -> Pronunciation:
    """The same with its first vowel stressed, where none is."""
    if any(phoneme.stress == 1 for phoneme in phonemes):
        return phonemes
    first = next(place for place, phoneme in enumerate(phonemes) if phoneme.symbol in VOWELS)
    return (*phonemes[:first], Phoneme(phonemes[first].symbol, 1), *phonemes[first + 1 :])


def _second(phonemes: Pronunciation) -> Pronunciation:
    """The second half of a compound, which has secondary stress."""
    return tuple(phoneme._replace(stress=2 if phoneme.stress else 0) for phoneme in phonemes)


@functools.lru_cache(maxsize=20_000)
def _parsed(sounds: str) -> Pronunciation:
    return parse_ipa(sounds)


@functools.cache
def _models() -> _Models:
    return _Models()
