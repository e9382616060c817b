"""Text that arrives in any pieces, such as the tokens of a language model, to whole sentences.

A sentence is let go as soon as nothing that may follow can change it: not how it ends (``5 p.m.``
goes on before ``Monday``, not before ``Then``), not what it is part of (a link, a heading). The
rules for that are not written down a second time. A place where a sentence may end is tried with
the functions that read whole texts: it is one where the text on its left and the text on its right,
each read alone, say what they say together. What is added here is only when a trial is final.
"""

import bisect
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vocoder.text.characters import clean, readable
from vocoder.text.lookahead import PLACE_REACH, decided_at, next_place, next_word
from vocoder.text.markdown import without_markdown
from vocoder.text.marked import INLINE, Lexicon, MarkedText, Pronounced
from vocoder.text.normalisation.normalise import normalise
from vocoder.text.sentences import LONGEST_PIECE, Piece, split

LONGEST_KEPT = 4 * LONGEST_PIECE
"""Characters that wait for what decides; more are cut by force, wherever that may be."""

_LOOK_AHEAD = 40
_LONGEST_MARK = 3
_BLOCK = _LOOK_EVERY = 500
_SILENCE_KEPT = 100
_NEAR = 100
_MOST_TRIALS = 40
"""Places in vain after which a text is only cut for its length: trials must not cost too much."""

_STOP_WITHIN = re.compile(r"[.!?…]\W*\s")
_WORD_END = re.compile(r"[\s.,;:!?'’\"”)-]")
_SPACES = re.compile(r"[ \t]{2,}")
_WORD_START = re.compile(r"(?<=\s)(?=\S)")
_LETTER, _LETTERS = re.compile(r"[^\W\d_]"), re.compile(r"[^\W\d_]+")


class TextPart(NamedTuple):
    """A part of a text that is read as if it were a text of its own.

    Attributes:
        text: as it was written.
        whole: whether a sentence ends with it; false where one was cut for its length.
    """

    text: str
    whole: bool = True


class _Letters(NamedTuple):
    all: int
    unreadable: int

    @property
    def foreign(self) -> bool:
        """Whether a text with such letters is refused."""
        return bool(self.unreadable) and 2 * self.unreadable >= self.all

    def plus(self, others: "_Letters") -> "_Letters":
        return _Letters(self.all + others.all, self.unreadable + others.unreadable)


class IncrementalText:
    """Collects a text, and gives it in parts that each hold one sentence or more.

    The sentences of the parts are those of the whole text, however it was cut when it arrived.
    After each part that :meth:`push` gives there is more to speak. What only the whole text shows
    is different: one mostly not in Latin letters is refused only when that part of it comes; one of
    which ``LONGEST_KEPT`` characters say nothing certain is cut somewhere; and where a sentence is
    so long that it is cut in the middle of a link's words, it is cut beside the link.
    """

    def __init__(self, lexicon: Mapping[str, str] | None = None) -> None:
        """Begin a text.

        Args:
            lexicon: words and their IPA, as for the front end; a stop within one ends no sentence.

        Raises:
            TextError: one of them is no IPA.
        """
        self._lexicon = Lexicon(lexicon or {})
        stopped = [len(word) for word in lexicon or {} if _STOP_WITHIN.search(word)]
        self._longest_stopped = max(stopped, default=0)
        self._begin()

    def _begin(self) -> None:
        self._text, self._begins_line = "", True
        self._letters = _Letters(0, 0)
        self._search_again()

    def _search_again(self) -> None:
        self._place: int | None = None
        self._searched = self._trials = 0
        self._look_at = LONGEST_PIECE

    def push(self, text: str) -> list[TextPart]:
        """Take the next characters, any number; give the parts that are certain by now."""
        parts: list[TextPart] = []
        for start in range(0, len(text), _BLOCK):
            self._text += text[start : start + _BLOCK]
            while True:
                if (place := self._end_of_sentence()) is not None:
                    parts += self._let_go(place, whole=True)
                elif len(self._text) <= self._look_at or not self._shorten(parts):
                    break
        return parts

    def flush(self) -> list[TextPart]:
        """Give the rest: nothing follows it. After that a new text may begin."""
        rest = self._taken(self._text)
        self._begin()
        return [TextPart(rest)] if rest.strip() else []

    def _end_of_sentence(self) -> int | None:
        """Where the first sentence certainly ends."""
        while True:
            place = self._place
            if place is None:
                place = next_place(self._text, self._searched)
                if place is None or self._trials == _MOST_TRIALS:
                    self._searched = max(self._searched, len(self._text) - PLACE_REACH)
                    return None
                self._trials += 1
            ends = self._ends(place)
            self._place = place if ends is None else None
            if ends is None:
                return None
            if ends:
                return place
            self._searched = place + 1

    def _ends(self, place: int) -> bool | None:
        """Whether a sentence ends at a place; None where that is not certain."""
        word = next_word(self._text, place, begins_line=self._begins_line)
        decided = decided_at(self._text, place, begins_line=self._begins_line)
        known = len(self._text)
        if word is None or decided is None or known < place + self._longest_stopped:
            return None
        left = self._text[:place]
        right = self._text[place : max(decided, word[1]) + _LOOK_AHEAD]
        ends = self._separate(left, right)
        if ends and not _WORD_END.match(self._text, word[1]):  # The word may go on.
            ends = self._separate(left, self._text[place : word[1]] + "q")
        if ends:
            return self._accepted(left)
        return False if known >= word[1] + _LONGEST_MARK else None

    def _separate(self, left: str, right: str) -> bool:
        """Whether two texts, each read alone, say what they say together."""
        if len(left) > 2 * _NEAR and not self._separate(left[-_NEAR:], right):
            return False  # As most do, and found out without reading all of it.
        return _said(self._read(left) + self._read(right)) == _said(self._read(left + right))

    def _read(self, text: str) -> list[Piece]:
        """Pieces of a text as the front end finds them; nothing in it is refused."""
        return list(split(self._plain(text)))

    def _plain(self, text: str) -> str:
        plain = self._with_all_letters(text)
        return plain if plain.isascii() else _latin(plain)

    def _with_all_letters(self, text: str) -> str:
        marked, end = MarkedText(self._lexicon), 0
        for inline in INLINE.finditer(text):
            marked.add(text[end : inline.start()])
            marked.add_word(Pronounced("", ()))
            end = inline.end()
        marked.add(text[end:])
        return without_markdown(marked.text)

    def _letters_of(self, text: str) -> _Letters:
        letters = _LETTER.findall(self._with_all_letters(text))
        return _Letters(len(letters), sum(not readable(letter) for letter in letters))

    def _let_go(self, place: int, *, whole: bool) -> list[TextPart]:
        """Take the text up to a place off; as a part, where it is not silent."""
        text = self._taken(self._text[:place])
        self._text, self._begins_line = self._text[place:], False
        self._search_again()
        # What cannot be read is for the front end to refuse.
        silent = not self._read(text) and not self._letters_of(text).foreign
        return [] if silent else [TextPart(text, whole)]

    def _accepted(self, text: str) -> bool:
        """Whether a text is not refused for its letters: by itself, or with all before it."""
        own = self._letters_of(text)
        return not own.foreign or not self._letters.plus(own).foreign

    def _taken(self, text: str) -> str:
        """The text; or what can be read of it, where it would be refused only by itself."""
        own = self._letters_of(text)
        self._letters = self._letters.plus(own)
        if own.foreign and not self._letters.foreign:
            return _LETTERS.sub(lambda run: _latin(clean(run[0])), text)
        return text

    def _shorten(self, parts: list[TextPart]) -> bool:
        """Cut text in which no sentence has ended for long; whether there was anything to cut."""
        self._drop_silence()
        text = self._text[:LONGEST_KEPT]
        self._look_at = len(self._text) + _LOOK_EVERY
        pieces = self._read(text)
        cut = next((number for number, piece in enumerate(pieces) if not piece.whole), None)
        if len(self._text) <= LONGEST_KEPT:
            decided = decided_at(text, len(text), begins_line=self._begins_line)
            if cut is None or decided is None:
                return False
        parts += self._let_go(self._place_of_cut(text, pieces, cut), whole=False)
        return True

    def _drop_silence(self) -> None:
        """Let go of what is never spoken, of which there may be any amount."""
        squeezed = _SPACES.sub(" ", self._text)
        if squeezed != self._text:
            self._text = squeezed
            self._search_again()
        place = self._place or 0
        spoken, rest = self._text[:place], self._text[place:]
        if self._read(rest) or self._letters_of(rest).unreadable:
            return
        line = rest.rfind("\n")
        for kept in (rest[:1] + rest[-_SILENCE_KEPT:], rest[line:], "\n" + rest[line:]):
            if len(kept) < len(rest) and self._heard(spoken + kept) == self._heard(self._text):
                self._text = spoken + kept
                self._search_again()
                return

    def _heard(self, text: str) -> list[str]:
        """What would be heard if this were followed by a word, and how."""
        pieces = [piece for space in ("", " ", "\n") for piece in self._read(f"{text}{space}q")]
        return [normalise(piece.text) for piece in pieces]

    def _place_of_cut(self, text: str, pieces: Sequence[Piece], cut: int | None) -> int:
        """Where to cut, so that the left side gives the pieces up to the one that was cut."""
        places = [found.end() for found in _WORD_START.finditer(text, 1)] or [LONGEST_PIECE]
        if cut is None:
            return places[-1]
        wanted = _said(pieces)
        length = sum(len(piece.text) for piece in pieces[: cut + 1])
        # Mostly nothing was left out of the text as it was read, and the first guess is right.
        for measure in (int, lambda place: len(self._plain(text[:place]))):
            found = bisect.bisect(places, length, key=measure)
            near = places[max(0, found - 2) : found + 2]
            for place in (*near, *(place - 1 for place in near), length):
                left, right = _said(self._read(text[:place])), _said(self._read(text[place:]))
                if len(left) == cut + 1 and [*left[:-1], (left[-1][0], False), *right] == wanted:
                    return place
        return places[max(0, found - 1)]


def _said(pieces: Sequence[Piece]) -> list[tuple[str, bool]]:
    return [(piece.text.strip(), piece.whole) for piece in pieces]


def _latin(text: str) -> str:
    """The text with spaces in place of letters that cannot be read."""
    return "".join(" " if _LETTER.match(sign) and not readable(sign) else sign for sign in text)
