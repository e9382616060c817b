"""Words to phonemes, from a lexicon of 124,000 American words, parts of speech and a model.

The lexicon (CMUdict in IPA), the tagger and the grapheme-to-phoneme model (two small conditional
random fields) are gruut's (MIT). All of it works offline.
"""

import functools
import re
from collections import ChainMap
from collections.abc import Mapping, Sequence

import gruut_lang_en

from vocoder.errors import TextError
from vocoder.text.characters import fold
from vocoder.text.pronunciation.additions import READINGS, SINGLE_READING, read_additions
from vocoder.text.pronunciation.compounds import PREFIXES, divisions
from vocoder.text.pronunciation.crf_models import GraphemeToPhoneme, Tagger
from vocoder.text.pronunciation.homographs import by_context, tag_by_context
from vocoder.text.pronunciation.lexicon import read
from vocoder.text.utterance import PHONEMES, STRESS_MARKS, VOWELS, Phoneme

Pronunciation = tuple[Phoneme, ...]

_ALIASES = {
    "tʃ": "t͡ʃ", "dʒ": "d͡ʒ", "r": "ɹ", "g": "ɡ", "ɝ": "ɚ", "ɜ": "ɚ", "ɐ": "ə", "ɒ": "ɑ", "ɾ": "t",
    "ɫ": "l", "a": "ɑ", "e": "eɪ", "o": "oʊ", "əʊ": "oʊ", "ᵻ": "ɪ", "ɨ": "ɪ", "ɹ̩": "ɚ",
    "ʔ": "t", "x": "k",
}  # fmt: skip
"""Common alternative symbols, and the symbol used here."""

_SYMBOL = re.compile(
    "|".join(map(re.escape, sorted([*PHONEMES, *_ALIASES], key=len, reverse=True)))
)
_IGNORED = re.compile(r"[\s.ː‿/ʰ]+")  # syllables, length, aspiration: not distinguished here
_SYLLABIC = re.compile("([nlm])\u0329")
_LETTER = "letter"
_G2P_LETTERS = 40
_OTHER_TAGS = {"VBN": "VBD", "RB": "JJ"}
"""For tags the lexicon may lack: the tag with the same pronunciation."""


def parse_ipa(text: str) -> Pronunciation:
    """Phonemes of an IPA transcription such as ``həlˈoʊ``; spaces and length marks are optional.

    A stress mark comes before its syllable or before its vowel.

    Raises:
        TextError: if a symbol is not a phoneme of General American, or there is no phoneme.
    """
    phonemes: list[Phoneme] = []
    text = _SYLLABIC.sub(r"ə\1", text)
    stress, position = 0, 0
    while position < len(text):
        if ignored := _IGNORED.match(text, position):
            position = ignored.end()
        elif text[position] in STRESS_MARKS:
            stress, position = STRESS_MARKS.index(text[position]), position + 1
        elif match := _SYMBOL.match(text, position):
            symbol = _ALIASES.get(match[0], match[0])
            vowel = symbol in VOWELS
            phonemes.append(Phoneme(symbol, stress if vowel else 0))
            stress, position = 0 if vowel else stress, match.end()
        else:
            raise TextError(
                f"unknown symbol {text[position]!r} in the phonemes {text[:64]!r}: use the IPA "
                f"symbols {' '.join(PHONEMES)} and the stress marks ˈ ˌ"
            )
    if not phonemes:
        raise TextError(f"no phoneme in {text[:64]!r}: write IPA such as həlˈoʊ")
    return tuple(phonemes)


def in_lexicon(word: str) -> bool:
    """Whether the lexicon has the word, or the word whose possessive it is."""
    spelling = fold(word)
    return _models().has(spelling) or _models().has(spelling.removesuffix("'s"))


def plural(last: str) -> Pronunciation:
    """The phonemes of ``'s`` after the phoneme ``last``."""
    if last in ("s", "z", "ʃ", "ʒ", "t͡ʃ", "d͡ʒ"):
        return (Phoneme("ɪ"), Phoneme("z"))
    return (Phoneme("s" if last in ("p", "t", "k", "f", "θ") else "z"),)


class Pronouncer:
    """Pronounces words. Thread-safe."""

    def __init__(self, lexicon: Mapping[str, str] | None = None) -> None:
        """Create a pronouncer for American English.

        Args:
            lexicon: words and their IPA, which override the built-in lexicon; case is ignored.

        Raises:
            TextError: if a pronunciation is not valid IPA.
        """
        self._overrides = {fold(word): parse_ipa(ipa) for word, ipa in (lexicon or {}).items()}

    def pronounce(self, sentence: Sequence[str]) -> list[Pronunciation]:
        """Phonemes of each word of a sentence; the context decides between homographs.

        A single capital letter is read as the letter's name; the article is in lower case.

        Raises:
            TextError: if a word has no Latin letter.
        """
        models = _models()
        spellings = [fold(word) for word in sentence]
        ambiguous = len(sentence) > 1 and not models.readings.keys().isdisjoint(spellings)
        tags = models.tagger(sentence) if ambiguous else [""] * len(sentence)
        backwards: list[Pronunciation] = []  # "the" depends on the word after it
        for index in reversed(range(len(sentence))):
            following = backwards[-1] if backwards else ()
            spelling = spellings[index]
            override = self._overrides.get(spelling) or (
                _in_context(spellings, index, following) if sentence[index].isascii() else ()
            )
            if not override:
                readings = models.readings.get(spelling, {})
                tag = tag_by_context(spellings, index, frozenset(readings)) or tags[index]
                override = models.look_up(sentence[index], spelling, tag)
            backwards.append(override)
        return backwards[::-1]


def _in_context(spellings: Sequence[str], index: int, following: Pronunciation) -> Pronunciation:
    """Pronunciation of the words that depend on their neighbours; empty for all others."""
    word = spellings[index]
    before = spellings[index - 1] if index else ""
    after = spellings[index + 1] if index + 1 < len(spellings) else ""
    if word == "the":
        return _parsed("ð i" if following and following[0].symbol in VOWELS else "ð ə")
    if word == "used":
        accustomed = after == "to" and before not in _INSTRUMENTAL
        return _parsed("j ˈu s t" if accustomed else "j ˈu z d")
    ipa = by_context(spellings, index)
    return _parsed(ipa) if ipa else ()


_INSTRUMENTAL = {"is", "are", "was", "were", "be", "been", "being", "it's", "that's"}


class _Models:
    """gruut's lexicon, tagger and grapheme-to-phoneme model, loaded once.

    Attributes:
        readings: pronunciations of homographs, by word and then by part of speech.
        tagger: finds the parts of speech of a sentence.
        guess: predicts the phonemes of a spelling that is not in the lexicon.
    """

    def __init__(self) -> None:
        folder = gruut_lang_en.get_lang_dir()
        lexicon, self.readings = read(folder / "lexicon.db")
        additions = read_additions()
        self._accented = {word: ipa for word, ipa in additions.items() if not word.isascii()}
        plain = {word: ipa for word, ipa in additions.items() if word.isascii()}
        self._lexicon = ChainMap(plain, lexicon)  # type: ignore[arg-type] # read only
        self.readings |= READINGS
        self._letter_a = self.readings.pop("a")[_LETTER]
        self.readings = {
            word: readings
            for word, readings in self.readings.items()
            if word not in SINGLE_READING
            and word not in plain
            and {*readings.values(), self._lexicon[word]} != {self._lexicon[word]}
        }
        self.tagger = Tagger(folder / "pos" / "model.crf")
        self._g2p = GraphemeToPhoneme(folder / "g2p" / "model.crf")
        self.guess = functools.lru_cache(maxsize=10_000)(self._guess)

    def has(self, spelling: str) -> bool:
        return spelling in self._lexicon

    def look_up(self, word: str, spelling: str, tag: str) -> Pronunciation:
        if not spelling.strip("'"):
            raise TextError(f"cannot pronounce {word[:64]!r}: write it in Latin letters")
        if spelling == "a" and word.isupper():
            return _parsed(self._letter_a)
        if not word.isascii() and (ipa := self._with_accents(word)):
            return _parsed(ipa)
        if spelling in self.readings:
            return _parsed(self._reading(spelling, tag))
        if spelling in self._lexicon:
            return _parsed(self._lexicon[spelling])
        return self.guess(spelling)

    def _with_accents(self, word: str) -> str:
        """Pronunciation of a word whose accents matter, such as rosé; empty for others."""
        lower = word.lower().replace("’", "'")
        if ipa := self._accented.get(lower):
            return ipa
        if lower.endswith("é") and fold(lower) not in self._lexicon:
            stem = self._lexicon.get(fold(lower[:-1])) or " ".join(
                map(str, self.guess(fold(lower[:-1])))
            )
            return f"{stem} ˈeɪ"
        return ""

    def _reading(self, spelling: str, tag: str) -> str:
        """The reading for a tag, or else for its general form: VB for VBZ."""
        readings = self.readings[spelling]
        for wanted in (tag, _OTHER_TAGS.get(tag, tag), tag[:2], _OTHER_TAGS.get(tag[:2], tag)):
            if wanted in readings:
                return readings[wanted]
        return self._lexicon[spelling]

    def _guess(self, spelling: str) -> Pronunciation:
        if derived := self._derived(spelling):
            return derived
        parts = (
            self._g2p(spelling[start : start + _G2P_LETTERS])
            for start in range(0, len(spelling), _G2P_LETTERS)
        )
        phonemes = [phoneme for part in parts for phoneme in part]
        if not any(phoneme.strip("ˈˌ") in VOWELS for phoneme in phonemes):
            return self._spelled_out(spelling)
        return _stressed(_parsed(" ".join(phonemes)))

    def _derived(self, spelling: str) -> Pronunciation:
        """A possessive, inflection or compound of words in the lexicon; empty if it is neither."""
        stem = spelling.strip("'")
        if stem != spelling and stem in self._lexicon:
            return _parsed(self._lexicon[stem])
        stem, apostrophe, ending = spelling.rpartition("'")
        if apostrophe and ending == "s" and stem.strip("'"):
            base = self.look_up(stem, stem, "")
            return (*base, *plural(base[-1].symbol))
        for ending, replacement in _ENDINGS:
            stem = spelling.removesuffix(ending) + replacement
            if spelling.endswith(ending) and len(stem) > 2 and stem in self._lexicon:
                base = _parsed(self._lexicon[stem])
                return (*base, *_ending(ending, base[-1].symbol))
        for first, second in divisions(spelling, self.has):
            if first in PREFIXES and len(first) < len(second):
                return (*_parsed(PREFIXES[first]), *_parsed(self._lexicon[second]))
            start = self.readings.get(first, {}).get("JJ") or self._lexicon[first]
            return (*_parsed(start), *_second_half(_parsed(self._lexicon[second])))
        return ()

    def _spelled_out(self, letters: str) -> Pronunciation:
        names = (
            self._letter_a if letter == "a" else self._lexicon[letter]
            for letter in letters
            if letter != "'"
        )
        return _parsed(" ".join(names))


_ENDINGS = (("s", ""), ("es", ""), ("ies", "y"), ("ing", ""), ("ing", "e"), ("ed", ""), ("ed", "e"))


def _ending(ending: str, last: str) -> Pronunciation:
    """The phonemes of the ending ``s``, ``ed`` or ``ing`` after the phoneme ``last``."""
    if ending == "ing":
        return _parsed("ɪ ŋ")
    if ending != "ed":
        return plural(last)
    if last in ("t", "d"):
        return _parsed("ɪ d")
    return (Phoneme("t" if last in ("p", "k", "f", "θ", "s", "ʃ", "t͡ʃ") else "d"),)


def _stressed(phonemes: Pronunciation) -> Pronunciation:
    """The phonemes, with primary stress on the first vowel if there is none."""
    if any(phoneme.stress == 1 for phoneme in phonemes):
        return phonemes
    first = next(index for index, phoneme in enumerate(phonemes) if phoneme.symbol in VOWELS)
    return (*phonemes[:first], Phoneme(phonemes[first].symbol, 1), *phonemes[first + 1 :])


def _second_half(phonemes: Pronunciation) -> Pronunciation:
    """The second half of a compound, with its stress reduced to secondary."""
    return tuple(phoneme._replace(stress=2 if phoneme.stress else 0) for phoneme in phonemes)


@functools.lru_cache(maxsize=20_000)
def _parsed(ipa: str) -> Pronunciation:
    return parse_ipa(ipa)


@functools.cache
def _models() -> _Models:
    return _Models()
