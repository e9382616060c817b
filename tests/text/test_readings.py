"""Texts and the readings accepted for them, by kind, also when the text arrives in pieces."""

import contextlib
from collections.abc import Iterable, Iterator

import pytest
from reading_table import PRONUNCIATIONS, Entry, entries, front_end, is_right, kinds, read

from vocoder.errors import TextError
from vocoder.text.incremental import IncrementalText, TextPart
from vocoder.text.utterance import Sentence

ACCEPTED_OF_FRESH = dict.fromkeys(kinds("fresh"), 0.95) | dict.fromkeys(
    ("mathematics", *PRONUNCIATIONS), 0.9
)


@pytest.mark.parametrize("kind", kinds("table"))
def test_every_text_of_the_table_has_an_accepted_reading(kind: str) -> None:
    listed = entries("table", kind)
    assert [(entry, read(entry.text)) for entry in listed if not is_right(kind, entry)] == []


def test_the_table_is_large_and_the_comparison_can_fail() -> None:
    assert sum(len(entries("table", kind)) for kind in kinds("table")) > 1_500
    assert min(len(entries("fresh", kind)) for kind in kinds("fresh")) >= 30
    assert not is_right("money", Entry("$5", ("five dollar",)))
    assert not is_right("words", Entry("cat", ("dɔɡ",)))


@pytest.mark.parametrize("kind", kinds("fresh"))
def test_fresh_texts_are_mostly_read_as_accepted(kind: str) -> None:
    listed = entries("fresh", kind)
    right = sum(is_right(kind, entry) for entry in listed)
    assert right >= ACCEPTED_OF_FRESH[kind] * len(listed)


@pytest.mark.parametrize("kind", kinds("table"))
def test_a_text_that_arrives_character_by_character_reads_like_the_whole(kind: str) -> None:
    for text in {entry.text.replace("*", "") for entry in entries("table", kind)}:
        assert list(_spoken(_parts(text))) == list(_spoken([TextPart(text)])), text


def _parts(text: str) -> Iterator[TextPart]:
    incremental = IncrementalText()
    for char in text:
        yield from incremental.push(char)
    yield from incremental.flush()


def _spoken(parts: Iterable[TextPart]) -> Iterator[str]:
    for part in parts:
        with contextlib.suppress(TextError):
            yield from map(_text, front_end().sentences(part.text, complete=part.complete))


def _text(sentence: Sentence) -> str:
    return sentence.text
