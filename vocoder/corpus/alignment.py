"""The alignment files of a prepared corpus, written by ``vocoder align`` and read by training.

``alignment.jsonl`` has one aligned utterance per line; ``unaligned.jsonl`` lists the skipped
utterances with the reason.
"""

from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from vocoder.config import StrictModel
from vocoder.corpus.manifest import Corpus, read_lines
from vocoder.corpus.utterances import ReadableCorpus, Utterance
from vocoder.errors import CorpusError
from vocoder.text.linguistic import Phones, frame_features, phones
from vocoder.text.pronunciation.pronouncer import parse_ipa
from vocoder.text.utterance import PAUSES, Sentence, Word

ALIGNMENT_FILE = "alignment.jsonl"
UNALIGNED_FILE = "unaligned.jsonl"
REPORT_FILE = "alignment.html"

UnalignedReason = Literal["no_transcript", "unreadable_text", "too_short", "low_score"]


class AlignedWord(StrictModel):
    """A word of the transcript as it was spoken."""

    text: str = Field(min_length=1, description="spelling in the normalised text")
    ipa: str = Field(min_length=1, description="phonemes with stress marks, separated by spaces")
    pause: str = Field("", description="punctuation after it")
    paused: bool = Field(
        False, description="whether the speaker paused after it without punctuation"
    )


class AlignedUtterance(StrictModel):
    """One line of ``alignment.jsonl``."""

    speaker: str = Field(description="as in the manifest")
    id: str = Field(description="as in the manifest")
    words: tuple[AlignedWord, ...] = Field(min_length=1, description="in order")
    durations: tuple[int, ...] = Field(description="frames of each phone and pause")
    score: float = Field(description="mean log-probability of the phones at their frames")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        count = 1 + sum(
            len(word.ipa.split()) + bool(word.pause or word.paused) for word in self.words
        )
        if len(self.durations) != count or min(self.durations) < 1:
            raise ValueError(f"expected {count} durations of at least 1 frame")
        if any(word.pause not in ("", *PAUSES) for word in self.words):
            raise ValueError(f"a pause is not one of {' '.join(PAUSES)}")
        return self

    @property
    def sentence(self) -> Sentence:
        """The sentence as in the text."""
        return Sentence(tuple(Word(w.text, parse_ipa(w.ipa), w.pause) for w in self.words))

    @property
    def read_sentence(self) -> Sentence:
        """The same sentence with a comma wherever the speaker paused without punctuation."""
        return Sentence(
            tuple(
                Word(w.text, parse_ipa(w.ipa), w.pause or ("," if w.paused else ""))
                for w in self.words
            )
        )

    @property
    def phones(self) -> Phones:
        """The phones as they were spoken, including pauses without punctuation."""
        paused = frozenset(index for index, word in enumerate(self.words) if word.paused)
        return phones(self.sentence, paused)


class Unaligned(StrictModel):
    """One line of ``unaligned.jsonl``."""

    speaker: str = Field(description="as in the manifest")
    id: str = Field(description="as in the manifest")
    reason: UnalignedReason = Field(description="kind of problem")
    detail: str = Field(description="details")


def read_linguistic(
    corpus: ReadableCorpus, utterance: Utterance, aligned: AlignedUtterance
) -> Tensor:
    """Linguistic features (C, F) of a recording, with its own durations and F0.

    Raises:
        CorpusError: the corpus was prepared without F0.
    """
    phones, durations = aligned.phones, torch.tensor(aligned.durations)
    rows = (phones.symbols, phones.context, durations, *corpus.read_log_f0(utterance))
    return frame_features(*(row[None] for row in rows))[0]


def read_alignment(corpus: Corpus) -> dict[tuple[str, str], AlignedUtterance]:
    """The aligned utterances by speaker and id.

    Raises:
        CorpusError: the corpus is not aligned, or the alignment is damaged or of other recordings.
    """
    path = corpus.folder / ALIGNMENT_FILE
    if not path.is_file():
        raise CorpusError(
            f"{corpus.folder}: not aligned (no {ALIGNMENT_FILE}); "
            f"align it with: vocoder align {corpus.folder}"
        )
    aligned = [AlignedUtterance.parse(data, where) for data, where in read_lines(path)]
    frames = {(u.speaker, u.id): u.frames for u in corpus.utterances}
    for utterance in aligned:
        key = utterance.speaker, utterance.id
        if frames.get(key) != sum(utterance.durations):
            raise CorpusError(
                f"{path}: {'/'.join(key)} has {sum(utterance.durations)} frames, the corpus has "
                f"{frames.get(key, 'no such utterance')}; run vocoder align again"
            )
    return {(u.speaker, u.id): u for u in aligned}
