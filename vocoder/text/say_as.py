"""Reads the content of SSML's ``say-as`` element."""

import re
from collections.abc import Callable, Iterable

from vocoder.errors import TextError
from vocoder.text.characters import clean
from vocoder.text.marked_text import MarkedText, PronouncedWord
from vocoder.text.normalisation import amounts, dates, money, quantities, times
from vocoder.text.normalisation.addresses import CHARACTER_NAMES
from vocoder.text.normalisation.numbers import NUMBER, cardinal, digits, ordinal
from vocoder.text.normalisation.rules import Rule, apply, rule_set
from vocoder.text.pronunciation.pronouncer import Pronouncer

_NUMBER = re.compile(rf"([-+]?)({NUMBER})")
_ORDINAL = re.compile(r"(\d{1,12})(?:st|nd|rd|th)?")
_PHONE = re.compile(r"\+?[\d .()/-]{1,40}")
_DATE_PARTS = {"y": "year", "m": "month", "d": "day"}


def say_as(kind: str, content: str, style: str, marked: MarkedText) -> None:
    """Append content, read as the given kind.

    Args:
        kind: the attribute ``interpret-as``; content of a kind that is not in ``KINDS`` is read as
            text.
        content: the element's text.
        style: the attribute ``format``, which matters for dates and numbers; empty if absent.
        marked: where to append the words.

    Raises:
        TextError: if the content is not of a known kind.
    """
    content = " ".join(clean(content).split())
    if kind in ("characters", "spell-out", "verbatim"):
        _spell(content, marked)
        return
    if kind not in _READERS:
        marked.add(content)
        return
    words = _READERS[kind](content, style)
    if words is None:
        raise TextError(f"cannot read {content[:64]!r} as say-as {kind}: give {_EXAMPLES[kind]}")
    marked.add(words)


def _spell(content: str, marked: MarkedText) -> None:
    for char in content:
        if char.isalpha():
            letter = char.upper()
            marked.add_word(PronouncedWord(letter, Pronouncer().pronounce([letter])[0]))
        elif char.isdigit():
            marked.add(f" {digits(char)} ")
        else:
            marked.add(f" {CHARACTER_NAMES.get(char, char)} ")


def _cardinal(content: str, style: str) -> str | None:
    match = _NUMBER.fullmatch(content)
    return ("minus " if match[1] == "-" else "") + cardinal(match[2]) if match else None


def _number(content: str, style: str) -> str | None:
    """A number as SSML's note on ``say-as`` has it: the format says which kind."""
    return {"ordinal": _ordinal, "digits": _digits, "telephone": _telephone}.get(style, _cardinal)(
        content, ""
    )


def _ordinal(content: str, style: str) -> str | None:
    match = _ORDINAL.fullmatch(content)
    return ordinal(int(match[1])) if match else None


def _digits(content: str, style: str) -> str | None:
    return digits(content) or None


def _telephone(content: str, style: str) -> str | None:
    if not _PHONE.fullmatch(content):
        return None
    groups = ", ".join(digits(group) for group in re.findall(r"\d+", content))
    return ("plus " if content.startswith("+") else "") + groups


def _date(content: str, style: str) -> str | None:
    """A date whose numbers are in the order of a style such as ``dmy``, or in a common format."""
    numbers = re.findall(r"\d+", content)
    if not style:
        return _by_rules(content, dates.RULES)
    if len(numbers) != len(style) or not set(style) <= _DATE_PARTS.keys():
        return None
    parts = dict(zip(style, map(int, numbers), strict=True))
    month, day, year = parts.get("m"), parts.get("d"), parts.get("y")
    if month is None:
        return str(year) if year is not None and day is None else None
    if not 1 <= month <= 12 or (day is not None and not 1 <= day <= 31):
        return None
    return dates.date(month, day, year)


def _by_rules(content: str, rules: Iterable[Rule]) -> str | None:
    words = apply([rule_set("", *rules)], content)
    return words if words != content else None


def _reader(*rules: Rule) -> Callable[[str, str], str | None]:
    return lambda content, style: _by_rules(content, rules)


_READERS: dict[str, Callable[[str, str], str | None]] = {
    "cardinal": _cardinal,
    "number": _number,
    "ordinal": _ordinal,
    "digits": _digits,
    "fraction": _reader(*amounts.FRACTIONS),
    "date": _date,
    "time": _reader(*times.RULES, *quantities.DURATIONS),
    "telephone": _telephone,
    "currency": _reader(*money.RULES),
    "unit": _reader(*quantities.RULES),
}
_EXAMPLES = {
    "cardinal": "a number such as 1,234.5",
    "number": "a number such as 1,234.5",
    "ordinal": "a number such as 22 or 22nd",
    "digits": "digits such as 007",
    "fraction": "a fraction such as 3/4",
    "date": "a date such as 2021-01-03, or numbers in the order given by format, such as dmy",
    "time": "a time such as 3:30pm",
    "telephone": "digits in groups such as 555-123-4567",
    "currency": "an amount such as $3.50",
    "unit": "a quantity such as 5kg",
}
KINDS = ("characters", "spell-out", *_READERS)
"""The values of ``interpret-as``."""
