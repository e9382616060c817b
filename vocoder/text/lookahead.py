"""How much must follow a place in a text until what stands before it can no longer change.

All functions look at a text that is still arriving, at a place where a sentence may end, and give
None where more of the text is needed to tell.
"""

import re

from vocoder.text.characters import clean

_LONGEST_LINK, _LONGEST_ADDRESS = 500, 2000
_NEWLINES = "\n\r\x0b\x0c\x85\u2028\u2029"
_LONGEST_CLOSING = 20
_PLACE = re.compile(
    rf"[.!?…。！？․‥][^\w\s]{{0,{_LONGEST_CLOSING}}}+(?=\s)"
    rf"|(?<=\S)(?=[^\S{_NEWLINES}]{{0,{_LONGEST_CLOSING}}}+[{_NEWLINES}])"
)
_WORD = re.compile(r"\s[\"'“”‘’«(*_]{0,2}(?P<word>[A-Za-z0-9À-ÖØ-öø-ÿ]+)")
_NEWLINE = re.compile(f"[{_NEWLINES}]")
_BRACKET = re.compile(r"[\[\]【】［］]")
_BRACKET_OR_NEWLINE = re.compile(rf"[\[\]【】［］{_NEWLINES}]")
_ADDRESS_END = re.compile(r"[()（）\s]")
_FENCE = re.compile(r"['~]{3}")
_WHOLE_LINE = re.compile(r"['~]{3}|#")
_ITEM = re.compile(r"\d{1,3}[.)]?\s*\Z")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,200}\Z")
_TAG_END = re.compile(r"[<>]")
_LONGEST_TAG = 204

PLACE_REACH = _LONGEST_CLOSING + 2
"""A place depends on so many characters around it."""


def next_place(text: str, start: int) -> int | None:
    """The first place from ``start`` on where a sentence may end: in front of white space."""
    found = _PLACE.search(text, start)
    return None if found is None else found.end()


def next_word(text: str, place: int, *, begins_line: bool) -> tuple[int, int] | None:
    """The first word after a place that is sure to be spoken, whatever follows its first letter.

    Args:
        text: so far.
        place: in front of white space.
        begins_line: whether the text's beginning is that of a line.
    """
    start = place
    while word := _WORD.search(text, start):
        line = _line_start(text, word.start() + 1)
        if (line or begins_line) and _opens(text[line : word.start()], _FENCE):
            newline = _NEWLINE.search(text, word.end())  # All of a code fence's line is left out.
            if newline is None:
                return None
            start = newline.start()
        elif tag := _TAG.search(text, place, word.start() + 1):
            last = tag.start() + _LONGEST_TAG
            end = _TAG_END.search(text, word.end(), last)
            if end is None and len(text) < last:
                return None
            if end is None or end[0] == "<":
                return word.span("word")  # It was no tag.
            start = end.start()
        elif _ITEM.match(text, word.start("word")):
            return None  # It may number an item, of which there is nothing yet.
        else:
            return word.span("word")
    return None


def decided_at(text: str, place: int, *, begins_line: bool) -> int | None:
    """Where a text has got to when it is known whether a heading or a link goes on at a place."""
    start = _line_start(text, place)
    if (start or begins_line) and _opens(text[start:place], _WHOLE_LINE):
        newline = _NEWLINE.search(text, place)
        after = newline and next_word(text, newline.start(), begins_line=begins_line)
        if not after:
            return None
        place = after[1]
    opening = max(text.rfind(sign, 0, place) for sign in "[【［")
    if opening < 0 or place - opening > _LONGEST_LINK + 1:
        return place
    if _BRACKET.search(text, opening + 1, place):
        return place
    end = _link_end(text, opening)
    return None if end is None else max(place, end)


def _link_end(text: str, opening: int) -> int | None:
    """Where it is known whether a bracket begins a link, or a word in the IPA."""
    phonemes = opening > 0 and _BRACKET.match(text, opening - 1)
    ending = _BRACKET if phonemes else _BRACKET_OR_NEWLINE
    last = opening + _LONGEST_LINK + 2
    sign = ending.search(text, opening + 1, last)
    if sign is None:
        return last if len(text) > last else None
    after = sign.end()
    if sign[0] not in "]】］":
        return after
    if after >= len(text):
        return None
    if text[after] not in "(（":
        return after + 1
    last = after + _LONGEST_ADDRESS + 2
    end = _ADDRESS_END.search(text, after + 1, last)
    if end is not None:
        return end.end()
    return last if len(text) > last else None


def _line_start(text: str, place: int) -> int:
    return 1 + max(text.rfind(sign, 0, place) for sign in _NEWLINES)


def _opens(line: str, mark: re.Pattern[str]) -> bool:
    return mark.match(clean(line[:100]).lstrip(" >")) is not None
