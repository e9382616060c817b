"""Align a prepared corpus: read its transcripts, train an aligner on it, and time every phone.

It needs neither a pretrained aligner nor known durations.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from vocoder.alignment import boundaries
from vocoder.alignment import report as alignment_report
from vocoder.alignment.model import Aligner, repeats
from vocoder.alignment.task import AlignerTask, LabelledRecording
from vocoder.audio.io import PCM_16_LEVELS
from vocoder.corpus.alignment import (
    ALIGNMENT_FILE,
    UNALIGNED_FILE,
    AlignedUtterance,
    AlignedWord,
    Unaligned,
)
from vocoder.corpus.manifest import Corpus, write_lines
from vocoder.corpus.utterances import Utterance
from vocoder.errors import CorpusError, TextError
from vocoder.machine import fast_bf16
from vocoder.progress import track
from vocoder.text.frontend import TextFrontEnd
from vocoder.text.linguistic import phones
from vocoder.text.phone_labels import SILENCE, labels_of
from vocoder.text.utterance import Sentence
from vocoder.training.config import AlignerTraining
from vocoder.training.loop import Run
from vocoder.training.process import process_group

RUN_FOLDER = "aligner"
BATCH_SIZE = 16

LOWEST_SCORE = -2.5
"""Nats per frame; below this, recording and transcript do not match."""


def align(folder: Path, *, steps: int, resume: bool = False) -> str:
    """Align the corpus in ``folder``; returns a one-line summary.

    Raises:
        CorpusError: the folder is not a prepared corpus, or no transcript could be read.
        TrainingError: the folder holds a checkpoint of another run.
    """
    corpus = Corpus.load(folder)
    sentences, unaligned = _read_transcripts(corpus)
    if not sentences:
        raise CorpusError(
            f"{folder}: no utterance has a readable transcript; add metadata.csv or .txt files to "
            "the recordings and run vocoder prepare again"
        )
    model = _train(corpus, sentences, steps=steps, resume=resume)
    found_all = [
        _align(model, corpus, utterance, sentence)
        for utterance, sentence in track(sentences, "aligning", len(sentences))
    ]
    aligned = []
    refined = _refined(corpus, sentences, found_all)
    for (utterance, _), found in zip(sentences, refined, strict=True):
        if found.score < LOWEST_SCORE:
            detail = f"score {found.score:.2f} nats per frame, expected at least {LOWEST_SCORE:g}"
            unaligned.append(_unaligned(utterance, "low_score", detail))
        else:
            aligned.append(found)
    write_lines(folder / ALIGNMENT_FILE, aligned)
    write_lines(folder / UNALIGNED_FILE, unaligned)
    page = alignment_report.write(corpus, aligned, unaligned)
    return f"{len(aligned)} utterances aligned, {len(unaligned)} skipped; report: {page}"


def _read_transcripts(
    corpus: Corpus,
) -> tuple[list[tuple[Utterance, Sentence]], list[Unaligned]]:
    front_end = TextFrontEnd()
    known: dict[str, Sentence] = {}
    sentences, unaligned = [], []
    for utterance in track(corpus.utterances, "reading transcripts", len(corpus.utterances)):
        if not utterance.text:
            unaligned.append(_unaligned(utterance, "no_transcript", "has no transcript"))
            continue
        if utterance.text not in known:
            try:
                parts = list(front_end.sentences(utterance.text))
            except TextError as error:
                unaligned.append(_unaligned(utterance, "unreadable_text", str(error)))
                continue
            known[utterance.text] = Sentence(tuple(w for part in parts for w in part.words))
        sentence = known[utterance.text]
        labels = labels_of(phones(sentence).symbols)
        if len(labels) + repeats(labels) > utterance.frames:
            detail = f"{len(labels)} phones in {utterance.frames} frames"
            unaligned.append(_unaligned(utterance, "too_short", detail))
        else:
            sentences.append((utterance, sentence))
    return sentences, unaligned


def _unaligned(utterance: Utterance, reason: str, detail: str) -> Unaligned:
    return Unaligned.model_validate(
        {"speaker": utterance.speaker, "id": utterance.id, "reason": reason, "detail": detail}
    )


def _train(
    corpus: Corpus, sentences: list[tuple[Utterance, Sentence]], *, steps: int, resume: bool
) -> Aligner:
    data = [
        LabelledRecording(corpus.read(utterance)[1], labels_of(phones(sentence).symbols))
        for utterance, sentence in track(sentences, "reading features", len(sentences))
    ]
    with process_group() as process:
        config = AlignerTraining(
            name="aligner",
            corpus=str(corpus.folder),
            output=str(corpus.folder / RUN_FOLDER),
            steps=steps,
            ctc_steps=steps // 2,
            batch_size=min(BATCH_SIZE, len(data)),
            learning_rate=2e-3,
            warm_up_steps=min(50, steps // 4),
            decay_steps=steps // 3,
            ema_decay=0.99,
            precision="bf16" if fast_bf16(process.device) else "fp32",
            checkpoint_every=max(1, steps // 4),
            validate_every=max(1, steps // 4),
        )
        torch.manual_seed(config.seed)
        run = Run(config, AlignerTask(config, corpus.features, data), process)
        run.run(resume=resume)
    model = run.averaged()
    assert isinstance(model, Aligner)
    return model


def _refined(
    corpus: Corpus,
    sentences: list[tuple[Utterance, Sentence]],
    aligned: list[AlignedUtterance],
) -> list[AlignedUtterance]:
    """The alignments with refined boundaries."""
    observed = []
    pairs = zip(sentences, aligned, strict=True)
    for (utterance, _), found in track(pairs, "reading audio", len(aligned)):
        pcm, _ = corpus.read(utterance)
        labels, durations = labels_of(found.phones.symbols), torch.tensor(found.durations)
        observations = boundaries.observe(pcm.float() / PCM_16_LEVELS, corpus.features)
        observed.append(boundaries.ObservedUtterance(observations, labels, durations))
    durations_of_all = boundaries.refine(
        observed, boundaries.observations_per_frame(corpus.features)
    )
    return [
        found.model_copy(update={"durations": tuple(durations.tolist())})
        for found, durations in zip(aligned, durations_of_all, strict=True)
    ]


def _align(
    model: Aligner, corpus: Corpus, utterance: Utterance, sentence: Sentence
) -> AlignedUtterance:
    spoken = phones(sentence)
    labels = labels_of(spoken.symbols)
    starts = (spoken.words[1:] != spoken.words[:-1]) & (labels[:-1] != SILENCE)
    starts = torch.cat((torch.tensor([False]), starts))
    durations, pauses, score = model.align(corpus.read(utterance)[1], labels, starts)
    paused = {int(spoken.words[index]) - 1 for index in pauses.nonzero()[:, 0]}
    words = tuple(
        AlignedWord(
            text=word.text,
            ipa=" ".join(map(str, word.phonemes)),
            pause=word.pause,
            paused=index in paused,
        )
        for index, word in enumerate(sentence.words)
    )
    return AlignedUtterance(
        speaker=utterance.speaker,
        id=utterance.id,
        words=words,
        durations=tuple(_with_pauses(durations, pauses)),
        score=round(score, 4),
    )


def _with_pauses(durations: Tensor, pauses: Tensor) -> Iterator[int]:
    for duration, pause in zip(durations.tolist(), pauses.tolist(), strict=True):
        if pause:
            yield pause
        yield duration
