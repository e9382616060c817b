"""Held-out likelihood of a voice, and its free-running copy synthesis compared with Griffin-Lim."""

import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from pydantic import Field

import vocoder
from vocoder.audio import io as audio
from vocoder.audio.io import PCM_16_LEVELS, Samples
from vocoder.config import GenerationConfig, StrictModel
from vocoder.corpus.alignment import read_alignment, read_linguistic
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.shards import aligned_utterances
from vocoder.corpus.utterances import Split, Utterance
from vocoder.errors import CorpusError, FeatureError, NotFoundError, UserError
from vocoder.evaluation.griffin_lim import griffin_lim
from vocoder.evaluation.metrics import Metrics, measure
from vocoder.features import f0 as pitch
from vocoder.features.feature_file import Features, check_fingerprint
from vocoder.generation.dispatch import Engine
from vocoder.generation.noise import DRAWS, MAX_SEED
from vocoder.progress import track
from vocoder.synthesis.synthesizer import Request, Synthesizer, condition
from vocoder.text.linguistic import LAYOUT
from vocoder.voices.voice import VOCODER_WEIGHTS, Voice
from vocoder.wavenet.distributions import bits

System = Literal["wavenet", "griffin_lim", "griffin_lim_strong"]
"""Copy synthesis by the voice, by Griffin-Lim as in libraries, and with better mel inversion."""

Sound = Literal["recording", "wavenet", "griffin_lim", "griffin_lim_strong"]
SYSTEMS: tuple[System, ...] = get_args(System)

AUDIO_PER_SPEAKER = 2
"""Clips per speaker whose audio is written, for the report's spectrograms and for listening."""


class Clip(StrictModel):
    """One held-out utterance and its copies."""

    speaker: str = Field(description="name of the speaker")
    id: str = Field(description="id of the utterance")
    samples: int = Field(ge=1, description="length T in samples")
    bits_per_sample: float = Field(description="negative log-likelihood, teacher-forced")
    metrics: dict[System, Metrics] = Field(description="of each system's copy")
    audio: dict[Sound, str] = Field(description="paths of the audio files; empty if not written")


class Summary(StrictModel):
    """Averages over clips."""

    clips: int = Field(ge=1, description="number of clips")
    seconds: float = Field(gt=0.0, description="their total length")
    bits_per_sample: float = Field(description="mean over all samples")
    metrics: dict[System, Metrics] = Field(description="means over the clips")


class Evaluation(StrictModel):
    """The result of :func:`evaluate`."""

    format: Literal[1] = Field(1, description="version of this format")
    code_version: str = Field(description="version of this package")
    voice: str = Field(description="id of the voice")
    digest: str = Field(description="SHA-256 of the vocoder's weights")
    generation: GenerationConfig = Field(description="sampling and post-filtering of the audio")
    distribution: Literal["mu_law", "logistics", "gaussian"] = Field(
        description="output distribution: the bits are of 8-bit mu-law codes or 16-bit samples"
    )
    engine: str = Field(description="engine that generated the audio")
    weights: str = Field(description="number format of its weights")
    split: Split = Field(description="part of the corpus")
    seed: int = Field(ge=0, description="seed of the first clip's noise; each further clip adds 1")
    sample_rate_hz: int = Field(description="sample rate of all audio")
    speakers: dict[str, Summary] = Field(description="averages per speaker")
    overall: Summary = Field(description="averages; each speaker has equal weight in the metrics")
    clips: tuple[Clip, ...] = Field(description="all clips")


class Recording(NamedTuple):
    """An utterance of a corpus: its samples (T,), and the features to synthesise it from."""

    utterance: Utterance
    samples: Samples
    features: Features


def evaluate(
    voice: Voice,
    corpus: Corpus,
    *,
    split: Split = "test",
    per_speaker: int = 15,
    seed: int = 0,
    engine: str = "auto",
    weights: str | None = None,
    audio_dir: Path | None = None,
) -> Evaluation:
    """Measure a voice on held-out clips.

    Args:
        voice: the voice to measure.
        corpus: prepared with the voice's feature settings; the voice must have all its speakers.
        split: part of the corpus.
        per_speaker: clips per speaker, spread evenly over the split; all if it has fewer.
        seed: seed of the first clip's noise.
        engine: name of an engine, or ``auto``.
        weights: number format of the engine's weights; None for the engine's default.
        audio_dir: folder for the audio of each speaker's first clips; None to write none.

    Raises:
        UserError: the corpus or an argument does not fit the voice; nothing is written.
    """
    recordings = read(voice, corpus, choose(voice, corpus, split, per_speaker))
    if not 0 <= seed <= MAX_SEED - len(recordings):
        raise UserError(
            f"seed {seed}: choose one from 0 to {MAX_SEED - len(recordings)}", param="seed"
        )
    requests = [
        Request(recording.features, recording.utterance.speaker, seed + number)
        for number, recording in enumerate(recordings)
    ]
    synthesizer = Synthesizer(engine, weights=weights)
    runner = synthesizer.engine(voice)

    nats = [
        _nats(voice, runner, request, recording.samples)
        for request, recording in track(
            zip(requests, recordings, strict=True), "computing likelihoods", len(requests)
        )
    ]
    rate = voice.config.features.sample_rate_hz
    seconds = sum(len(recording.samples) for recording in recordings) / rate
    print(
        f"generating {len(requests)} clips ({seconds:.0f} s) with the {runner.name} engine, "
        f"{runner.weights} weights ...",
        file=sys.stderr,
        flush=True,
    )
    generated = synthesizer.vocode_many(requests, voice=voice)

    rows = zip(recordings, generated, nats, strict=True)
    clips: list[Clip] = []
    for recording, wavenet, clip_nats in track(rows, "computing metrics", len(recordings)):
        measured = sum(clip.speaker == recording.utterance.speaker for clip in clips)
        folder = audio_dir if measured < AUDIO_PER_SPEAKER else None
        clips.append(_measure(recording, wavenet, clip_nats, seed + len(clips), folder))
    speakers = {
        speaker: _summary([clip for clip in clips if clip.speaker == speaker], rate)
        for speaker in corpus.speakers
    }
    return Evaluation(
        code_version=vocoder.__version__,
        voice=voice.id,
        digest=voice.manifest.weights[VOCODER_WEIGHTS],
        distribution=voice.config.distribution.kind,
        generation=voice.manifest.generation,
        engine=runner.name,
        weights=runner.weights,
        split=split,
        seed=seed,
        sample_rate_hz=rate,
        speakers=speakers,
        overall=_overall(list(speakers.values()), clips, rate),
        clips=tuple(clips),
    )


def choose(voice: Voice, corpus: Corpus, split: Split, per_speaker: int) -> list[Utterance]:
    """Choose clips of each speaker, spread evenly over a split.

    Raises:
        UserError: the corpus does not fit the voice.
    """
    if per_speaker < 1:
        raise UserError(f"{per_speaker} clips per speaker: choose at least 1", param="per_speaker")
    try:
        check_fingerprint(corpus.features.fingerprint(), voice.config.features)
        for speaker in corpus.speakers:
            voice.speaker_index(speaker)
    except (FeatureError, NotFoundError) as error:
        raise type(error)(f"{corpus.folder}: {error}", param=error.param) from None
    usable = corpus.split(split)
    if voice.config.conditioning.kind == "linguistic":
        usable = tuple(utterance for utterance, _ in aligned_utterances(corpus, split))
    chosen = []
    for speaker in corpus.speakers:
        own = [utterance for utterance in usable if utterance.speaker == speaker]
        if not own:
            raise CorpusError(
                f"{corpus.folder}: speaker {speaker} has no utterance in the {split} split"
            )
        count = min(per_speaker, len(own))
        chosen += [own[(2 * i + 1) * len(own) // (2 * count)] for i in range(count)]
    return chosen


def read(voice: Voice, corpus: Corpus, utterances: Iterable[Utterance]) -> list[Recording]:
    """Read utterances with the features that condition the voice."""
    recordings = []
    reads_linguistic = voice.config.conditioning.kind == "linguistic"
    aligned = read_alignment(corpus) if reads_linguistic else {}
    for utterance in utterances:
        pcm, mel = corpus.read(utterance)
        samples = np.asarray(pcm.numpy() / np.float32(PCM_16_LEVELS), dtype=np.float32)
        features = Features(mel, voice.config.features)
        if reads_linguistic:
            own = read_linguistic(corpus, utterance, aligned[utterance.speaker, utterance.id])
            features = replace(features, linguistic=own, layout=LAYOUT)
        recordings.append(Recording(utterance, samples, features))
    return recordings


@torch.inference_mode()
def _nats(voice: Voice, engine: Engine, request: Request, samples: Samples) -> float:
    """Negative log-likelihood of a whole clip under the engine, in nats."""
    recording = torch.from_numpy(samples).unsqueeze(0).to(voice.model.device)
    conditioning = condition(voice, request)
    signal = voice.model.signal(recording, conditioning.prediction)
    noise = torch.full((*recording.shape, DRAWS), 0.5, device=recording.device)
    parameters, _ = engine.trace(engine.start(1), conditioning, signal, noise)
    return float(voice.model.nll_of(parameters, signal).double().sum())


def _measure(
    recording: Recording, wavenet: Samples, nats: float, seed: int, audio_dir: Path | None
) -> Clip:
    samples, features = recording.samples, recording.features
    rate = features.config.sample_rate_hz
    copies: dict[System, Samples] = {
        "wavenet": wavenet,
        "griffin_lim": griffin_lim(features, seed=seed),
        "griffin_lim_strong": griffin_lim(features, inversion="positive", seed=seed),
    }
    f0 = pitch.contour(samples, rate)
    return Clip(
        speaker=recording.utterance.speaker,
        id=recording.utterance.id,
        samples=len(samples),
        bits_per_sample=bits(nats) / len(samples),
        metrics={
            system: measure(samples, copy, rate, recording_f0=f0) for system, copy in copies.items()
        },
        audio={} if audio_dir is None else _write(audio_dir, recording, copies),
    )


def _write(folder: Path, recording: Recording, copies: dict[System, Samples]) -> dict[Sound, str]:
    """Write a recording and its copies; returns their paths relative to ``folder``."""
    rate = recording.features.config.sample_rate_hz
    sounds: dict[Sound, Samples] = {"recording": recording.samples}
    for system in SYSTEMS:
        sounds[system] = copies[system]
    names: dict[Sound, str] = {}
    for sound, samples in sounds.items():
        names[sound] = f"{recording.utterance.speaker}/{recording.utterance.id}-{sound}.wav"
        audio.write(folder / names[sound], samples, rate)
    return names


def _summary(clips: Sequence[Clip], rate_hz: int) -> Summary:
    samples = sum(clip.samples for clip in clips)
    return Summary(
        clips=len(clips),
        seconds=samples / rate_hz,
        bits_per_sample=sum(clip.bits_per_sample * clip.samples for clip in clips) / samples,
        metrics={system: _mean([clip.metrics[system] for clip in clips]) for system in SYSTEMS},
    )


def _overall(speakers: Sequence[Summary], clips: Sequence[Clip], rate_hz: int) -> Summary:
    """Average the metrics over speakers and the likelihood over samples."""
    means = {system: _mean([each.metrics[system] for each in speakers]) for system in SYSTEMS}
    return _summary(clips, rate_hz).model_copy(update={"metrics": means})


def _mean(values: Sequence[Metrics]) -> Metrics:
    """Mean of each metric over the clips that have it."""
    fields: dict[str, float | None] = {}
    for name in Metrics.model_fields:
        known = [value for each in values if (value := getattr(each, name)) is not None]
        fields[name] = statistics.fmean(known) if known else None
    return Metrics.model_validate(fields)
