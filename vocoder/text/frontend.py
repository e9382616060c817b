"""The text front end: text to sentences of words with phonemes, the acoustic model's input."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vocoder.errors import SilentTextError, TextError
from vocoder.text.characters import SILENT_MARK, WORD_MARK, is_readable, script
from vocoder.text.markdown import without_markdown
from vocoder.text.marked_text import Lexicon, Mark, MarkedText, PronouncedWord, Prosody
from vocoder.text.normalisation.normalise import STRENGTH, normalise
from vocoder.text.pronunciation.pronouncer import Pronouncer, Pronunciation
from vocoder.text.sentences import split_long_sentence, split_sentences
from vocoder.text.ssml import read_ssml
from vocoder.text.utterance import PAUSES, Sentence, Word

_log = logging.getLogger(__name__)

_TOKEN = re.compile(rf"[{WORD_MARK}{SILENT_MARK}]|[,.?!]|[^\s{WORD_MARK}{SILENT_MARK},.?!]+")
_LETTER = re.compile(r"[^\W\d_]")
_SPACE = re.compile(r"[ \n]+")
_UNREADABLE_SHOWN = 40


@dataclass
class _Draft:
    """A word before it is pronounced."""

    text: str
    prosody: Prosody
    phonemes: Pronunciation = ()
    pause: str = ""
    break_s: float | None = None


class TextFrontEnd:
    """Turns text into sentences of words with phonemes. Safe to use from several threads."""

    def __init__(self, lexicon: Mapping[str, str] | None = None) -> None:
        """Create a front end for American English.

        Args:
            lexicon: words and their IPA, which override the built-in lexicon; case is ignored.
                They are matched before normalisation, so ``C3PO`` and ``Node.js`` work as words.

        Raises:
            TextError: if a pronunciation is not valid IPA.
        """
        self._lexicon = Lexicon(lexicon or {})
        self._pronouncer = Pronouncer(lexicon)

    def sentences(
        self, text: str, *, ssml: bool = False, complete: bool = True
    ) -> Iterator[Sentence]:
        """Sentences of a text, lazily: the first is ready before the last is read.

        Args:
            text: plain text, in which ``[[həˈloʊ]]`` is a word given in IPA, or SSML.
            ssml: whether the text is SSML.
            complete: whether the end of the text ends a sentence; false for text that was cut
                because it is too long.

        Raises:
            TextError: when the first sentence is requested, if the text has nothing to speak, is
                mostly in a non-Latin script, or has invalid markup.
        """
        marked = MarkedText(self._lexicon)
        if ssml:
            read_ssml(text, marked)
            clean = _SPACE.sub(" ", marked.text)
        else:
            marked.add(text)
            clean = without_markdown(marked.text)
        clean = _readable(clean)
        silent = True
        for sentence in self._sentences(clean, marked.marks, complete):
            silent = False
            yield sentence
        if silent:
            raise SilentTextError(_why_silent(text, ssml))

    def _sentences(self, text: str, marks: Sequence[Mark], complete: bool) -> Iterator[Sentence]:
        prosody, next_mark = Prosody(), 0
        silence_s = 0.0
        for raw in split_sentences(text, complete=complete):
            drafts: list[_Draft] = []
            for token in _TOKEN.findall(normalise(raw.text)):
                if token in (WORD_MARK, SILENT_MARK):
                    mark, next_mark = marks[next_mark], next_mark + 1
                    if isinstance(mark, Prosody):
                        prosody = mark
                    elif isinstance(mark, PronouncedWord):
                        drafts.append(_Draft(mark.text, prosody, mark.phonemes))
                    elif drafts:
                        drafts[-1].break_s = (drafts[-1].break_s or 0.0) + mark.seconds
                    else:
                        silence_s += mark.seconds
                elif token not in PAUSES:
                    drafts.append(_Draft(token, prosody))
                elif drafts:
                    drafts[-1].pause = max(drafts[-1].pause, token, key=STRENGTH.__getitem__)
            for words in self._pronounced(drafts, raw.complete):
                yield Sentence(words, silence_s)
                silence_s = 0.0

    def _pronounced(self, drafts: Sequence[_Draft], complete: bool) -> Iterator[tuple[Word, ...]]:
        """The words with phonemes, split where the sentence is too long."""
        if not drafts:
            return
        pronounced = self._pronouncer.pronounce([draft.text for draft in drafts])
        words = [
            Word(
                draft.text,
                draft.phonemes or phonemes,
                draft.pause,
                draft.break_s,
                draft.prosody.rate,
                draft.prosody.pitch,
            )
            for draft, phonemes in zip(drafts, pronounced, strict=True)
        ]
        last = words[-1].pause
        if last not in PAUSES[1:]:
            words[-1] = replace(words[-1], pause="." if complete else ",")
        for part in split_long_sentence(words):
            if not part[-1].pause:
                part[-1] = replace(part[-1], pause=",")
            yield tuple(part)


def _readable(text: str) -> str:
    """The text with non-Latin letters replaced by spaces.

    Raises:
        TextError: if half of the letters or more are not Latin.
    """
    letters = _LETTER.findall(text)
    unknown = [letter for letter in letters if not is_readable(letter)]
    if not unknown:
        return text
    shown = "".join(unknown[:_UNREADABLE_SHOWN])
    if 2 * len(unknown) >= len(letters):
        raise TextError(
            f"the text is mostly in {script(unknown[0])} letters ({shown!r}), and this voice reads "
            f"English only: give text in Latin letters"
        )
    _log.warning("skipped %d letters that are not Latin: %r", len(unknown), shown)
    unreadable = set(unknown)
    return "".join(" " if char in unreadable else char for char in text)


def _why_silent(text: str, ssml: bool) -> str:
    if not text.strip():
        return "the text is empty: give words or numbers to speak"
    if ssml:
        return "the SSML has nothing to speak: put words inside <speak>"
    return (
        f"the text {ascii(text.strip())[:_UNREADABLE_SHOWN]} has nothing to speak, only "
        f"punctuation, emoji or invisible characters: give words or numbers"
    )
