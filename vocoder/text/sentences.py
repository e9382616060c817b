"""Sentences of a text, found lazily, and long ones cut to a length that can be spoken in one go."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vocoder.text.characters import PARAGRAPH, SIGN_MARK, WORD_MARK, words
from vocoder.text.normalisation.abbreviations import NEVER_LAST, OFTEN_LAST
from vocoder.text.utterance import Word

LONGEST_WORDS = 40
"""Words of a sentence above which it is cut at a comma or conjunction."""

LONGEST_CHARACTERS = 300
"""Characters of a sentence above which it is cut there."""

MOST_WORDS = 60
"""Words at which a sentence is cut by force."""

LONGEST_PIECE = 2000
"""Characters without the end of a sentence above which a text is cut before it is normalised."""

_STOP = re.compile(
    rf"(?<![.!?])(?P<stop>[.!?]++)(?P<closing>[\"')\]]*+)(?=[\s{SIGN_MARK}{WORD_MARK}]|$)"
    rf"|{PARAGRAPH}"
)
_NEXT = re.compile(rf"[\s\"'(\[{SIGN_MARK}]*(?P<word>[^\W_]+)?")
_LAST_TOKEN = re.compile(r"[\w.'&]+$")
_INITIAL = re.compile(r"(?:[A-Za-z]\.)*[A-Z]")
_SPOKEN = re.compile(rf"[^\W_]|[{WORD_MARK}&@#%$£€¥+=<>^*×÷√°©§~\\]")
_SIGNS = re.compile(rf"[^{SIGN_MARK}]+")
_CUT = re.compile(r"[,;:—–]\s|\s")
_STARTERS = words(
    "the he she it they we i you but and in on at a an this that these those there here then his "
    "her its their our my your when where what why how who if so as after before while since "
    "however although though because now not no yes for from by with all some many most"
)
_CONJUNCTIONS = words(
    "and but or nor so yet because although though while whereas which who that when where if "
    "unless until since as for with before after then"
)


@dataclass(frozen=True)
class Piece:
    """Part of a text that is normalised as one.

    Attributes:
        text: with its marks.
        whole: whether a sentence ends here; false where one was cut for its length.
    """

    text: str
    whole: bool = True


def split(text: str, *, whole: bool = True) -> Iterator[Piece]:
    """Sentences of a clean text, lazily; each has something to speak.

    Marks of silent signs that follow the last sentence are part of it.

    Args:
        text: with its marks.
        whole: whether a sentence ends with the text.
    """
    silent: list[str] = []  # signs before the first words
    last: list[str] = []
    last_whole = True
    for piece in _split(text, whole):
        if not _SPOKEN.search(piece.text):
            (last or silent).append(_SIGNS.sub("", piece.text))
            continue
        if last:
            yield Piece("".join(last), last_whole)
        last, last_whole = [*silent, piece.text], piece.whole
        silent = []
    if last:
        yield Piece("".join(last), last_whole)


def _split(text: str, whole: bool) -> Iterator[Piece]:
    start = 0
    for stop in _STOP.finditer(text):
        yield from (cut := _cut(text, start, stop.start()))
        start += sum(len(piece.text) for piece in cut)
        if stop[0] == PARAGRAPH:
            yield Piece(text[start : stop.start()])
            start = stop.end()
        elif _ends_sentence(text, start, stop):
            yield Piece(text[start : stop.end()])
            start = stop.end()
    yield from (cut := _cut(text, start, len(text)))
    yield Piece(text[start + sum(len(piece.text) for piece in cut) :], whole)


def _cut(text: str, start: int, end: int) -> list[Piece]:
    """Pieces to cut from the start until the rest up to ``end`` is short enough."""
    pieces = []
    while end - start > LONGEST_PIECE:
        longest = start + LONGEST_PIECE
        places = [place.end() for place in _CUT.finditer(text, start + LONGEST_PIECE // 2, longest)]
        cut = places[-1] if places else longest
        pieces.append(Piece(text[start:cut], whole=False))
        start = cut
    return pieces


def _ends_sentence(text: str, start: int, stop: re.Match[str]) -> bool:
    following = _NEXT.match(text, stop.end())
    word = following["word"] if following else None
    if word is None:
        return True
    small = word[0].islower()
    if stop["closing"] and small:
        return False
    if stop["stop"] != ".":
        return not (small and stop["stop"].startswith(".."))
    token = _LAST_TOKEN.search(text, max(start, stop.start() - 30), stop.start())
    before = token[0] if token else ""
    if before.lower() in NEVER_LAST:
        return False
    if before in ("No", "Nos"):
        return not word[0].isdigit()
    if before.lower() in OFTEN_LAST or (_INITIAL.fullmatch(before) and before != "I"):
        return word.lower() in _STARTERS and not small
    return True


def shorten(spoken: Sequence[Word]) -> Iterator[list[Word]]:
    """Cut a sentence's words where it is too long: at a comma or conjunction, at last by force."""
    rest = list(spoken)
    while end := _cut_after(rest):
        yield rest[:end]
        rest = rest[end:]
    yield rest


def _cut_after(spoken: list[Word]) -> int:
    """How many words to cut off; 0 where the sentence is short enough."""
    ends: list[int] = []
    for word in spoken:
        ends.append((ends[-1] if ends else 0) + len(word.text) + 1)
    characters = ends[-1] if ends else 0
    if len(spoken) <= LONGEST_WORDS and characters <= LONGEST_CHARACTERS:
        return 0
    parts = max(-(-len(spoken) // LONGEST_WORDS), -(-characters // LONGEST_CHARACTERS))
    ideal = characters / parts
    for most_words, most_characters in (
        (LONGEST_WORDS, LONGEST_CHARACTERS),
        (MOST_WORDS, LONGEST_CHARACTERS * 3 // 2),
    ):
        fitting = [
            count
            for count in range(1, min(most_words, len(spoken) - 1) + 1)
            if ends[count - 1] <= most_characters
        ]
        places = [count for count in fitting if spoken[count - 1].pause]
        places = places or [
            count for count in fitting if spoken[count].text.lower() in _CONJUNCTIONS
        ]
        places = [count for count in places if min(count, len(spoken) - count) > 3]
        if places:
            return min(places, key=lambda count: abs(ends[count - 1] - ideal))
    if len(spoken) <= MOST_WORDS and characters <= LONGEST_CHARACTERS * 3 // 2:
        return 0
    return max(1, *fitting) if fitting else min(1, len(spoken) - 1)
