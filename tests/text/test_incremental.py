"""Text in pieces is read as the whole text is, and no later than it must be."""

import contextlib
import itertools
import random
import time
from collections.abc import Iterable, Iterator

import pytest

from vocoder.errors import SilentTextError, TextError
from vocoder.text.frontend import TextFrontEnd
from vocoder.text.incremental import LONGEST_KEPT, IncrementalText, TextPart
from vocoder.text.utterance import Sentence

FRONT_END = TextFrontEnd()
WORDS = """
    Hello word the Then But We said I A x it's another However Dr. Smith Mr. St. Louis
    J. R. Jr. U.S. Inc. etc. e.g. vs. 5 3.14 $4.50 No. 1/2 ½ 25% 10:30 Monday Jan. 1st
    v2.0 . ! ? ... … ?! , ; : -- — 。 " ' “ ” ’ ( ) [ ] [link](http://a.b/c) ]](x)
    [[həˈloʊ]] [[ ]] ](x) ** * _ ~~ ` ``` ```py # > --- === 🎉 :) :D <b> </b> &amp;
    www.example.com a@b.com é α C++ .NET Node.js ~ & + ^2 (c) [x] stop. go! why? Yes.
"""
FRAGMENTS = [
    *WORDS.split(),
    *("5 p.m.", "[a. b](x)", "<a href=x>", "# ", "## ", "- ", "* ", "1. ", "2) ", "12. ", "> "),
    *("- [ ] ", "\n", "\n\n", "\r\n", "\u2029", "\t", " "),
]

Heard = list[tuple[str, str, bool]]


def heard(sentences: Iterable[tuple[Sentence, bool]]) -> Heard:
    return [(sentence.text, sentence.phonemes, followed) for sentence, followed in sentences]


def with_following(sentences: Iterable[Sentence]) -> Iterator[tuple[Sentence, bool]]:
    found = list(sentences)
    return ((sentence, sentence is not found[-1]) for sentence in found)


def whole(text: str) -> Heard:
    with contextlib.suppress(SilentTextError):
        return heard(with_following(FRONT_END.sentences(text)))
    return []


def read(parts: Iterable[TextPart]) -> Iterator[Sentence]:
    for part in parts:
        with contextlib.suppress(SilentTextError):
            yield from FRONT_END.sentences(part.text, whole=part.whole)


def in_pieces(pieces: Iterable[str]) -> Heard:
    """What is heard of a text that comes in pieces: after what ``push`` gives something follows."""
    text, found = IncrementalText(), []
    for piece in pieces:
        found += heard((sentence, True) for sentence in read(text.push(piece)))
    return found + heard(with_following(read(text.flush())))


def cut(text: str, most: int, draw: random.Random) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = start + draw.randint(1, most)
        yield text[start:end]
        start = end


def texts(count: int) -> Iterator[str]:
    draw = random.Random(5)
    for _ in range(count):
        glue = draw.choice([[""], [" "], ["", " "], ["", " ", " ", " ", "\n"]])
        yield "".join(
            draw.choice(FRAGMENTS) + draw.choice(glue) for _ in range(draw.randint(1, 40))
        )


def test_any_text_cut_anywhere_is_read_as_the_whole_is() -> None:
    draw, read_texts = random.Random(6), 0
    for text in texts(250):
        try:
            expected = whole(text)
        except TextError:
            continue  # Letters that cannot be read: see below.
        read_texts += bool(expected)
        for most in (1, 4, 1000):
            assert in_pieces(cut(text, most, draw)) == expected, text
    assert read_texts > 150


def parts(*pieces: str) -> list[str]:
    """What ``push`` gives for pieces of a text."""
    text = IncrementalText()
    return [part.text.strip() for piece in pieces for part in text.push(piece)]


@pytest.mark.parametrize(
    ("before", "decides", "sentences"),
    [
        ("One.", " T", ["One."]),
        ("One", ". Two", ["One."]),
        ("It is 3.", " T", ["It is 3."]),
        ("It is 3.5.", " T", ["It is 3.5."]),
        ("At 5 p.m. The", " ", ["At 5 p.m."]),
        ("In the U.S. Then", " ", ["In the U.S."]),
        ('She said "no."', " H", ['She said "no."']),
        ("What?! ", "Y", ["What?!"]),
        ("Well... ", "W", ["Well..."]),
        ("It **ends.** ", "T", ["It **ends.**"]),
        ("A title\n\n", "T", ["A title"]),
        ("A list:\n- ", "o", ["A list:"]),
        ("# One. Two\n", "Three", ["# One. Two"]),
        ("See [it. Now](http://a.b) there. ", "T", ["See [it. Now](http://a.b) there."]),
        ("He [left. And]", " ", ["He [left."]),
        ("Great!🎉 ", "N", ["Great!🎉"]),
        ("Good :) Then. ", "A", ["Good :) Then."]),
    ],
)
def test_a_sentence_is_let_go_with_the_character_that_decides(
    before: str, decides: str, sentences: list[str]
) -> None:
    assert parts(before) == []
    assert parts(before, decides) == parts(*before, *decides) == sentences


@pytest.mark.parametrize(
    "text",
    [
        "See Dr. Smith",
        "At 5 p.m. Monday is",
        "It costs 3.50 dollars",
        "Wait... what",
        '"Stop!" he said',
        "See No. 5 and",
        "Ends. 🎉 :) ... —",
        "Ends. <b class=x",
        "Ends.\n```python -m pip",
        "1. One item",
        "A line\nand the next",
        "[[həˈloʊ. a",
        "See [it. Now",
        "# A heading. Its second",
    ],
)
def test_what_can_still_change_is_kept(text: str) -> None:
    assert parts(text) == parts(*text) == []


def test_a_word_of_the_lexicon_may_have_a_stop() -> None:
    lexicon = {"Yahoo! Inc": "jˈɑhu"}
    for words, expected in (("Yahoo! Inc is", []), ("Yahoo! Then we", ["Ask Yahoo!"])):
        text = IncrementalText(lexicon)
        found = text.push(f"Ask {words} it")
        assert [part.text for part in found] == expected
    with pytest.raises(TextError):
        IncrementalText({"a": "&"})


LONG = {
    "words": "word " * 2500,
    "one word": "a" * 9000,
    "commas": "one, two and three; " * 400,
    "then an end": "word " * 900 + "end. Next one. " + "more " * 900,
    "bold": "some **bold** words " * 300,
}


@pytest.mark.parametrize("name", LONG)
def test_a_text_without_an_end_is_cut_where_the_whole_is(name: str) -> None:
    text = LONG[name]
    expected, draw = whole(text), random.Random(3)
    assert len(expected) > 3
    for most in (7, 300, 10**6):
        assert in_pieces(cut(text, most, draw)) == expected


@pytest.mark.parametrize(
    "endless",
    [
        *("word ", "a", "[a. ", ". ", "- ", "\n", " ", "🎉 "),
        *("```a ", "# a. b ", "<a ", "& ", "(", "привет "),
    ],
)
def test_memory_is_bounded(endless: str) -> None:
    text, most = IncrementalText(), 0
    for piece in itertools.repeat(endless * 10, 20_000 // len(endless) // 10):
        text.push(piece)
        most = max(most, len(text._text))
    assert most < 1.1 * LONGEST_KEPT
    text.flush()


def test_silence_within_is_let_go_and_changes_nothing() -> None:
    for silence in ("\n" * 3000, " " * 3000, ". " * 1500, "---\n" * 800, ":) " * 1000):
        text = f"One.{silence}Two. Three"
        assert [words for words, *_ in in_pieces(text)] == [words for words, *_ in whole(text)]


def test_foreign_letters_are_left_out_as_in_the_whole() -> None:
    text = "This is a long sentence in English. Привет, мир! And another one in English. Пока."
    assert in_pieces(text) == in_pieces([text]) == whole(text)


def test_a_foreign_text_is_refused() -> None:
    for text in ("Привет, мир! Как дела? ", "Hello. Привет, мир! Как дела? Хорошо."):
        with pytest.raises(TextError, match="Cyrillic"):
            in_pieces(text)


def test_a_bad_word_in_the_ipa_is_for_the_front_end_to_refuse() -> None:
    text = IncrementalText()
    found = text.push("Say [[x]] now. Then")
    assert [part.text for part in found] == ["Say [[x]] now."]
    with pytest.raises(TextError, match="x"):
        list(read(found))


def test_nothing_and_silence_give_nothing() -> None:
    text = IncrementalText()
    assert text.flush() == text.push("") == text.push(" \n") == text.flush() == []


def test_after_a_flush_a_new_text_begins() -> None:
    text = IncrementalText()
    text.push("# One. Two")
    assert [part.text for part in text.flush()] == ["# One. Two"]
    assert [part.text for part in text.push("Three. Four. ")] == ["Three."]


def test_many_tiny_pieces_cost_no_more_than_few_large_ones() -> None:
    text = (
        "The quick brown fox, e.g. Dr. Smith's, jumped over 3 dogs at 5 p.m. Then it left. " * 120
    )

    def cost(size: int) -> float:
        start = time.process_time()
        in_text = IncrementalText()
        for at in range(0, len(text), size):
            in_text.push(text[at : at + size])
        return time.process_time() - start

    cost(1000)
    assert cost(1) < 20 * cost(1000)
