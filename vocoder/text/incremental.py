"""Splits text that arrives in chunks, such as a language model's tokens, into whole sentences.

A sentence is released as soon as no further text can change it: neither where it ends (``5 p.m.``
continues before ``Monday`` but not before ``Then``) nor what it is part of (a link, a heading).
The rules for this are not written down a second time. Instead, each candidate boundary is tried
with the functions that read whole texts: it is a boundary if the text on its left and the text on
its right, read separately, give the same sentences as when read together. This module only adds
when the result of such a trial is final.
"""

import bisect
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vocoder.text.characters import clean, is_readable
from vocoder.text.lookahead import BOUNDARY_CONTEXT, decided_at, next_boundary, next_word
from vocoder.text.markdown import without_markdown
from vocoder.text.marked_text import INLINE, Lexicon, MarkedText, PronouncedWord
from vocoder.text.normalisation.normalise import normalise
from vocoder.text.sentences import RAW_CHARACTER_LIMIT, RawSentence, split_sentences

BUFFER_LIMIT = 4 * RAW_CHARACTER_LIMIT
"""Characters buffered while a boundary is undecided; more text than that is cut anywhere."""

_LOOKAHEAD = 40
_LONGEST_MARKUP = 3
_BLOCK = _LENGTH_CHECK_EVERY = 500
_SILENCE_KEPT = 100
_NEAR = 100
_MAX_TRIALS = 40
"""After so many failed trials a text is only cut for its length, which bounds the cost."""

_STOP_WITHIN = re.compile(r"[.!?…]\W*\s")
_WORD_END = re.compile(r"[\s.,;:!?'’\"”)-]")
_CONTINUATIONS = ("q", "o")
"""How an unfinished word may go on: to one that no rule knows, or to ``no`` as in ``Ref. no.``"""

_SPACES = re.compile(r"[ \t]{2,}")
_WORD_START = re.compile(r"(?<=\s)(?=\S)")
_LETTER, _LETTERS = re.compile(r"[^\W\d_]"), re.compile(r"[^\W\d_]+")


class TextPart(NamedTuple):
    """Part of a text, to be read as a text of its own.

    Attributes:
        text: as written.
        complete: whether the part ends a sentence; false if it was cut because it is too long.
    """

    text: str
    complete: bool = True


class _LetterCount(NamedTuple):
    all: int
    unreadable: int

    @property
    def refused(self) -> bool:
        """Whether the front end refuses a text with these letters."""
        return bool(self.unreadable) and 2 * self.unreadable >= self.all

    def plus(self, other: "_LetterCount") -> "_LetterCount":
        return _LetterCount(self.all + other.all, self.unreadable + other.unreadable)


class IncrementalText:
    """Collects a text and returns it in parts that each hold one or more whole sentences.

    The parts give the same sentences as the whole text, however the text was chunked, and there is
    always more to speak after a part that :meth:`push` returns. Three cases differ because they
    depend on the whole text: a text mostly in a non-Latin script is refused only when that part
    arrives; a text that stays undecided for ``BUFFER_LIMIT`` characters is cut anywhere; and a
    sentence so long that it would be cut within a link's text is cut next to the link instead.
    """

    def __init__(self, lexicon: Mapping[str, str] | None = None) -> None:
        """Start a text.

        Args:
            lexicon: words and their IPA, as for the front end; a stop inside one does not end a
                sentence.

        Raises:
            TextError: if a pronunciation is not valid IPA.
        """
        self._lexicon = Lexicon(lexicon or {})
        with_stop = [len(word) for word in lexicon or {} if _STOP_WITHIN.search(word)]
        self._longest_with_stop = max(with_stop, default=0)
        self._restart()

    def _restart(self) -> None:
        self._text, self._begins_line = "", True
        self._letters = _LetterCount(0, 0)
        self._restart_search()

    def _restart_search(self) -> None:
        self._undecided: int | None = None
        self._searched = self._trials = 0
        self._check_length_at = RAW_CHARACTER_LIMIT

    def push(self, text: str) -> list[TextPart]:
        """Add any number of characters; returns the parts that are now final."""
        parts: list[TextPart] = []
        for start in range(0, len(text), _BLOCK):
            self._text += text[start : start + _BLOCK]
            while True:
                if (end := self._end_of_sentence()) is not None:
                    parts += self._release(end, complete=True)
                elif len(self._text) <= self._check_length_at or not self._cut_overlong(parts):
                    break
        return parts

    def flush(self) -> list[TextPart]:
        """End the text; returns what is left of it. The next :meth:`push` starts a new text."""
        rest = self._accept(self._text)
        self._restart()
        return [TextPart(rest)] if rest.strip() else []

    def _end_of_sentence(self) -> int | None:
        """The position at which the first sentence is certain to end."""
        while True:
            boundary = self._undecided
            if boundary is None:
                boundary = next_boundary(self._text, self._searched)
                if boundary is None or self._trials == _MAX_TRIALS:
                    self._searched = max(self._searched, len(self._text) - BOUNDARY_CONTEXT)
                    return None
                self._trials += 1
            ends = self._ends_sentence(boundary)
            self._undecided = boundary if ends is None else None
            if ends is None:
                return None
            if ends:
                return boundary
            self._searched = boundary + 1

    def _ends_sentence(self, boundary: int) -> bool | None:
        """Whether a sentence ends at a boundary; None if that is not certain yet."""
        word = next_word(self._text, boundary, begins_line=self._begins_line)
        decided = decided_at(self._text, boundary, begins_line=self._begins_line)
        arrived = len(self._text)
        if word is None or decided is None or arrived < boundary + self._longest_with_stop:
            return None
        left = self._text[:boundary]
        right = self._text[boundary : max(decided, word[1]) + _LOOKAHEAD]
        ends = self._independent(left, right)
        if ends and not _WORD_END.match(self._text, word[1]):  # The word may continue.
            so_far = self._text[boundary : word[1]]
            ends = all(self._independent(left, so_far + rest) for rest in _CONTINUATIONS)
        if ends:
            return self._is_acceptable(left)
        return False if arrived >= word[1] + _LONGEST_MARKUP else None

    def _independent(self, left: str, right: str) -> bool:
        """Whether two texts, read separately, give the same sentences as when read together."""
        if len(left) > 2 * _NEAR and not self._independent(left[-_NEAR:], right):
            return False  # Most boundaries fail here, without reading the whole text.
        return _content(self._read(left) + self._read(right)) == _content(self._read(left + right))

    def _read(self, text: str) -> list[RawSentence]:
        """The sentences of a text as the front end finds them; refuses nothing."""
        return list(split_sentences(self._plain(text)))

    def _plain(self, text: str) -> str:
        plain = self._with_all_letters(text)
        return plain if plain.isascii() else _without_unreadable(plain)

    def _with_all_letters(self, text: str) -> str:
        marked, end = MarkedText(self._lexicon), 0
        for inline in INLINE.finditer(text):
            marked.add(text[end : inline.start()])
            marked.add_word(PronouncedWord("", ()))
            end = inline.end()
        marked.add(text[end:])
        return without_markdown(marked.text)

    def _count_letters(self, text: str) -> _LetterCount:
        letters = _LETTER.findall(self._with_all_letters(text))
        return _LetterCount(len(letters), sum(not is_readable(letter) for letter in letters))

    def _release(self, end: int, *, complete: bool) -> list[TextPart]:
        """Remove the text up to ``end`` from the buffer; returns it unless it is silent."""
        text = self._accept(self._text[:end])
        self._text, self._begins_line = self._text[end:], False
        self._restart_search()
        # Text that cannot be read is passed on, so that the front end refuses it.
        silent = not self._read(text) and not self._count_letters(text).refused
        return [] if silent else [TextPart(text, complete)]

    def _is_acceptable(self, text: str) -> bool:
        """Whether a text passes the check for Latin letters, by itself or with all before it."""
        own = self._count_letters(text)
        return not own.refused or not self._letters.plus(own).refused

    def _accept(self, text: str) -> str:
        """Count a text's letters; returns it without unreadable ones if only it is refused."""
        own = self._count_letters(text)
        self._letters = self._letters.plus(own)
        if own.refused and not self._letters.refused:
            return _LETTERS.sub(lambda run: _without_unreadable(clean(run[0])), text)
        return text

    def _cut_overlong(self, parts: list[TextPart]) -> bool:
        """Cut text that has run on without a sentence end; returns whether anything was cut."""
        self._drop_silence()
        text = self._text[:BUFFER_LIMIT]
        self._check_length_at = len(self._text) + _LENGTH_CHECK_EVERY
        sentences = self._read(text)
        cut = next((i for i, sentence in enumerate(sentences) if not sentence.complete), None)
        if len(self._text) <= BUFFER_LIMIT:
            decided = decided_at(text, len(text), begins_line=self._begins_line)
            if cut is None or decided is None:
                return False
        parts += self._release(self._position_of_cut(text, sentences, cut), complete=False)
        return True

    def _drop_silence(self) -> None:
        """Remove text that is never spoken, of which there may be any amount."""
        squeezed = _SPACES.sub(" ", self._text)
        if squeezed != self._text:
            self._text = squeezed
            self._restart_search()
        boundary = self._undecided or 0
        spoken, rest = self._text[:boundary], self._text[boundary:]
        if self._read(rest) or self._count_letters(rest).unreadable:
            return
        line = rest.rfind("\n")
        expected = self._outcomes(self._text)
        for kept in (rest[:1] + rest[-_SILENCE_KEPT:], rest[line:], "\n" + rest[line:]):
            if len(kept) < len(rest) and self._outcomes(spoken + kept) == expected:
                self._text = spoken + kept
                self._restart_search()
                return

    def _outcomes(self, text: str) -> list[str]:
        """How a text would be read if a word followed directly, after a space or on a new line."""
        sentences = [s for space in ("", " ", "\n") for s in self._read(f"{text}{space}q")]
        return [normalise(sentence.text) for sentence in sentences]

    def _position_of_cut(self, text: str, sentences: Sequence[RawSentence], cut: int | None) -> int:
        """Where to cut a text so that its left side gives ``sentences`` up to number ``cut``."""
        starts = [match.end() for match in _WORD_START.finditer(text, 1)] or [RAW_CHARACTER_LIMIT]
        if cut is None:
            return starts[-1]
        expected = _content(sentences)
        length = sum(len(sentence.text) for sentence in sentences[: cut + 1])
        # Usually reading removed nothing from the text, and the first guess is right.
        for measure in (int, lambda position: len(self._plain(text[:position]))):
            index = bisect.bisect(starts, length, key=measure)
            near = starts[max(0, index - 2) : index + 2]
            for position in (*near, *(start - 1 for start in near), length):
                left = _content(self._read(text[:position]))
                right = _content(self._read(text[position:]))
                if len(left) == cut + 1 and [*left[:-1], (left[-1][0], False), *right] == expected:
                    return position
        return starts[max(0, index - 1)]


def _content(sentences: Sequence[RawSentence]) -> list[tuple[str, bool]]:
    return [(sentence.text.strip(), sentence.complete) for sentence in sentences]


def _without_unreadable(text: str) -> str:
    """The text with spaces in place of letters that cannot be read."""
    return "".join(" " if _LETTER.match(char) and not is_readable(char) else char for char in text)
