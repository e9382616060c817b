"""Tables of texts and their accepted readings: ``tests/text/readings/SET/KIND.txt``.

A line is ``text => reading || another reading``. In a reading, ``{a|b}`` is a choice and ``{a}``
may be left out; ``.`` separates sentences. In a text, ``⏎`` is a line break. Case, commas and the
final punctuation do not count. In tables of pronunciations (``PRONUNCIATIONS``) the readings are in
IPA without stress: of the word between asterisks, or of all the text if there is none.

``python tests/reading_table.py SET [KIND...]`` prints what is read differently, and the score.
"""

import functools
import itertools
import re
import sys
from pathlib import Path
from typing import NamedTuple

from vocoder.errors import TextError
from vocoder.text.frontend import TextFrontEnd

TABLES = Path(__file__).parent / "text/readings"
_CHOICE = re.compile(r"\{([^{}]*)\}")


PRONUNCIATIONS = frozenset({"heteronyms", "names", "words"})
"""Kinds whose readings are in IPA."""

_STRESS = str.maketrans("", "", "ˈˌ͡ ")


class Entry(NamedTuple):
    """A text and its accepted readings."""

    text: str
    readings: tuple[str, ...]


@functools.cache
def front_end() -> TextFrontEnd:
    return TextFrontEnd()


def kinds(table: str) -> list[str]:
    """The kinds of a table, by name."""
    return sorted(path.stem for path in (TABLES / table).glob("*.txt"))


def entries(table: str, kind: str) -> list[Entry]:
    lines = (TABLES / table / f"{kind}.txt").read_text().splitlines()
    return [_entry(line) for line in lines if line.strip()]


def _entry(line: str) -> Entry:
    text, arrow, readings = line.rpartition(" => ")
    assert arrow, line
    return Entry(text.replace("⏎", "\n"), tuple(readings.split(" || ")))


def accepted(entry: Entry) -> set[str]:
    """The readings with their choices written out."""
    found = set()
    for reading in entry.readings:
        parts = _CHOICE.split(reading)
        choices = [
            [part] if index % 2 == 0 else part.split("|") if "|" in part else [part, ""]
            for index, part in enumerate(parts)
        ]
        found |= {plain("".join(chosen)) for chosen in itertools.product(*choices)}
    return found


def plain(reading: str) -> str:
    """A reading without what does not count: case, commas, the kind of stop."""
    words = re.sub(r"[.?!]+", " . ", reading).replace(",", " ").split()
    return " ".join(words).lower().strip(" .")


def read(text: str) -> str:
    """How the front end reads a text: the words, and ``.`` where a sentence ends."""
    try:
        return plain(" ".join(sentence.text for sentence in front_end().sentences(text)))
    except TextError as error:
        return f"error: {error}"


def pronounce(text: str) -> str:
    """The phonemes of the word between asterisks, or of all the text."""
    before, _, rest = text.partition("*")
    word, _, after = rest.partition("*")
    try:
        (sentence,) = front_end().sentences(f"{before}{word}{after}" if word else text)
    except TextError as error:
        return f"error: {error}"
    words = [entry for entry in sentence.words if not word or entry.text.lower() == word.lower()]
    return "".join(str(phoneme) for entry in words for phoneme in entry.phonemes).translate(_STRESS)


def is_right(kind: str, entry: Entry) -> bool:
    if kind in PRONUNCIATIONS:
        return pronounce(entry.text) in {ipa.translate(_STRESS) for ipa in accepted(entry)}
    return read(entry.text) in accepted(entry)


def main(table: str, *chosen: str) -> None:
    """Print what is read differently, and how much of each kind is right."""
    scores = []
    for kind in chosen or kinds(table):
        listed = entries(table, kind)
        wrong = [entry for entry in listed if not is_right(kind, entry)]
        for entry in wrong:
            found = pronounce(entry.text) if kind in PRONUNCIATIONS else read(entry.text)
            wanted = " || ".join(entry.readings)
            print(f"{kind}: {entry.text!r}\n    read   {found}\n    wanted {wanted}")
        scores.append((kind, len(listed), len(listed) - len(wrong)))
    for kind, count, right in scores:
        print(f"| {kind} | {count} | {right} | {right / count:.0%} |")
    total, right = (sum(score[index] for score in scores) for index in (1, 2))
    print(f"| all | {total} | {right} | {right / total:.1%} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
