"""Text to sentences of phonemes: what the acoustic model reads."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vocoder.errors import SilentTextError, TextError
from vocoder.text import sentences as splitting
from vocoder.text.characters import SIGN_MARK, WORD_MARK, readable, script
from vocoder.text.markdown import without_markdown
from vocoder.text.marked import Lexicon, Manner, Mark, MarkedText, Pronounced
from vocoder.text.normalisation.normalise import STRENGTH, normalise
from vocoder.text.pronunciation.pronouncer import Pronouncer, Pronunciation
from vocoder.text.ssml import read_ssml
from vocoder.text.utterance import PAUSES, Sentence, Word

_log = logging.getLogger(__name__)

_TOKEN = re.compile(rf"[{WORD_MARK}{SIGN_MARK}]|[,.?!]|[^\s{WORD_MARK}{SIGN_MARK},.?!]+")
_LETTER = re.compile(r"[^\W\d_]")
_SPACE = re.compile(r"[ \n]+")
_UNREADABLE_SHOWN = 40


@dataclass
class _Draft:
    """A word before it is pronounced."""

    text: str
    manner: Manner
    phonemes: Pronunciation = ()
    pause: str = ""
    break_s: float | None = None


class TextFrontEnd:
    """Turns text into sentences of words with phonemes. Safe to use from several threads."""

    def __init__(self, lexicon: Mapping[str, str] | None = None) -> None:
        """Read American English.

        Args:
            lexicon: words and their IPA, which come before all others; case is ignored. They are
                found in the text as it is written, so ``C3PO`` and ``Node.js`` may be words.

        Raises:
            TextError: one of them is no IPA.
        """
        self._lexicon = Lexicon(lexicon or {})
        self._pronouncer = Pronouncer(lexicon)

    def sentences(self, text: str, *, ssml: bool = False, whole: bool = True) -> Iterator[Sentence]:
        """Sentences of a text, lazily: the first does not wait for the last.

        Args:
            text: plain text, in which ``[[həˈloʊ]]`` is a word in the IPA, or SSML.
            ssml: whether it is SSML.
            whole: whether a sentence ends with the text; false where it was cut for its length.

        Raises:
            TextError: at the first sentence: nothing to speak, letters that are mostly not Latin,
                or markup that cannot be read; says what would be right.
        """
        marked = MarkedText(self._lexicon)
        if ssml:
            read_ssml(text, marked)
            clean = _SPACE.sub(" ", marked.text)
        else:
            marked.add(text)
            clean = without_markdown(marked.text)
        clean = _readable(clean)
        found = False
        for sentence in self._sentences(clean, marked.marks, whole):
            found = True
            yield sentence
        if not found:
            raise SilentTextError(_why_silent(text, ssml))

    def _sentences(self, text: str, marks: Sequence[Mark], whole: bool) -> Iterator[Sentence]:
        manner, used = Manner(), 0
        silence = 0.0
        for piece in splitting.split(text, whole=whole):
            normal = normalise(piece.text)
            drafts: list[_Draft] = []
            for token in _TOKEN.findall(normal):
                if token in (WORD_MARK, SIGN_MARK):
                    mark, used = marks[used], used + 1
                    if isinstance(mark, Manner):
                        manner = mark
                    elif isinstance(mark, Pronounced):
                        drafts.append(_Draft(mark.text, manner, mark.phonemes))
                    elif drafts:
                        drafts[-1].break_s = (drafts[-1].break_s or 0.0) + mark.seconds
                    else:
                        silence += mark.seconds
                elif token not in PAUSES:
                    drafts.append(_Draft(token, manner))
                elif drafts:
                    drafts[-1].pause = max(drafts[-1].pause, token, key=STRENGTH.__getitem__)
            for words in self._spoken(drafts, piece.whole):
                yield Sentence(words, silence)
                silence = 0.0

    def _spoken(self, drafts: Sequence[_Draft], whole: bool) -> Iterator[tuple[Word, ...]]:
        """Words of each sentence that the drafts make."""
        if not drafts:
            return
        pronounced = self._pronouncer.pronounce([draft.text for draft in drafts])
        words = [
            Word(
                draft.text,
                draft.phonemes or phonemes,
                draft.pause,
                draft.break_s,
                draft.manner.rate,
                draft.manner.pitch,
            )
            for draft, phonemes in zip(drafts, pronounced, strict=True)
        ]
        last = words[-1].pause
        words[-1] = replace(words[-1], pause=last if last in PAUSES[1:] else "." if whole else ",")
        for part in splitting.shorten(words):
            if not part[-1].pause:
                part[-1] = replace(part[-1], pause=",")
            yield tuple(part)


def _readable(text: str) -> str:
    """The text without letters that are not Latin.

    Raises:
        TextError: half of its letters or more are not.
    """
    letters = _LETTER.findall(text)
    unknown = [letter for letter in letters if not readable(letter)]
    if not unknown:
        return text
    shown = "".join(unknown[:_UNREADABLE_SHOWN])
    if 2 * len(unknown) >= len(letters):
        raise TextError(
            f"text: most of its letters are {script(unknown[0])} ({shown!r}); this voice reads "
            f"English in Latin letters"
        )
    _log.warning("left out %d letters that are not Latin: %r", len(unknown), shown)
    unreadable = set(unknown)
    return "".join(" " if sign in unreadable else sign for sign in text)


def _why_silent(text: str, ssml: bool) -> str:
    if not text.strip():
        return "text: it is empty; expected something to speak"
    if ssml:
        return "text: the SSML holds nothing to speak; expected words inside <speak>"
    return (
        f"text: {ascii(text.strip())[:_UNREADABLE_SHOWN]} holds nothing to speak: only "
        f"punctuation, emoji or invisible characters; expected words or numbers"
    )
