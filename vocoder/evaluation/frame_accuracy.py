"""Phoneme accuracy of a recogniser, frame by frame, beside linear classifiers on log-mels."""

from typing import Literal, NamedTuple, get_args

import torch
from pydantic import Field
from torch import Tensor

import vocoder
from vocoder.config import FeatureConfig, StrictModel
from vocoder.corpus.frame_labels import FRAME_LABELS, SILENCE, read_labelled
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.shards import aligned_of
from vocoder.corpus.utterances import Split
from vocoder.errors import RecogniserError
from vocoder.evaluation.linear_classifier import LinearClassifier
from vocoder.features.mel import log_mel
from vocoder.progress import track
from vocoder.recognition.model import PhonemeRecogniser, RecogniserConfig
from vocoder.recognition.recogniser import RecogniserManifest, posteriors

WINDOW_S = 0.025
"""Window of the log-mels, as is usual in recognition."""

Classifier = Literal["recogniser", "linear_context", "linear", "most_frequent"]
CLASSIFIERS: tuple[Classifier, ...] = get_args(Classifier)
CONTEXTS: dict[Classifier, int] = {"linear_context": 5, "linear": 0}
"""Frames on either side that each linear classifier sees."""

LABELS: dict[Classifier, str] = {
    "recogniser": "recogniser, raw audio",
    "linear_context": "linear, 11 frames of log-mel",
    "linear": "linear, 1 frame of log-mel",
    "most_frequent": "the most frequent label",
}
MEASURES = {
    "accuracy": "frame accuracy",
    "balanced_accuracy": "balanced over labels",
    "phoneme_accuracy": "without silence",
}
EVERYONE = "all"


class FrameScore(StrictModel):
    """One classifier on one speaker's held-out frames."""

    speaker: str = Field(description=f"whose frames, or {EVERYONE}")
    classifier: Classifier = Field(description="who labels them")
    frames: int = Field(ge=1, description="how many")
    accuracy: float = Field(description="share of frames with the right label")
    balanced_accuracy: float = Field(description="mean over the labels that occur of their share")
    phoneme_accuracy: float = Field(description="share among frames that are not silence")


class LinearFit(StrictModel):
    """How a linear classifier was trained."""

    context: int = Field(description="frames on either side")
    passes: int = Field(description="over the training frames")
    nats: float = Field(description="cross-entropy of the training frames in the last pass")
    gain_nats: float = Field(description="by which the last pass lowered it")


class FrameEvaluation(StrictModel):
    """Everything that was measured."""

    recogniser: str = Field(description="its name")
    weights: str = Field(description="SHA-256 of its weights")
    steps: int = Field(description="optimiser steps it was trained for")
    code_version: str = Field(description="version of this package")
    split: Split = Field(description="held-out part of the corpus")
    frame_ms: float = Field(description="length of a frame")
    labels: tuple[str, ...] = Field(description="what a frame may be")
    training_frames: int = Field(description="frames that the linear classifiers learned from")
    fits: dict[Classifier, LinearFit] = Field(description="how the linear classifiers were trained")
    scores: tuple[FrameScore, ...] = Field(description="by speaker and classifier")


class Recording(NamedTuple):
    """Frames of one recording.

    Attributes:
        speaker: who speaks.
        audio: (F * pool,).
        mel: log-mel at the recogniser's frame rate (n_mels, F).
        labels: (F,), int64.
    """

    speaker: str
    audio: Tensor
    mel: Tensor
    labels: Tensor


def evaluate_frames(
    model: PhonemeRecogniser, manifest: RecogniserManifest, corpus: Corpus
) -> FrameEvaluation:
    """Label the held-out frames of a corpus, and train and try the linear classifiers.

    All label the same frames. The log-mels are made anew at the recogniser's frame rate, each
    window centred on the middle of its frame.

    Raises:
        RecogniserError: the recogniser has other labels or another rate, or nothing is held out.
        CorpusError: the corpus is not aligned.
    """
    config = model.config
    if config.labels != FRAME_LABELS or config.sample_rate_hz != corpus.features.sample_rate_hz:
        raise RecogniserError(
            f"{corpus.folder}: {corpus.features.sample_rate_hz} Hz, the recogniser has "
            f"{config.sample_rate_hz} Hz and {len(config.labels)} labels: train it on this corpus"
        )
    split: Split = "test" if aligned_of(corpus, "test") else "validation"
    held_out = _read(corpus, split, config)
    learned = _read(corpus, "train", config) if held_out else []
    if not learned:
        raise RecogniserError(f"{corpus.folder}: nothing aligned is held out, or to train on")
    fits: dict[Classifier, LinearFit] = {}
    found = {"recogniser": [posteriors(model, each.audio).argmax(1) for each in held_out]}
    for name, context in CONTEXTS.items():
        classifier = LinearClassifier(context, len(FRAME_LABELS))
        fit = classifier.fit([each.mel for each in learned], [each.labels for each in learned])
        fits[name] = LinearFit(context=context, **fit._asdict())
        found[name] = [classifier(each.mel).argmax(1) for each in held_out]
    counts = torch.cat([each.labels for each in learned]).bincount()
    found["most_frequent"] = [
        torch.full_like(each.labels, int(counts.argmax())) for each in held_out
    ]
    speakers = sorted({each.speaker for each in held_out})
    return FrameEvaluation(
        recogniser=manifest.id,
        weights=manifest.weights,
        steps=manifest.provenance.steps,
        code_version=vocoder.__version__,
        split=split,
        frame_ms=1000 / config.frame_rate_hz,
        labels=FRAME_LABELS,
        training_frames=int(counts.sum()),
        fits=fits,
        scores=tuple(
            _score(name, speaker, held_out, found[name])
            for name in CLASSIFIERS
            for speaker in (*speakers, EVERYONE)
        ),
    )


def _read(corpus: Corpus, split: Split, config: RecogniserConfig) -> list[Recording]:
    """Recordings of a split with their labels and their log-mels."""
    mels = FeatureConfig(
        sample_rate_hz=config.sample_rate_hz,
        win_length=round(WINDOW_S * config.sample_rate_hz),
        hop_length=config.pool,
        f_max_hz=config.sample_rate_hz / 2,
    )
    recordings, pairs = [], aligned_of(corpus, split)
    for utterance, aligned in track(pairs, f"analysing {split}", len(pairs)):
        audio, labels = read_labelled(corpus, utterance, aligned, config.pool)
        recordings.append(Recording(utterance.speaker, audio, log_mel(audio, mels), labels))
    return recordings


def _score(
    classifier: Classifier, speaker: str, held_out: list[Recording], found: list[Tensor]
) -> FrameScore:
    chosen = [
        (each.labels, labels)
        for each, labels in zip(held_out, found, strict=True)
        if speaker in (each.speaker, EVERYONE)
    ]
    wanted, given = (torch.cat(parts) for parts in zip(*chosen, strict=True))
    right = wanted == given
    count, hits = wanted.bincount(), wanted[right].bincount(minlength=int(wanted.max()) + 1)
    return FrameScore(
        speaker=speaker,
        classifier=classifier,
        frames=len(wanted),
        accuracy=float(right.float().mean()),
        balanced_accuracy=float((hits[count > 0] / count[count > 0]).mean()),
        phoneme_accuracy=float(right[wanted != FRAME_LABELS.index(SILENCE)].float().mean()),
    )


def summary(evaluation: FrameEvaluation) -> str:
    """The table as plain text, for a terminal."""
    speakers = list(dict.fromkeys(score.speaker for score in evaluation.scores))
    frames = {score.speaker: score.frames for score in evaluation.scores}
    lines = [
        f"recogniser {evaluation.recogniser} after {evaluation.steps} steps: "
        f"{evaluation.frame_ms:g} ms frames of the {evaluation.split} split, "
        f"{len(evaluation.labels)} labels",
    ]
    for field, title in MEASURES.items():
        lines.append(f"{title:32}" + "".join(f"{speaker:>12}" for speaker in speakers))
        for classifier, label in LABELS.items():
            own = {s.speaker: s for s in evaluation.scores if s.classifier == classifier}
            numbers = (f"{getattr(own[speaker], field):>12.3f}" for speaker in speakers)
            lines.append(f"  {label:30}" + "".join(numbers))
    lines.append(f"{'frames':32}" + "".join(f"{frames[speaker]:>12,}" for speaker in speakers))
    for name, fit in evaluation.fits.items():
        lines.append(
            f"{LABELS[name]}: {fit.passes} passes over {evaluation.training_frames:,} frames, "
            f"{fit.nats:.3f} nats a frame, the last pass gained {fit.gain_nats:.4f}"
        )
    return "\n".join(lines)
