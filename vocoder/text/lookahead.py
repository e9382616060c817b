"""How much lookahead is needed before the reading of text that is still arriving is final.

All functions look at a boundary, a position where a sentence may end, in the text so far. They
return None if more text is needed to decide.
"""

import re

from vocoder.text.characters import clean

_LINK_LIMIT, _URL_LIMIT = 500, 2000
_NEWLINES = "\n\r\x0b\x0c\x85\u2028\u2029"
_CLOSING_LIMIT = 20
_BOUNDARY = re.compile(
    rf"[.!?…。！？․‥][^\w\s]{{0,{_CLOSING_LIMIT}}}+(?=\s)"
    rf"|(?<=\S)(?=[^\S{_NEWLINES}]{{0,{_CLOSING_LIMIT}}}+[{_NEWLINES}])"
)
_WORD = re.compile(r"\s[\"'“”‘’«(*_]{0,2}(?P<word>[A-Za-z0-9À-ÖØ-öø-ÿ]+)")
_NEWLINE = re.compile(f"[{_NEWLINES}]")
_BRACKET = re.compile(r"[\[\]【】［］]")
_BRACKET_OR_NEWLINE = re.compile(rf"[\[\]【】［］{_NEWLINES}]")
_URL_END = re.compile(r"[()（）\s]")
_FENCE = re.compile(r"['~]{3}")
_WHOLE_LINE = re.compile(r"['~]{3}|#")
_ITEM = re.compile(r"\d{1,3}[.)]?\s*\Z")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,200}\Z")
_TAG_END = re.compile(r"[<>]")
_TAG_LIMIT = 204

BOUNDARY_CONTEXT = _CLOSING_LIMIT + 2
"""Characters around a position that decide whether it is a boundary."""


def next_boundary(text: str, start: int) -> int | None:
    """The first position from ``start`` on where a sentence may end: just before white space."""
    match = _BOUNDARY.search(text, start)
    return None if match is None else match.end()


def next_word(text: str, boundary: int, *, begins_line: bool) -> tuple[int, int] | None:
    """Start and end of the first word after a boundary that is certain to be spoken.

    Args:
        text: the text so far.
        boundary: a position just before white space.
        begins_line: whether the text starts at the beginning of a line.
    """
    start = boundary
    while word := _WORD.search(text, start):
        line = _line_start(text, word.start() + 1)
        if (line or begins_line) and _opens(text[line : word.start()], _FENCE):
            newline = _NEWLINE.search(text, word.end())  # A code fence's whole line is skipped.
            if newline is None:
                return None
            start = newline.start()
        elif tag := _TAG.search(text, boundary, word.start() + 1):
            last = tag.start() + _TAG_LIMIT
            end = _TAG_END.search(text, word.end(), last)
            if end is None and len(text) < last:
                return None
            if end is None or end[0] == "<":
                return word.span("word")  # It was not a tag.
            start = end.start()
        elif _ITEM.match(text, word.start("word")):
            return None  # It may be the number of a list item whose text has not arrived.
        else:
            return word.span("word")
    return None


def decided_at(text: str, boundary: int, *, begins_line: bool) -> int | None:
    """The position at which it is known whether a heading or link continues across a boundary."""
    start = _line_start(text, boundary)
    if (start or begins_line) and _opens(text[start:boundary], _WHOLE_LINE):
        newline = _NEWLINE.search(text, boundary)
        after = newline and next_word(text, newline.start(), begins_line=begins_line)
        if not after:
            return None
        boundary = after[1]
    opening = max(text.rfind(bracket, 0, boundary) for bracket in "[【［")
    if opening < 0 or boundary - opening > _LINK_LIMIT + 1:
        return boundary
    if _BRACKET.search(text, opening + 1, boundary):
        return boundary
    end = _link_end(text, opening)
    return None if end is None else max(boundary, end)


def _link_end(text: str, opening: int) -> int | None:
    """The position at which it is known whether a bracket opens a link, or a word in IPA."""
    phonemes = opening > 0 and _BRACKET.match(text, opening - 1)
    ending = _BRACKET if phonemes else _BRACKET_OR_NEWLINE
    last = opening + _LINK_LIMIT + 2
    bracket = ending.search(text, opening + 1, last)
    if bracket is None:
        return last if len(text) > last else None
    after = bracket.end()
    if bracket[0] not in "]】］":
        return after
    if after >= len(text):
        return None
    if text[after] not in "(（":
        return after + 1
    last = after + _URL_LIMIT + 2
    end = _URL_END.search(text, after + 1, last)
    if end is not None:
        return end.end()
    return last if len(text) > last else None


def _line_start(text: str, position: int) -> int:
    return 1 + max(text.rfind(newline, 0, position) for newline in _NEWLINES)


def _opens(line: str, markup: re.Pattern[str]) -> bool:
    return markup.match(clean(line[:100]).lstrip(" >")) is not None
