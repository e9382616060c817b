"""Text with placeholder characters for given phonemes, breaks and prosody, listed beside it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from vocoder.text.characters import PARAGRAPH, SILENT_MARK, WORD_MARK, clean
from vocoder.text.pronunciation.pronouncer import Pronunciation, parse_ipa, plural

INLINE = re.compile(r"\[\[([^\[\]]{0,500})\]\]")
"""A word written in IPA, such as ``[[həˈloʊ]]``."""

_WORD = re.compile(r"\w+")
_POSSESSIVE = re.compile(r"['’]s\b")
_LONGEST_KEY = 100


@dataclass(frozen=True)
class PronouncedWord:
    """A word with given phonemes."""

    text: str
    phonemes: Pronunciation


@dataclass(frozen=True)
class Break:
    """A pause of a given length in seconds."""

    seconds: float


@dataclass(frozen=True)
class Prosody:
    """Prosody from here on: a speed factor, and an F0 shift in semitones."""

    rate: float = 1.0
    pitch: float = 0.0


Mark = PronouncedWord | Break | Prosody


class Lexicon:
    """The user's own words, looked up in a text before it is normalised."""

    def __init__(self, words: Mapping[str, str]) -> None:
        """Index words by their first part.

        Args:
            words: each word and its IPA; case is ignored.

        Raises:
            TextError: if a pronunciation is not valid IPA.
        """
        self._by_start: dict[str, list[tuple[str, Pronunciation]]] = {}
        for word, ipa in words.items():
            key = clean(word).strip().casefold()
            start = _WORD.match(key)
            if start and len(key) <= _LONGEST_KEY:
                self._by_start.setdefault(start[0], []).append((key, parse_ipa(ipa)))
        for entries in self._by_start.values():
            entries.sort(key=lambda entry: -len(entry[0]))

    def find(self, text: str, start: re.Match[str]) -> tuple[int, PronouncedWord] | None:
        """The longest entry that begins with the word at ``start``, and where it ends."""
        for key, phonemes in self._by_start.get(start[0].casefold(), ()):
            end = start.start() + len(key)
            if text[start.start() : end].casefold() == key and not text[end : end + 1].isalnum():
                if ending := _POSSESSIVE.match(text, end):
                    end, phonemes = ending.end(), (*phonemes, *plural(phonemes[-1].symbol))
                return end, PronouncedWord(text[start.start() : end], phonemes)
        return None


@dataclass
class MarkedText:
    """Builds clean text, and the list of what its placeholders stand for, in order."""

    lexicon: Lexicon
    marks: list[Mark] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The text, with placeholders."""
        return "".join(self.parts)

    def add(self, text: str) -> None:
        """Append text as the user wrote it; ``[[...]]`` holds the IPA of a word.

        Raises:
            TextError: if the IPA is not valid.
        """
        end = 0
        for inline in INLINE.finditer(text):
            self._add_plain(text[end : inline.start()])
            self.add_word(PronouncedWord("".join(inline[1].split()), parse_ipa(inline[1])))
            end = inline.end()
        self._add_plain(text[end:])

    def add_word(self, word: PronouncedWord) -> None:
        """Append a word with given phonemes."""
        self.marks.append(word)
        self.parts.append(f" {WORD_MARK} ")

    def add_silent(self, mark: Break | Prosody) -> None:
        """Append something that has no words of its own."""
        self.marks.append(mark)
        self.parts.append(SILENT_MARK)

    def end_sentence(self) -> None:
        """End the sentence here."""
        self.parts.append(PARAGRAPH)

    def _add_plain(self, text: str) -> None:
        text = clean(text)
        end = 0
        for start in _WORD.finditer(text):
            if start.start() >= end and (entry := self.lexicon.find(text, start)):
                self.parts.append(text[end : start.start()])
                self.marks.append(entry[1])
                self.parts.append(WORD_MARK)
                end = entry[0]
        self.parts.append(text[end:])
