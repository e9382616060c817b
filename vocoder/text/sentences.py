"""Splits a text into sentences, lazily, and long sentences into parts of a speakable length."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vocoder.text.characters import PARAGRAPH, SILENT_MARK, WORD_MARK, word_set
from vocoder.text.normalisation.abbreviations import (
    ABBREVIATIONS,
    BEFORE_NUMBER,
    NEVER_LAST,
    OFTEN_LAST,
)
from vocoder.text.normalisation.fields import BOOK_ABBREVIATIONS
from vocoder.text.normalisation.places import STREET_ABBREVIATIONS
from vocoder.text.utterance import Word

SOFT_WORD_LIMIT = 40
"""A sentence with more words is split at a comma or conjunction."""

SOFT_CHARACTER_LIMIT = 300
"""A sentence with more characters is split at a comma or conjunction."""

HARD_WORD_LIMIT = 60
"""A sentence with more words is split anywhere."""

RAW_CHARACTER_LIMIT = 2000
"""Text that runs on for more characters without a sentence end is cut before normalisation."""

_STOP = re.compile(
    rf"(?<![.!?])(?P<stop>[.!?]++)(?P<closing>[\"')\]]*+)(?=[\s{SILENT_MARK}{WORD_MARK}]|$)"
    rf"|{PARAGRAPH}"
)
_NEXT = re.compile(rf"[\s\"'(\[{SILENT_MARK}]*(?P<word>[^\W_]+)?")
_LAST_TOKEN = re.compile(r"[\w.'&]+$")
_INITIAL = re.compile(r"(?:[A-Za-z]\.)*[A-Z]|(?:[a-z]\.)+[a-z]")
_STREET = re.compile(r"\b(?!The |A |Is |Our )(?:[A-Z][a-z']+|\d+(?:st|nd|rd|th)) $")
_NUMBERED = re.compile(r"\s*(?:[(\[#]?\d|[Nn]o\b|[ivxl]{1,7}\b)")
_SPOKEN = re.compile(rf"[^\W_]|[{WORD_MARK}&@#%$£€¥¢‰¶μΩ+=<>^*×÷±¬√°©§~\\∀-⋿←-⇿₠-⃏♭♮♯†‡]")
_CONTINUES = re.compile(r" ?[=+*/§]")
_NOT_SILENT_MARK = re.compile(rf"[^{SILENT_MARK}]+")
_BEFORE_NUMBER = BEFORE_NUMBER | BOOK_ABBREVIATIONS
_CUT = re.compile(r"[,;:—–]\s|\s")
STARTERS = word_set(
    "the he she it they we i you but and in on at a an this that these those there here then his "
    "her its their our my your when where what why how who if so as after before while since "
    "however although though because now not no yes for from by with all some many most people "
    "thanks thank please let let's is are was were can could will would should do does did have "
    "has it's he's she's they're we're i'm i've i'll you're that's there's what's don't each every "
    "both few several such only also still even just once until unless whether according despite "
    "during today yesterday tomorrow meanwhile later earlier finally maybe perhaps sometimes often "
    "never always everyone someone something nothing everything more other others another"
)
"""Words that commonly begin a sentence."""

_CONJUNCTIONS = word_set(
    "and but or nor so yet because although though while whereas which who that when where if "
    "unless until since as for with before after then"
)


@dataclass(frozen=True)
class RawSentence:
    """A sentence before normalisation.

    Attributes:
        text: with placeholders.
        complete: whether a sentence ends here; false where it was cut because it is too long.
    """

    text: str
    complete: bool = True


def split_sentences(text: str, *, complete: bool = True) -> Iterator[RawSentence]:
    """Sentences of a clean text, lazily; each has something to speak.

    Silent placeholders after the last sentence belong to it.

    Args:
        text: with placeholders.
        complete: whether the end of the text ends a sentence.
    """
    silent: list[str] = []  # silent placeholders before the first words
    last: list[str] = []
    last_complete = True
    for candidate in _candidates(text, complete):
        if not _SPOKEN.search(candidate.text):
            (last or silent).append(_NOT_SILENT_MARK.sub("", candidate.text))
            continue
        if last:
            yield RawSentence("".join(last), last_complete)
        last, last_complete = [*silent, candidate.text], candidate.complete
        silent = []
    if last:
        yield RawSentence("".join(last), last_complete)


def _candidates(text: str, complete: bool) -> Iterator[RawSentence]:
    """All of the text in parts that end where a sentence ends; some may have nothing to speak."""
    start = 0
    for stop in _STOP.finditer(text):
        yield from (cut := _cut(text, start, stop.start()))
        start += sum(len(part.text) for part in cut)
        if stop[0] == PARAGRAPH:
            yield RawSentence(text[start : stop.start()])
            start = stop.end()
        elif _ends_sentence(text, start, stop):
            yield RawSentence(text[start : stop.end()])
            start = stop.end()
    yield from (cut := _cut(text, start, len(text)))
    yield RawSentence(text[start + sum(len(part.text) for part in cut) :], complete)


def _cut(text: str, start: int, end: int) -> list[RawSentence]:
    """Parts to cut off at ``start`` so that the rest, up to ``end``, is within the limit."""
    parts = []
    while end - start > RAW_CHARACTER_LIMIT:
        limit = start + RAW_CHARACTER_LIMIT
        positions = [m.end() for m in _CUT.finditer(text, start + RAW_CHARACTER_LIMIT // 2, limit)]
        cut = positions[-1] if positions else limit
        parts.append(RawSentence(text[start:cut], complete=False))
        start = cut
    return parts


def _ends_sentence(text: str, start: int, stop: re.Match[str]) -> bool:
    """Whether the punctuation ``stop`` ends the sentence that began at ``start``."""
    if stop["stop"] == "." and _NUMBERED.match(text, stop.end()):
        numbered = _LAST_TOKEN.search(text, max(start, stop.start() - 30), stop.start())
        if numbered and numbered[0].lower() in _BEFORE_NUMBER:
            return False
    if _CONTINUES.match(text, stop.end()) and text[max(0, stop.start() - 1)].isalnum():
        return False
    following = _NEXT.match(text, stop.end())
    word = following["word"] if following else None
    if word is None:
        return True
    lower = word[0].islower()
    if stop["closing"] and lower:
        return False
    if stop["stop"] != ".":
        return not (lower and stop["stop"].startswith(".."))
    token = _LAST_TOKEN.search(text, max(start, stop.start() - 30), stop.start())
    before = token[0] if token else ""
    name = before.lower()
    starts = word.lower() in STARTERS and not lower
    if before in STREET_ABBREVIATIONS and token and starts:
        return _STREET.search(text, max(start, token.start() - 30), token.start()) is not None
    if name in NEVER_LAST:
        return False
    if before in ("No", "Nos"):
        return not word[0].isdigit()
    if (
        name in ABBREVIATIONS
        or name in OFTEN_LAST
        or (_INITIAL.fullmatch(before) and before != "I")
    ):
        return starts
    return True


def split_long_sentence(words: Sequence[Word]) -> Iterator[list[Word]]:
    """The words of a sentence, split if it is too long.

    Splits at a comma or before a conjunction if possible, otherwise between any two words.
    """
    rest = list(words)
    while end := _cut_after(rest):
        yield rest[:end]
        rest = rest[end:]
    yield rest


def _cut_after(words: list[Word]) -> int:
    """Number of words to split off; 0 if the sentence is short enough."""
    ends: list[int] = []
    for word in words:
        ends.append((ends[-1] if ends else 0) + len(word.text) + 1)
    characters = ends[-1] if ends else 0
    if len(words) <= SOFT_WORD_LIMIT and characters <= SOFT_CHARACTER_LIMIT:
        return 0
    parts = max(-(-len(words) // SOFT_WORD_LIMIT), -(-characters // SOFT_CHARACTER_LIMIT))
    ideal = characters / parts
    for most_words, most_characters in (
        (SOFT_WORD_LIMIT, SOFT_CHARACTER_LIMIT),
        (HARD_WORD_LIMIT, SOFT_CHARACTER_LIMIT * 3 // 2),
    ):
        fitting = [
            count
            for count in range(1, min(most_words, len(words) - 1) + 1)
            if ends[count - 1] <= most_characters
        ]
        candidates = [count for count in fitting if words[count - 1].pause]
        candidates = candidates or [
            count for count in fitting if words[count].text.lower() in _CONJUNCTIONS
        ]
        candidates = [count for count in candidates if min(count, len(words) - count) > 3]
        if candidates:
            return min(candidates, key=lambda count: abs(ends[count - 1] - ideal))
    if len(words) <= HARD_WORD_LIMIT and characters <= SOFT_CHARACTER_LIMIT * 3 // 2:
        return 0
    return max(1, *fitting) if fitting else min(1, len(words) - 1)
