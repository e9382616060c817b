import itertools

import pytest

from vocoder.text.characters import PARAGRAPH, SIGN_MARK, clean
from vocoder.text.sentences import LONGEST_CHARACTERS, LONGEST_WORDS, MOST_WORDS, shorten, split
from vocoder.text.utterance import Phoneme, Word


def pieces(text: str) -> list[str]:
    return [piece.text.strip() for piece in split(clean(text))]


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
def test_sentences_end_where_they_end(sentences: list[str]) -> None:
    assert pieces("".join(sentences)) == [sentence.strip() for sentence in sentences]


def test_a_paragraph_ends_a_sentence() -> None:
    assert [piece.text for piece in split(f"A title{PARAGRAPH}Some text")] == [
        "A title",
        "Some text",
    ]


def test_what_holds_no_words_is_left_out_but_its_marks_are_kept() -> None:
    text = f"... {SIGN_MARK}! One. {SIGN_MARK}!? Two. {SIGN_MARK} !"
    assert [piece.text for piece in split(text)] == [
        f"{SIGN_MARK} One.{SIGN_MARK}",
        f" Two.{SIGN_MARK}",
    ]


def test_the_first_sentence_does_not_wait_for_the_last() -> None:
    endless = "One. Two. " + "Three and four " * 100_000
    assert next(iter(split(endless))).text == "One."


def test_text_without_an_end_is_cut_and_nothing_is_lost() -> None:
    for text in ("a" * 10_000, "word " * 3_000, "a,b" * 3_000):
        cut = list(split(text))
        assert "".join(piece.text for piece in cut) == text
        assert max(len(piece.text) for piece in cut) <= 2_000
        assert [piece.whole for piece in cut[:-1]] == [False] * (len(cut) - 1)


def words(text: str) -> list[Word]:
    return [
        Word(word.rstrip(","), (Phoneme("ə"),), "," if word.endswith(",") else "")
        for word in text.split()
    ]


def cut(text: str) -> list[list[str]]:
    return [[word.text for word in part] for part in shorten(words(text))]


def test_a_short_sentence_stays_whole() -> None:
    assert len(cut("word " * LONGEST_WORDS)) == 1


def test_a_long_sentence_is_cut_at_the_comma_nearest_to_its_middle() -> None:
    text = "one two three four five, " * 4 + "six " * 3 + "seven, " + "eight nine ten " * 10
    parts = list(shorten(words(text)))
    assert all(part[-1].pause == "," for part in parts[:-1])
    assert [len(part) for part in parts] == [24, 30]


def test_a_long_sentence_without_comma_is_cut_before_a_conjunction() -> None:
    parts = cut("word " * 25 + "because " + "word " * 25)
    assert [len(part) for part in parts] == [25, 26]
    assert parts[1][0] == "because"


def test_a_sentence_without_any_place_is_cut_by_force() -> None:
    parts = cut("word " * 200)
    assert max(map(len, parts)) <= MOST_WORDS
    assert list(itertools.chain(*parts)) == ["word"] * 200


def test_long_words_are_cut_by_their_letters() -> None:
    parts = cut(("a" * 40 + " ") * 50)
    assert max(sum(map(len, part)) for part in parts) <= LONGEST_CHARACTERS * 3 // 2
    assert sum(map(len, parts)) == 50
