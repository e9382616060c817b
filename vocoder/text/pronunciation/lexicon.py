"""gruut's lexicon in a few megabytes: a dictionary of its 124,000 words takes 38."""

import bisect
import functools
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path


class SortedLexicon(Mapping[str, str]):
    """Words and their phonemes, joined into two byte strings and found by bisection."""

    def __init__(self, entries: Iterable[tuple[str, str]]) -> None:
        """Store pairs of word and phonemes.

        Args:
            entries: sorted by the words' UTF-8 bytes; the first of several pairs of a word counts.
        """
        words, phonemes = bytearray(), bytearray()
        # Where each word begins and ends; so too for phonemes. A byte array is at most 4 GB long.
        self._words, self._phonemes = array("I", [0]), array("I", [0])
        last = None
        for word, sounds in entries:
            if word == last:
                continue
            last = word
            words += word.encode()
            phonemes += sounds.encode()
            self._words.append(len(words))
            self._phonemes.append(len(phonemes))
        self._word_bytes, self._phoneme_bytes = bytes(words), bytes(phonemes)
        self._find = functools.lru_cache(maxsize=20_000)(self._found)

    def __getitem__(self, word: str) -> str:
        found = self._find(word)
        if found is None:
            raise KeyError(word)
        return found

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and self._find(word) is not None

    def __len__(self) -> int:
        return len(self._words) - 1

    def __iter__(self) -> Iterator[str]:
        return (self._word(place).decode() for place in range(len(self)))

    def _word(self, place: int) -> bytes:
        return self._word_bytes[self._words[place] : self._words[place + 1]]

    def _found(self, word: str) -> str | None:
        wanted = word.encode()
        place = bisect.bisect_left(range(len(self)), wanted, key=self._word)
        if place == len(self) or self._word(place) != wanted:
            return None
        return self._phoneme_bytes[self._phonemes[place] : self._phonemes[place + 1]].decode()


def read(database: Path) -> tuple[SortedLexicon, dict[str, dict[str, str]]]:
    """Read gruut's database.

    Returns:
        The first pronunciation of each word; the pronunciations of words that have several, by word
        and then by part of speech.
    """
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        lexicon = SortedLexicon(
            connection.execute("SELECT word, phonemes FROM word_phonemes ORDER BY word, pron_order")
        )
        readings: dict[str, dict[str, str]] = {}
        query = (
            "SELECT word, role, phonemes FROM word_phonemes WHERE role != '' "
            "ORDER BY word, pron_order"
        )
        for word, role, phonemes in connection.execute(query):
            readings.setdefault(word, {}).setdefault(role.removeprefix("gruut:"), phonemes)
    return lexicon, readings
