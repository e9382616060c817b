"""The lexicon in byte strings equals a dictionary of the same database."""

import sqlite3
import sys

import gruut_lang_en
import pytest

from vocoder.text.pronunciation.lexicon import SortedLexicon, read

DATABASE = gruut_lang_en.get_lang_dir() / "lexicon.db"


def test_it_equals_a_dictionary_of_the_database() -> None:
    expected: dict[str, str] = {}
    connection = sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True)
    for word, phonemes in connection.execute(
        "SELECT word, phonemes FROM word_phonemes ORDER BY word, pron_order"
    ):
        expected.setdefault(word, phonemes)
    connection.close()
    lexicon, readings = read(DATABASE)
    assert len(lexicon) == len(expected)
    assert dict(lexicon) == expected
    assert {"record", "the"} <= readings.keys()


def test_what_is_not_there_is_not_found() -> None:
    lexicon = SortedLexicon([("b", "1"), ("b", "2"), ("d", "3"), ("é", "4")])
    assert list(lexicon) == ["b", "d", "é"]
    assert lexicon["b"] == "1"
    assert lexicon["é"] == "4"
    for word in ("", "a", "c", "e", "ê", "bb"):
        assert word not in lexicon
    with pytest.raises(KeyError):
        lexicon["c"]


def test_it_is_small() -> None:
    lexicon, _ = read(DATABASE)
    parts = (v for v in vars(lexicon).values() if hasattr(v, "__len__"))
    assert sum(map(sys.getsizeof, parts)) < 6_000_000
