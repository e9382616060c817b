"""Frame-level phoneme accuracy of a recogniser, compared with linear classifiers on log-mels."""

from typing import Literal, NamedTuple, get_args

import torch
from pydantic import Field
from torch import Tensor

import vocoder
from vocoder import tables
from vocoder.config import FeatureConfig, StrictModel
from vocoder.corpus.frame_labels import FRAME_LABELS, SILENCE, read_labelled
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.shards import aligned_utterances
from vocoder.corpus.utterances import Split
from vocoder.errors import RecogniserError
from vocoder.evaluation.linear_classifier import LinearClassifier
from vocoder.features.mel import log_mel
from vocoder.progress import track
from vocoder.recognition.model import PhonemeRecogniser, RecogniserConfig
from vocoder.recognition.recogniser import RecogniserManifest, posteriors

WINDOW_S = 0.025
"""Window of the log-mels, the usual one in speech recognition."""

Classifier = Literal["recogniser", "linear_context", "linear", "most_frequent"]
CLASSIFIERS: tuple[Classifier, ...] = get_args(Classifier)
CONTEXTS: dict[Classifier, int] = {"linear_context": 5, "linear": 0}
"""Context frames on either side for each linear classifier."""

LABELS: dict[Classifier, str] = {
    "recogniser": "recogniser on raw audio",
    "linear_context": "linear, 11 frames of log-mel",
    "linear": "linear, 1 frame of log-mel",
    "most_frequent": "most frequent label",
}
MEASURES = {
    "accuracy": "frame accuracy",
    "balanced_accuracy": "balanced over labels",
    "phoneme_accuracy": "without silence",
}
ALL_SPEAKERS = "all"


class FrameScore(StrictModel):
    """Accuracy of one classifier on one speaker's held-out frames."""

    speaker: str = Field(description=f"speaker of the frames, or {ALL_SPEAKERS}")
    classifier: Classifier = Field(description="classifier that labels them")
    frames: int = Field(ge=1, description="number of frames")
    accuracy: float = Field(description="fraction of frames labelled correctly")
    balanced_accuracy: float = Field(description="mean accuracy over the labels that occur")
    phoneme_accuracy: float = Field(description="accuracy over frames that are not silence")


class LinearFit(StrictModel):
    """How a linear classifier was trained."""

    context: int = Field(description="context frames on either side")
    iterations: int = Field(description="iterations of the optimiser")
    nats: float = Field(description="mean cross-entropy of the training frames")


class FrameEvaluation(StrictModel):
    """The result of :func:`evaluate_frames`."""

    recogniser: str = Field(description="id of the recogniser")
    weights: str = Field(description="SHA-256 of its weights")
    steps: int = Field(description="optimiser steps it was trained for")
    code_version: str = Field(description="version of this package")
    split: Split = Field(description="held-out part of the corpus")
    frame_ms: float = Field(description="length of a frame")
    labels: tuple[str, ...] = Field(description="possible labels of a frame")
    training_frames: int = Field(description="frames the linear classifiers were trained on")
    fits: dict[Classifier, LinearFit] = Field(description="how the linear classifiers were trained")
    scores: tuple[FrameScore, ...] = Field(description="one per classifier and speaker")


class Recording(NamedTuple):
    """Frames of one recording.

    Attributes:
        speaker: name of the speaker.
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
    """Label the held-out frames of a corpus with the recogniser and with linear classifiers.

    The linear classifiers are trained on the train split. All classifiers label the same frames.
    The log-mels are computed at the recogniser's frame rate, with each window centred on its frame.

    Raises:
        RecogniserError: the recogniser's labels or sample rate differ from the corpus's, or there
            is nothing held out.
        CorpusError: the corpus is not aligned.
    """
    config = model.config
    if config.labels != FRAME_LABELS or config.sample_rate_hz != corpus.features.sample_rate_hz:
        raise RecogniserError(
            f"{corpus.folder}: has {corpus.features.sample_rate_hz} Hz and {len(FRAME_LABELS)} "
            f"labels, the recogniser {config.sample_rate_hz} Hz and {len(config.labels)} labels; "
            "train the recogniser on this corpus"
        )
    split: Split = "test" if aligned_utterances(corpus, "test") else "validation"
    held_out = _read(corpus, split, config)
    training = _read(corpus, "train", config) if held_out else []
    if not training:
        raise RecogniserError(
            f"{corpus.folder}: no aligned utterances held out, or none to train on"
        )
    fits: dict[Classifier, LinearFit] = {}
    found = {"recogniser": [posteriors(model, each.audio).argmax(1) for each in held_out]}
    for name, context in CONTEXTS.items():
        classifier = LinearClassifier(context, len(FRAME_LABELS))
        fit = classifier.fit([each.mel for each in training], [each.labels for each in training])
        fits[name] = LinearFit(context=context, **fit._asdict())
        found[name] = [classifier(each.mel).argmax(1) for each in held_out]
    counts = torch.cat([each.labels for each in training]).bincount()
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
            for speaker in (*speakers, ALL_SPEAKERS)
        ),
    )


def _read(corpus: Corpus, split: Split, config: RecogniserConfig) -> list[Recording]:
    """The recordings of a split with their labels and log-mels."""
    mels = FeatureConfig(
        sample_rate_hz=config.sample_rate_hz,
        win_length=round(WINDOW_S * config.sample_rate_hz),
        hop_length=config.pool,
        f_max_hz=config.sample_rate_hz / 2,
    )
    recordings, pairs = [], aligned_utterances(corpus, split)
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
        if speaker in (each.speaker, ALL_SPEAKERS)
    ]
    wanted, given = (torch.cat(parts) for parts in zip(*chosen, strict=True))
    correct = wanted == given
    count, hits = wanted.bincount(), wanted[correct].bincount(minlength=int(wanted.max()) + 1)
    return FrameScore(
        speaker=speaker,
        classifier=classifier,
        frames=len(wanted),
        accuracy=float(correct.float().mean()),
        balanced_accuracy=float((hits[count > 0] / count[count > 0]).mean()),
        phoneme_accuracy=float(correct[wanted != FRAME_LABELS.index(SILENCE)].float().mean()),
    )


def summary(evaluation: FrameEvaluation) -> str:
    """The scores as plain text for a terminal."""
    speakers = list(dict.fromkeys(score.speaker for score in evaluation.scores))
    frames = {score.speaker: score.frames for score in evaluation.scores}
    rows = []
    for field, title in MEASURES.items():
        rows.append([title, *("" for _ in speakers)])
        for classifier, label in LABELS.items():
            own = {s.speaker: s for s in evaluation.scores if s.classifier == classifier}
            rows.append([f"  {label}", *(f"{getattr(own[name], field):.3f}" for name in speakers)])
    rows.append(["frames", *(f"{frames[speaker]:,}" for speaker in speakers)])
    lines = [
        f"recogniser {evaluation.recogniser} after {evaluation.steps} steps: "
        f"{evaluation.frame_ms:g} ms frames of the {evaluation.split} split, "
        f"{len(evaluation.labels)} labels",
        tables.plain(["", *speakers], rows),
    ]
    for name, fit in evaluation.fits.items():
        lines.append(
            f"{LABELS[name]}: trained on {evaluation.training_frames:,} frames in "
            f"{fit.iterations} iterations, {fit.nats:.3f} nats per frame"
        )
    return "\n".join(lines)
