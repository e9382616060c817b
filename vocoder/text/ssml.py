"""SSML to marked text, read safely: no document type, no entities but XML's own five.

Source: W3C, Speech Synthesis Markup Language 1.1; the elements in ``ELEMENTS`` of it.
"""

import logging
import math
import re
from collections.abc import Callable
from xml.parsers import expat

from vocoder.errors import TextError
from vocoder.text.marked import Break, Manner, MarkedText, Pronounced
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
"""Known elements and their attributes."""

DEEPEST = 50
LONGEST_BREAK_S = 10.0
SLOWEST, FASTEST = 0.25, 4.0
LARGEST_SHIFT = 12.0

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
_TAKES_TEXT_ONLY = frozenset({"say-as", "phoneme", "sub", "break"})


def read_ssml(text: str, marked: MarkedText) -> None:
    """Append an SSML document to a marked text.

    Volume and emphasis are accepted and have no effect; a log line says so for the former.

    Raises:
        TextError: XML that is broken, has a document type or is nested too deeply; an unknown
            element, attribute or value; says in which line and column, and what is known.
    """
    _Reader(marked).read(text)


class _Reader:
    def __init__(self, marked: MarkedText) -> None:
        self._marked = marked
        self._open: list[tuple[str, dict[str, str]]] = []
        self._manners = [Manner()]
        self._text: list[str] = []
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
                f"{expat.ErrorString(error.code)}; expected well-formed XML such as "
                f"<speak>Hello</speak>"
            ) from None
        except TextError as error:
            line = above + self._parser.CurrentLineNumber
            column = self._parser.CurrentColumnNumber + 1
            raise TextError(f"SSML, line {line}, column {column}: {error}") from None

    def _refuse_doctype(self, *_: object) -> None:
        raise TextError("a document type (DOCTYPE) is not allowed; leave it out")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._flush()
        if tag not in ELEMENTS:
            raise TextError(f"element <{tag[:64]}> is unknown; known are {', '.join(ELEMENTS)}")
        if (tag == "speak") != (not self._open):
            raise TextError("expected one <speak> around all others")
        if len(self._open) >= DEEPEST:
            raise TextError(f"elements are nested more than {DEEPEST} deep")
        if self._open and self._open[-1][0] in _TAKES_TEXT_ONLY:
            raise TextError(f"<{self._open[-1][0]}> holds text only, found <{tag}> in it")
        if unknown := attributes.keys() - ELEMENTS[tag] - _FREE:
            known = ", ".join(sorted(ELEMENTS[tag])) or "none"
            raise TextError(f"<{tag}> has no attribute {min(unknown)[:64]!r}; known are: {known}")
        self._open.append((tag, attributes))
        if tag in ("p", "s"):
            self._marked.end_sentence()
        elif tag == "break":
            self._marked.add_sign(Break(_break(attributes)))
        elif tag == "prosody":
            self._manners.append(_manner(attributes, self._manners[-1]))
            self._marked.add_sign(self._manners[-1])

    def _end(self, tag: str) -> None:
        self._flush()
        self._open.pop()
        if tag in ("p", "s"):
            self._marked.end_sentence()
        elif tag == "prosody":
            self._manners.pop()
            self._marked.add_sign(self._manners[-1])

    def _flush(self) -> None:
        """Deal with the text that came before a tag."""
        text = "".join(self._text)
        self._text.clear()
        if not self._open:
            return
        tag, attributes = self._open[-1]
        if tag == "sub":
            self._marked.add(f" {_needed(tag, attributes, 'alias')} ")
        elif tag == "phoneme":
            self._phoneme(text, attributes)
        elif tag == "say-as":
            kind = _needed(tag, attributes, "interpret-as")
            say_as(kind, text, attributes.get("format", ""), self._marked)
        elif tag == "break" and text.strip():
            raise TextError("<break> holds nothing; write <break/>")
        elif text:
            self._marked.add(text)

    def _phoneme(self, text: str, attributes: dict[str, str]) -> None:
        if (alphabet := attributes.get("alphabet", "ipa")) != "ipa":
            raise TextError(f"<phoneme> alphabet {alphabet[:64]!r} is unknown; known is ipa")
        ipa = _needed("phoneme", attributes, "ph")
        shown = "".join(text.split()) or "".join(ipa.split())
        self._marked.add_word(Pronounced(shown, parse_ipa(ipa)))


def _needed(tag: str, attributes: dict[str, str], name: str) -> str:
    if not attributes.get(name, "").strip():
        raise TextError(f"<{tag}> needs the attribute {name!r}")
    return attributes[name].strip()


def _break(attributes: dict[str, str]) -> float:
    strength, time = attributes.get("strength", "medium"), attributes.get("time")
    if time is None:
        return _named(_BREAKS, "break strength", strength)
    found = _TIME.fullmatch(time.strip())
    seconds = float(found[1]) / (1000 if found[2] == "ms" else 1) if found else math.inf
    if seconds > LONGEST_BREAK_S:
        raise TextError(
            f"break time {time[:64]!r}: expected a time such as 500ms or 1.5s, at most "
            f"{LONGEST_BREAK_S:g}s"
        )
    return seconds


def _manner(attributes: dict[str, str], around: Manner) -> Manner:
    if "volume" in attributes:
        _log.warning("SSML: the volume of <prosody> has no effect")
    rate = around.rate * _value(attributes, "rate", _RATES, _rate, "1.2, 120%, +20%", 1.0)
    pitch = around.pitch + _value(attributes, "pitch", _PITCHES, _pitch, "+2st, -10%", 0.0)
    if not SLOWEST <= rate <= FASTEST:
        raise TextError(f"prosody rate comes to {rate:g}; expected {SLOWEST:g} to {FASTEST:g}")
    if abs(pitch) > LARGEST_SHIFT:
        raise TextError(
            f"prosody pitch comes to {pitch:+.3g} semitones; expected {-LARGEST_SHIFT:g} to "
            f"{LARGEST_SHIFT:g}"
        )
    return Manner(rate, pitch)


def _value(
    attributes: dict[str, str],
    name: str,
    named: dict[str, float],
    read: Callable[[re.Match[str]], float | None],
    examples: str,
    default: float,
) -> float:
    written = attributes.get(name)
    if written is None:
        return default
    if written.strip() in named:
        return named[written.strip()]
    found = _AMOUNT.fullmatch(written.strip())
    value = read(found) if found else None
    if value is None:
        raise TextError(
            f"prosody {name} {written[:64]!r}: expected one of {', '.join(named)}, or a value such "
            f"as {examples}"
        )
    return value


def _rate(found: re.Match[str]) -> float | None:
    """Factor of the speed: 1.2, 120% and +20% are the same."""
    amount = float(found[2])
    if found[3] == "st" or (found[1] and not found[3]):
        return None
    if not found[3]:
        return amount
    return amount / 100 if not found[1] else 1 + float(found[1] + found[2]) / 100


def _pitch(found: re.Match[str]) -> float | None:
    """Shift in semitones, given as such or as a change in percent."""
    amount = float(found[1] + found[2])
    if found[3] == "st":
        return amount
    if found[3] != "%" or not found[1] or amount <= -100:
        return None
    return 12 * math.log2(1 + amount / 100)


def _named(values: dict[str, float], what: str, name: str) -> float:
    if name.strip() not in values:
        raise TextError(f"{what} {name[:64]!r} is unknown; known are {', '.join(values)}")
    return values[name.strip()]
