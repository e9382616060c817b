"""Where naturalness is lost: held-out sentences at five stages between a recording and a text.

At each stage one more part of the speech is predicted instead of recorded. Judging the folders of
audio tells which part to work on; two measures of the spectrum, which need no judge, go with them.
"""

import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import scipy.fft
import torch
from pydantic import Field

import vocoder
from vocoder import files, tables
from vocoder.acoustic.model import Prosody, energy_of
from vocoder.acoustic.rendering import render
from vocoder.audio import io as audio
from vocoder.audio.io import PCM_16_LEVELS, Samples
from vocoder.config import FeatureConfig, StrictModel
from vocoder.corpus.alignment import AlignedUtterance
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.shards import aligned_utterances
from vocoder.corpus.utterances import Split, Utterance
from vocoder.errors import CorpusError, TextError
from vocoder.features.feature_file import Features
from vocoder.features.mel import log_mel
from vocoder.progress import track
from vocoder.synthesis.synthesizer import Request, Synthesizer
from vocoder.voices.voice import Voice

Stage = Literal["recording", "copy", "own_prosody", "own_durations", "predicted"]
STAGES: dict[Stage, str] = {
    "recording": "recording",
    "copy": "copy of its mel",
    "own_prosody": "mel predicted from its durations, F0 and energy",
    "own_durations": "its durations, F0 and energy predicted",
    "predicted": "all predicted",
}
"""The stages and their descriptions, in order."""

TEXTS_FILE = "texts.txt"
BATCH = 8
SPEECH_RANGE = 9.2
"""Frames within this of an utterance's loudest count as speech, in nats: 40 dB."""

CEPSTRUM = slice(2, 25)
"""Coefficients that describe formants: neither level and tilt, nor single bands."""


class StageMetrics(StrictModel):
    """Measures of the audio's log-mel at one stage, over frames of speech."""

    contrast: float = Field(
        description="standard deviation over bands of the cepstrally smoothed spectrum, nats"
    )
    motion: float = Field(description="mean change of a band from frame to frame, nats")


class Decomposition(StrictModel):
    """The result of :func:`decompose`."""

    format: Literal[1] = Field(1, description="version of this format")
    code_version: str = Field(description="version of this package")
    voice: str = Field(description="id of the voice")
    weights: dict[str, str] = Field(description="SHA-256 of its weights")
    seed: int = Field(ge=0, description="seed of all noise")
    sentences: dict[str, int] = Field(description="number of sentences per speaker")
    speakers: dict[str, dict[Stage, StageMetrics]] = Field(description="measures by stage")


class _Case(NamedTuple):
    utterance: Utterance
    aligned: AlignedUtterance


def decompose(
    voice: Voice,
    corpus: Corpus,
    folder: Path,
    *,
    splits: tuple[Split, ...] = ("validation", "test"),
    per_speaker: int = 20,
    seed: int = 0,
) -> Decomposition:
    """Write held-out sentences at each stage, as ``folder/SPEAKER/STAGE/ID.wav``.

    ``folder/texts.txt`` has a line ``ID|text`` for each of them.

    Args:
        voice: a voice with an acoustic model.
        corpus: aligned, and prepared with F0 and the voice's feature settings.
        folder: to write to.
        splits: held-out parts of the corpus.
        per_speaker: sentences per speaker, one per prompt.
        seed: seed of all noise.

    Raises:
        UserError: the voice has no acoustic model, or the corpus is not aligned or lacks F0.
    """
    if voice.acoustic is None:
        raise TextError(
            f"voice {voice.id} has no acoustic model, so it cannot read text", param="voice"
        )
    synthesizer = Synthesizer()
    texts: dict[str, str] = {}
    sentences: dict[str, int] = {}
    speakers: dict[str, dict[Stage, StageMetrics]] = {}
    for speaker in corpus.speakers:
        cases = _cases(corpus, splits, speaker)[:per_speaker]
        sentences[speaker] = len(cases)
        texts |= {case.utterance.id: case.utterance.text or "" for case in cases}
        speakers[speaker] = {}
        for stage in STAGES:
            sounds = _sounds(stage, voice, corpus, cases, synthesizer, seed)
            for case, samples in zip(cases, sounds, strict=True):
                path = folder / speaker / stage / f"{case.utterance.id}.wav"
                audio.write(path, samples, voice.config.features.sample_rate_hz)
            speakers[speaker][stage] = _measure(sounds, voice.config.features)
    lines = [f"{name}|{text}\n" for name, text in sorted(texts.items())]
    files.write_text(folder / TEXTS_FILE, "".join(lines))
    return Decomposition(
        code_version=vocoder.__version__,
        voice=voice.id,
        weights=voice.manifest.weights,
        seed=seed,
        sentences=sentences,
        speakers=speakers,
    )


def summary(found: Decomposition) -> str:
    """The measures as plain text: a row per stage, two columns per speaker."""
    kinds = tuple(StageMetrics.model_fields)
    header = ["", *(f"{name} {kind}" for name in found.speakers for kind in kinds)]
    rows = []
    for stage, description in STAGES.items():
        stages = [found.speakers[name][stage] for name in found.speakers]
        values = [value for own in stages for value in (own.contrast, own.motion)]
        rows.append([description, *(f"{value:.3f}" for value in values)])
    return tables.plain(header, rows)


def _cases(corpus: Corpus, splits: Sequence[Split], speaker: str) -> list[_Case]:
    chosen: dict[str, _Case] = {}
    for split in splits:
        for utterance, aligned in aligned_utterances(corpus, split):
            if utterance.speaker == speaker:
                chosen.setdefault(utterance.prompt, _Case(utterance, aligned))
    if not chosen:
        raise CorpusError(f"{corpus.folder}: speaker {speaker} has no aligned held-out utterance")
    return list(chosen.values())


def _sounds(
    stage: Stage,
    voice: Voice,
    corpus: Corpus,
    cases: Sequence[_Case],
    synthesizer: Synthesizer,
    seed: int,
) -> list[Samples]:
    if stage == "recording":
        return [_recording(corpus, case) for case in cases]
    speaker = cases[0].utterance.speaker
    features = [_features(stage, voice, corpus, case, seed) for case in cases]
    requests = [Request(one, speaker, seed) for one in features]
    batches = [requests[i : i + BATCH] for i in range(0, len(requests), BATCH)]
    done = track(batches, f"{speaker}: {STAGES[stage]}", len(batches))
    return [one for batch in done for one in synthesizer.vocode_many(batch, voice=voice)]


def _recording(corpus: Corpus, case: _Case) -> Samples:
    pcm, _ = corpus.read(case.utterance)
    return np.asarray(pcm.numpy() / np.float32(PCM_16_LEVELS), dtype=np.float32)


def _features(stage: Stage, voice: Voice, corpus: Corpus, case: _Case, seed: int) -> Features:
    _, mel = corpus.read(case.utterance)
    if stage == "copy":
        return Features(mel, corpus.features)
    assert voice.acoustic is not None
    speaker = voice.speaker_index(case.utterance.speaker)
    rendered = partial(
        render,
        voice.acoustic,
        case.aligned.read_sentence,
        speaker,
        seed=seed,
        contrast=voice.contrast(speaker),
    )
    durations = torch.tensor(case.aligned.durations)
    if stage == "predicted":
        rendering = rendered()
    elif stage == "own_durations":
        rendering = rendered(durations=durations)
    else:
        log_f0, voiced = corpus.read_log_f0(case.utterance)
        prosody = Prosody(log_f0[None], voiced[None], energy_of(mel)[None])
        rendering = rendered(durations=durations, prosody=prosody)
    return rendering.features(corpus.features)


def _measure(sounds: Sequence[Samples], config: FeatureConfig) -> StageMetrics:
    found = [_contrast_and_motion(samples, config) for samples in sounds]
    return StageMetrics(
        contrast=statistics.fmean(contrast for contrast, _ in found),
        motion=statistics.fmean(motion for _, motion in found),
    )


def _contrast_and_motion(samples: Samples, config: FeatureConfig) -> tuple[float, float]:
    mel = log_mel(torch.from_numpy(samples), config)
    loudness = mel.logsumexp(0)
    speech = (loudness > loudness.max() - SPEECH_RANGE).numpy()
    cepstrum = scipy.fft.dct(mel.numpy(), axis=0, norm="ortho")[CEPSTRUM]
    contrast = np.sqrt(np.square(cepstrum).sum(0) / config.n_mels)[speech].mean()
    motion = np.abs(np.diff(mel.numpy(), axis=1)).mean(0)[speech[1:] & speech[:-1]].mean()
    return float(contrast), float(motion)
