"""Sentence splitting, and splitting of sentences that are too long."""

import itertools

import pytest

from vocoder.text.characters import PARAGRAPH, SILENT_MARK, clean
from vocoder.text.sentences import (
    HARD_WORD_LIMIT,
    SOFT_CHARACTER_LIMIT,
    SOFT_WORD_LIMIT,
    split_long_sentence,
    split_sentences,
)
from vocoder.text.utterance import Phoneme, Word


def sentences_of(text: str) -> list[str]:
    return [sentence.text.strip() for sentence in split_sentences(clean(text))]


@pytest.mark.parametrize(
    "sentences",
    [
        ["One. ", "Two! ", "Three?"],
        ["Dr. Smith met Mr. Jones. ", "They spoke."],
        ["J. R. R. Tolkien wrote it. ", "It is long."],
        ["It costs 3.50 dollars. ", "Fine."],
        ["He lived in the U.S. Army base. ", "Then he left."],
        ["He lived in the U.S. ", "The end."],
        ["It was 5 p.m. on Monday. ", "He left."],
        ["It was 5 p.m. ", "He left."],
        ["Neither did I. ", "Then we left."],
        ['"Stop!" he said. ', '"Why?" ', "Nobody knew."],
        ['She said "no." ', "He left."],
        ["(It was late.) ", "We left."],
        ["Wait... what? ", "Yes."],
        ["Well... ", "We left."],
        ["See No. 5. ", "Then No. ", "I won't."],
        ["Apples, pears, etc. are fruit. ", "Eat them."],
        ["i went home. ", "then i slept."],
        ["What?! ", "No!!! ", "Yes."],
        ["See www.example.com. ", "It is nice."],
        ["Version 2.0.1 is out. ", "Get it."],
        ["Martin Luther King Jr. spoke. ", "All listened."],
        ["We eat fruit, e.g. apples. ", "Good."],
        ["No stop at the end"],
    ],
)
def test_text_is_split_at_sentence_ends(sentences: list[str]) -> None:
    assert sentences_of("".join(sentences)) == [sentence.strip() for sentence in sentences]


def test_a_paragraph_ends_a_sentence() -> None:
    assert [sentence.text for sentence in split_sentences(f"A title{PARAGRAPH}Some text")] == [
        "A title",
        "Some text",
    ]


def test_text_without_words_is_dropped_but_its_placeholders_are_kept() -> None:
    text = f"... {SILENT_MARK}! One. {SILENT_MARK}!? Two. {SILENT_MARK} !"
    assert [sentence.text for sentence in split_sentences(text)] == [
        f"{SILENT_MARK} One.{SILENT_MARK}",
        f" Two.{SILENT_MARK}",
    ]


def test_sentences_are_split_lazily() -> None:
    endless = "One. Two. " + "Three and four " * 100_000
    assert next(iter(split_sentences(endless))).text == "One."


def test_endless_text_is_cut_without_loss() -> None:
    for text in ("a" * 10_000, "word " * 3_000, "a,b" * 3_000):
        cut = list(split_sentences(text))
        assert "".join(sentence.text for sentence in cut) == text
        assert max(len(sentence.text) for sentence in cut) <= 2_000
        assert [sentence.complete for sentence in cut[:-1]] == [False] * (len(cut) - 1)


def words(text: str) -> list[Word]:
    return [
        Word(word.rstrip(","), (Phoneme("ə"),), "," if word.endswith(",") else "")
        for word in text.split()
    ]


def cut(text: str) -> list[list[str]]:
    return [[word.text for word in part] for part in split_long_sentence(words(text))]


def test_a_short_sentence_stays_whole() -> None:
    assert len(cut("word " * SOFT_WORD_LIMIT)) == 1


def test_a_long_sentence_is_cut_at_the_comma_nearest_to_its_middle() -> None:
    text = "one two three four five, " * 4 + "six " * 3 + "seven, " + "eight nine ten " * 10
    parts = list(split_long_sentence(words(text)))
    assert all(part[-1].pause == "," for part in parts[:-1])
    assert [len(part) for part in parts] == [24, 30]


def test_a_long_sentence_without_comma_is_cut_before_a_conjunction() -> None:
    parts = cut("word " * 25 + "because " + "word " * 25)
    assert [len(part) for part in parts] == [25, 26]
    assert parts[1][0] == "because"


def test_a_long_sentence_without_comma_or_conjunction_is_cut_anywhere() -> None:
    parts = cut("word " * 200)
    assert max(map(len, parts)) <= HARD_WORD_LIMIT
    assert list(itertools.chain(*parts)) == ["word"] * 200


def test_a_sentence_of_long_words_is_cut_by_its_characters() -> None:
    parts = cut(("a" * 40 + " ") * 50)
    assert max(sum(map(len, part)) for part in parts) <= SOFT_CHARACTER_LIMIT * 3 // 2
    assert sum(map(len, parts)) == 50
