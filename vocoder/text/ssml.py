"""Reads SSML into marked text, safely: no document type, and only XML's five built-in entities.

Source: W3C, Speech Synthesis Markup Language 1.1. The elements in ``ELEMENTS`` have an effect. As
the recommendation asks, what cannot be followed is passed over, and the text inside is read.
"""

import logging
import math
import re
from collections.abc import Callable
from xml.parsers import expat

from vocoder.errors import TextError
from vocoder.text.marked_text import Break, MarkedText, PronouncedWord, Prosody
from vocoder.text.pronunciation.pronouncer import parse_ipa
from vocoder.text.say_as import say_as

_log = logging.getLogger(__name__)

_FREE = frozenset(
    {"version", "xmlns", "xml:lang", "xml:base", "xmlns:xsi", "xsi:schemaLocation", "xml:id"}
)
ELEMENTS: dict[str, frozenset[str]] = {
    "speak": frozenset(),
    "p": frozenset(),
    "s": frozenset(),
    "break": frozenset({"time", "strength"}),
    "prosody": frozenset({"rate", "pitch", "volume"}),
    "say-as": frozenset({"interpret-as", "format", "detail"}),
    "phoneme": frozenset({"alphabet", "ph"}),
    "sub": frozenset({"alias"}),
    "emphasis": frozenset({"level"}),
}
"""Elements and attributes that have an effect, or are accepted without one in silence."""

UNSPOKEN = frozenset({"metadata", "desc"})
"""Elements whose text is about the document and not part of it."""

MAX_DEPTH = 50
MAX_BREAK_S = 10.0
MAX_BREAKS_S = 600.0
"""All breaks of a document."""

MAX_NAMED = 8
"""Names in the warning of what has no effect."""

MIN_RATE, MAX_RATE = 0.25, 4.0
MAX_SHIFT_SEMITONES = 12.0

_BREAKS = {
    "none": 0.0, "x-weak": 0.1, "weak": 0.2, "medium": 0.4, "strong": 0.8, "x-strong": 1.2,
}  # fmt: skip
_RATES = {
    "x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.6,
}  # fmt: skip
_PITCHES = {
    "x-low": -6.0, "low": -3.0, "medium": 0.0, "default": 0.0, "high": 3.0, "x-high": 6.0,
}  # fmt: skip
_TIME = re.compile(r"\+?(\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})(ms|s)")
_AMOUNT = re.compile(r"([+-]?)(\d{1,4}(?:\.\d{1,6})?|\.\d{1,6})(%|st)?")
_TEXT_ONLY = frozenset({"say-as", "phoneme", "sub", "break"})


def read_ssml(text: str, marked: MarkedText) -> None:
    """Append an SSML document to a marked text.

    A warning in the log names the elements and attributes that have no effect.

    Raises:
        TextError: if the XML is not well-formed, has a document type or is nested too deeply, or a
            value of something that has an effect is wrong; gives the line and column.
    """
    _Reader(marked).read(text)


class _Reader:
    def __init__(self, marked: MarkedText) -> None:
        self._marked = marked
        self._open: list[tuple[str, dict[str, str]]] = []
        self._prosodies = [Prosody()]
        self._text: list[str] = []
        self._breaks_s = 0.0
        self._without_effect: set[str] = set()
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser = parser

    def read(self, text: str) -> None:
        above = text[: len(text) - len(text.lstrip())].count("\n")
        try:
            self._parser.Parse(text.strip().encode("utf-8", "replace"), True)
        except expat.ExpatError as error:
            raise TextError(
                f"SSML, line {above + error.lineno}, column {error.offset + 1}: "
                f"{expat.ErrorString(error.code)}: write well-formed XML such as "
                f"<speak>Hello</speak>"
            ) from None
        except TextError as error:
            line = above + self._parser.CurrentLineNumber
            column = self._parser.CurrentColumnNumber + 1
            raise TextError(f"SSML, line {line}, column {column}: {error}") from None
        if self._without_effect:
            named = ", ".join(sorted(self._without_effect)[:MAX_NAMED])
            _log.warning("SSML: these have no effect: %s", named)

    def _refuse_doctype(self, *_: object) -> None:
        raise TextError("a document type (DOCTYPE) is not allowed: remove it")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._open and self._open[-1][0] in _TEXT_ONLY:
            raise TextError(f"<{self._open[-1][0]}> may contain only text, not <{tag[:64]}>")
        self._flush()
        if (tag == "speak") != (not self._open):
            raise TextError("wrap the document in exactly one <speak> element")
        if len(self._open) >= MAX_DEPTH:
            raise TextError(f"elements are nested more than {MAX_DEPTH} deep")
        if tag not in ELEMENTS:
            self._without_effect.add(f"<{tag[:64]}>")
        for name in attributes.keys() - ELEMENTS.get(tag, attributes.keys()) - _FREE:
            self._without_effect.add(f"{name[:64]} of <{tag}>")
        if tag == "prosody":
            self._without_effect |= {f"{name} of <prosody>" for name in _no_effect(attributes)}
        self._open.append((tag, attributes))
        if tag in ("p", "s"):
            self._marked.end_sentence()
        elif tag == "break":
            seconds = _break(attributes)
            self._breaks_s += seconds
            if self._breaks_s > MAX_BREAKS_S:
                raise TextError(f"the breaks are longer than {MAX_BREAKS_S:g}s in total")
            self._marked.add_silent(Break(seconds))
        elif tag == "prosody":
            self._prosodies.append(_prosody(attributes, self._prosodies[-1]))
            self._marked.add_silent(self._prosodies[-1])

    def _end(self, tag: str) -> None:
        self._flush()
        self._open.pop()
        if tag in ("p", "s"):
            self._marked.end_sentence()
        elif tag == "prosody":
            self._prosodies.pop()
            self._marked.add_silent(self._prosodies[-1])

    def _flush(self) -> None:
        """Add the text that precedes a tag."""
        text = "".join(self._text)
        self._text.clear()
        if any(tag in UNSPOKEN for tag, _ in self._open) or not self._open:
            return
        tag, attributes = self._open[-1]
        if tag == "sub":
            self._marked.add(f" {_required(tag, attributes, 'alias')} ")
        elif tag == "phoneme":
            self._phoneme(text, attributes)
        elif tag == "say-as":
            kind = _required(tag, attributes, "interpret-as")
            say_as(kind, text, attributes.get("format", ""), self._marked)
        elif tag == "break" and text.strip():
            raise TextError("<break> must be empty: write <break/>")
        elif text:
            self._marked.add(text)

    def _phoneme(self, text: str, attributes: dict[str, str]) -> None:
        if (alphabet := attributes.get("alphabet", "ipa")) != "ipa":
            raise TextError(f"unknown <phoneme> alphabet {alphabet[:64]!r}: use ipa")
        ipa = _required("phoneme", attributes, "ph")
        shown = "".join(text.split()) or "".join(ipa.split())
        self._marked.add_word(PronouncedWord(shown, parse_ipa(ipa)))


def _required(tag: str, attributes: dict[str, str], name: str) -> str:
    if not attributes.get(name, "").strip():
        raise TextError(f"<{tag}> needs the attribute {name!r}")
    return attributes[name].strip()


def _break(attributes: dict[str, str]) -> float:
    strength, time = attributes.get("strength", "medium"), attributes.get("time")
    if time is None:
        if strength.strip() not in _BREAKS:
            raise TextError(
                f"unknown break strength {strength[:64]!r}: use one of {', '.join(_BREAKS)}"
            )
        return _BREAKS[strength.strip()]
    match = _TIME.fullmatch(time.strip())
    seconds = float(match[1]) / (1000 if match[2] == "ms" else 1) if match else math.inf
    if seconds > MAX_BREAK_S:
        raise TextError(
            f"invalid break time {time[:64]!r}: give a time such as 500ms or 1.5s, at most "
            f"{MAX_BREAK_S:g}s"
        )
    return seconds


def _no_effect(attributes: dict[str, str]) -> set[str]:
    """Attributes of ``prosody`` that are accepted without an effect."""
    in_hertz = {name for name in ("rate", "pitch") if attributes.get(name, "").endswith("Hz")}
    return in_hertz | attributes.keys() & {"volume"}


def _prosody(attributes: dict[str, str], outer: Prosody) -> Prosody:
    rate = outer.rate * _value(attributes, "rate", _RATES, _rate, "1.2, 120% or +20%", 1.0)
    pitch = outer.pitch + _value(attributes, "pitch", _PITCHES, _pitch, "+2st or -10%", 0.0)
    if not MIN_RATE <= rate <= MAX_RATE:
        raise TextError(
            f"the prosody rate is {rate:g} in total: it must be from {MIN_RATE:g} to {MAX_RATE:g}"
        )
    if abs(pitch) > MAX_SHIFT_SEMITONES:
        raise TextError(
            f"the prosody pitch is {pitch:+.3g} semitones in total: it must be from "
            f"{-MAX_SHIFT_SEMITONES:g} to {MAX_SHIFT_SEMITONES:g}"
        )
    return Prosody(rate, pitch)


def _value(
    attributes: dict[str, str],
    name: str,
    named: dict[str, float],
    parse: Callable[[re.Match[str]], float | None],
    examples: str,
    default: float,
) -> float:
    written = attributes.get(name)
    if written is None:
        return default
    if written.strip() in named:
        return named[written.strip()]
    if written.endswith("Hz"):  # The reader's own F0 is not known here.
        return default
    match = _AMOUNT.fullmatch(written.strip())
    value = parse(match) if match else None
    if value is None:
        raise TextError(
            f"invalid prosody {name} {written[:64]!r}: use one of {', '.join(named)}, or a value "
            f"such as {examples}"
        )
    return value


def _rate(match: re.Match[str]) -> float | None:
    """Speed factor: 1.2, 120% and +20% are the same."""
    amount = float(match[2])
    if match[3] == "st" or (match[1] and not match[3]):
        return None
    if not match[3]:
        return amount
    return amount / 100 if not match[1] else 1 + float(match[1] + match[2]) / 100


def _pitch(match: re.Match[str]) -> float | None:
    """Shift in semitones, from semitones or a relative change in percent."""
    amount = float(match[1] + match[2])
    if match[3] == "st":
        return amount
    if match[3] != "%" or not match[1] or amount <= -100:
        return None
    return 12 * math.log2(1 + amount / 100)
