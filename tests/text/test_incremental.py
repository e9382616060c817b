"""Text that arrives in chunks reads like the whole text, and each sentence as early as possible."""

import contextlib
import itertools
import random
import time
from collections.abc import Iterable, Iterator

import pytest

from vocoder.errors import SilentTextError, TextError
from vocoder.text.frontend import TextFrontEnd
from vocoder.text.incremental import BUFFER_LIMIT, IncrementalText, TextPart
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

Reading = list[tuple[str, str, bool]]
"""Text and phonemes of each sentence, and whether another one follows."""


def reading(sentences: Iterable[tuple[Sentence, bool]]) -> Reading:
    return [(sentence.text, sentence.phonemes, followed) for sentence, followed in sentences]


def with_following(sentences: Iterable[Sentence]) -> Iterator[tuple[Sentence, bool]]:
    listed = list(sentences)
    return ((sentence, sentence is not listed[-1]) for sentence in listed)


def read_whole(text: str) -> Reading:
    with contextlib.suppress(SilentTextError):
        return reading(with_following(FRONT_END.sentences(text)))
    return []


def read(parts: Iterable[TextPart]) -> Iterator[Sentence]:
    for part in parts:
        with contextlib.suppress(SilentTextError):
            yield from FRONT_END.sentences(part.text, complete=part.complete)


def read_chunks(chunks: Iterable[str]) -> Reading:
    """The reading of a text that arrives in chunks; a sentence from ``push`` has a successor."""
    text, sentences = IncrementalText(), []
    for chunk in chunks:
        sentences += reading((sentence, True) for sentence in read(text.push(chunk)))
    return sentences + reading(with_following(read(text.flush())))


def cut(text: str, longest: int, draw: random.Random) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = start + draw.randint(1, longest)
        yield text[start:end]
        start = end


def texts(count: int) -> Iterator[str]:
    draw = random.Random(5)
    for _ in range(count):
        glue = draw.choice([[""], [" "], ["", " "], ["", " ", " ", " ", "\n"]])
        yield "".join(
            draw.choice(FRAGMENTS) + draw.choice(glue) for _ in range(draw.randint(1, 40))
        )


def test_chunked_text_reads_like_the_whole_text() -> None:
    draw, spoken_texts = random.Random(6), 0
    for text in texts(250):
        try:
            expected = read_whole(text)
        except TextError:
            continue  # Foreign letters are tested below.
        spoken_texts += bool(expected)
        for longest in (1, 4, 1000):
            assert read_chunks(cut(text, longest, draw)) == expected, text
    assert spoken_texts > 150


def parts(*chunks: str) -> list[str]:
    """The parts that ``push`` returns for the chunks of a text."""
    text = IncrementalText()
    return [part.text.strip() for chunk in chunks for part in text.push(chunk)]


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
def test_a_sentence_is_released_by_the_deciding_character(
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
def test_text_that_can_still_change_is_buffered(text: str) -> None:
    assert parts(text) == parts(*text) == []


def test_a_lexicon_entry_may_contain_a_stop() -> None:
    lexicon = {"Yahoo! Inc": "jˈɑhu"}
    for words, expected in (("Yahoo! Inc is", []), ("Yahoo! Then we", ["Ask Yahoo!"])):
        text = IncrementalText(lexicon)
        released = text.push(f"Ask {words} it")
        assert [part.text for part in released] == expected
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
def test_overlong_text_is_cut_where_the_whole_text_is(name: str) -> None:
    text = LONG[name]
    expected, draw = read_whole(text), random.Random(3)
    assert len(expected) > 3
    for longest in (7, 300, 10**6):
        assert read_chunks(cut(text, longest, draw)) == expected


@pytest.mark.parametrize(
    "endless",
    [
        *("word ", "a", "[a. ", ". ", "- ", "\n", " ", "🎉 "),
        *("```a ", "# a. b ", "<a ", "& ", "(", "привет "),
    ],
)
def test_memory_is_bounded(endless: str) -> None:
    text, longest = IncrementalText(), 0
    for chunk in itertools.repeat(endless * 10, 20_000 // len(endless) // 10):
        text.push(chunk)
        longest = max(longest, len(text._text))
    assert longest < 1.1 * BUFFER_LIMIT
    text.flush()


def test_long_silence_is_dropped_without_changing_the_reading() -> None:
    for silence in ("\n" * 3000, " " * 3000, ". " * 1500, "---\n" * 800, ":) " * 1000):
        text = f"One.{silence}Two. Three"
        expected = [words for words, *_ in read_whole(text)]
        assert [words for words, *_ in read_chunks(text)] == expected


def test_foreign_letters_are_skipped_as_in_the_whole_text() -> None:
    text = "This is a long sentence in English. Привет, мир! And another one in English. Пока."
    assert read_chunks(text) == read_chunks([text]) == read_whole(text)


def test_foreign_text_is_rejected() -> None:
    for text in ("Привет, мир! Как дела? ", "Hello. Привет, мир! Как дела? Хорошо."):
        with pytest.raises(TextError, match="Cyrillic"):
            read_chunks(text)


def test_invalid_inline_phonemes_are_left_to_the_front_end_to_reject() -> None:
    text = IncrementalText()
    released = text.push("Say [[y]] now. Then")
    assert [part.text for part in released] == ["Say [[y]] now."]
    with pytest.raises(TextError, match="y"):
        list(read(released))


def test_empty_and_silent_text_gives_no_parts() -> None:
    text = IncrementalText()
    assert text.flush() == text.push("") == text.push(" \n") == text.flush() == []


def test_a_flush_starts_a_new_text() -> None:
    text = IncrementalText()
    text.push("# One. Two")
    assert [part.text for part in text.flush()] == ["# One. Two"]
    assert [part.text for part in text.push("Three. Four. ")] == ["Three."]


def test_cost_of_tiny_chunks_is_bounded() -> None:
    text = (
        "The quick brown fox, e.g. Dr. Smith's, jumped over 3 dogs at 5 p.m. Then it left. " * 120
    )

    def cost(size: int) -> float:
        began = time.process_time()
        incremental = IncrementalText()
        for start in range(0, len(text), size):
            incremental.push(text[start : start + size])
        return time.process_time() - began

    cost(1000)
    assert cost(1) < 20 * cost(1000)
