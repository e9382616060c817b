"""Turn one recording into one utterance file: check, trim, level, analyse. Runs in workers.

An utterance file contains the digest of its inputs, so the file itself shows whether it is up to
date, even after an interrupted run.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors
import soundfile
import torch
import torchaudio
from pydantic import Field
from safetensors import safe_open
from safetensors.torch import save as save_safetensors

from vocoder import files
from vocoder.audio import io as audio
from vocoder.audio.io import PCM_16_LEVELS, Samples
from vocoder.config import StrictModel
from vocoder.corpus.manifest import Reason
from vocoder.corpus.settings import PreparationConfig
from vocoder.errors import AudioError, ConfigError, CorpusError
from vocoder.features import feature_file as features

FRAME_S, STEP_S = 0.02, 0.01
SHORTEST_SOUND_STEPS = 3
HIGH_PASS_HZ = 80.0
FULL_SCALE = 0.999
# Rates beyond these are from damaged headers, and the resampling filter may not fit in memory.
LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 4000, 384000
LOWEST_DB = -120.0


class Measurements(StrictModel):
    """Measurements of one recording. Levels are RMS in dBFS."""

    rate_hz: int = Field(description="sample rate of the recording")
    seconds: float = Field(description="length of the recording")
    kept_s: float = Field(description="length after trimming")
    level_dbfs: float = Field(description="speech level before levelling")
    floor_dbfs: float = Field(description="noise floor before levelling")
    gain_db: float = Field(description="gain applied")
    silence: float = Field(description="fraction of silent frames after trimming")


@dataclass(frozen=True)
class Task:
    """A recording to process; ``rejected`` is its digest and rejection from an earlier run."""

    source: Path
    target: Path
    rejected: "tuple[str, Refusal] | None" = None


@dataclass(frozen=True)
class Refusal:
    """Why a recording was rejected."""

    reason: Reason
    detail: str


@dataclass(frozen=True)
class Outcome:
    """The result for a recording: processed, up to date, or rejected."""

    digest: str | None
    samples: int = 0
    measurements: Measurements | None = None
    refusal: Refusal | None = None
    redone: bool = False


class _Refused(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.refusal = Refusal(reason, detail)


def process(task: Task, settings: PreparationConfig) -> Outcome:
    """Write the utterance file of one recording, unless it is up to date."""
    try:
        with open(task.source, "rb") as source:
            content = hashlib.file_digest(source, "sha256").hexdigest()
    except OSError as error:
        refusal = Refusal("unreadable", f"cannot be opened ({error.strerror})")
        return Outcome(None, refusal=refusal, redone=True)
    digest = hashlib.sha256(f"{content} {settings.audio_settings()}".encode()).hexdigest()
    if task.rejected and task.rejected[0] == digest:
        return Outcome(digest, refusal=task.rejected[1])
    if (kept := _up_to_date(task.target, digest)) is not None:
        return kept
    try:
        samples, measurements = clean(task.source, settings)
    except _Refused as refused:
        return Outcome(digest, refusal=refused.refusal, redone=True)
    pcm = audio.to_pcm16(samples)
    # Analyse the rounded samples, so that audio and features on disk match exactly.
    analysed = features.analyze(
        pcm.astype(np.float32) / np.float32(PCM_16_LEVELS), settings.features, with_f0=settings.f0
    )
    tensors = {"audio": torch.from_numpy(pcm), "mel": analysed.mel.contiguous()}
    if analysed.f0 is not None:
        tensors["f0"] = analysed.f0
    metadata = settings.features.fingerprint()
    metadata |= {"digest": digest, "measures": measurements.model_dump_json()}
    try:
        # No fsync here: for many short files it would dominate; prepare syncs once at the end. A
        # file truncated by a power failure is not valid safetensors and is written again.
        written = save_safetensors(tensors, metadata=metadata)
        files.write_bytes(task.target, written, durable=False)
    except OSError as error:
        raise CorpusError(f"{task.target}: cannot be written ({error.strerror})") from None
    return Outcome(digest, len(pcm), measurements, redone=True)


def clean(source: Path, settings: PreparationConfig) -> tuple[Samples, Measurements]:
    """Read, check, trim and level one recording.

    Returns:
        Samples (F * hop,) at the configured rate, and the measurements.
    """
    samples, rate = _read(source, settings)
    seconds = len(samples) / rate
    clipped = float((np.abs(samples) >= FULL_SCALE).mean())
    if clipped > settings.clipping_limit:
        raise _Refused(
            "clipped",
            f"{clipped:.2%} of the samples are at full scale, the limit is "
            f"{settings.clipping_limit:.2%}",
        )
    to_rate = settings.features.sample_rate_hz
    samples = audio.resample(samples - samples.mean(), rate, to_rate)
    levels = frame_levels(samples, to_rate)
    speech = speech_frames(levels, settings)
    level = mean_level(levels[speech])
    if not speech.any() or level < settings.silence_dbfs:
        loudest = float(levels.max())
        raise _Refused(
            "silent",
            f"no speech above {settings.silence_dbfs:g} dBFS; the loudest frame has {loudest:.0f}",
        )
    start, end = _span(speech, len(samples), settings)
    kept = samples[start:end]
    length = len(kept) / to_rate
    if length < settings.min_duration_s:
        raise _Refused(
            "too_short",
            f"{length:.2f} s long after trimming, the minimum is {settings.min_duration_s:g} s",
        )
    if length > settings.max_duration_s:
        raise _Refused("too_long", _too_long(length, settings))
    gain = 10 ** ((settings.level_dbfs - level) / 20)
    gain = min(gain, settings.peak_limit / float(np.abs(kept).max()))
    tail = settings.features.frames(len(kept)) * settings.features.hop_length - len(kept)
    steps = round(to_rate * STEP_S)
    inside = speech[start // steps : max(end // steps, start // steps + 1)]
    measurements = Measurements(
        rate_hz=rate,
        seconds=round(seconds, 3),
        kept_s=round(length, 3),
        level_dbfs=round(level, 2),
        floor_dbfs=round(float(np.percentile(levels, 5)), 2),
        gain_db=round(20 * float(np.log10(gain)), 2),
        silence=round(1 - float(inside.mean()), 4),
    )
    return np.pad(kept * np.float32(gain), (0, tail)), measurements


def frame_levels(samples: Samples, rate_hz: int) -> npt.NDArray[np.float64]:
    """RMS in dBFS of 20 ms frames every 10 ms, without rumble: (T // step,), at least one."""
    passed = torchaudio.functional.highpass_biquad(torch.from_numpy(samples), rate_hz, HIGH_PASS_HZ)
    frame, step = round(rate_hz * FRAME_S), round(rate_hz * STEP_S)
    side = (frame - step) // 2
    padded = torch.nn.functional.pad(passed.double(), (side, frame))
    power = padded.unfold(0, frame, step).square().mean(-1)[: max(1, len(samples) // step)]
    levels = 10 * np.log10(power.numpy() + 10 ** (LOWEST_DB / 10))
    return np.asarray(levels, dtype=np.float64)


def speech_frames(
    levels: npt.NDArray[np.float64], settings: PreparationConfig
) -> npt.NDArray[np.bool_]:
    """True for the frames (N,) with speech rather than silence, noise or a click.

    The threshold adapts to the level and noise floor of the recording: ``trim_db`` below the loud
    frames, or just above the noise floor if that is higher, but never close to the loud frames.
    """
    loud, floor = np.percentile(levels, (95, 5))
    threshold = max(loud - settings.trim_db, floor + settings.trim_floor_db)
    threshold = min(threshold, loud - settings.trim_db / 2)
    above = levels > max(threshold, settings.silence_dbfs)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], above.astype(np.int8), [0]))))
    speech = np.zeros(above.shape, dtype=np.bool_)
    for start, end in edges.reshape(-1, 2):
        speech[start:end] = end - start >= SHORTEST_SOUND_STEPS
    return speech


def _span(
    speech: npt.NDArray[np.bool_], samples: int, settings: PreparationConfig
) -> tuple[int, int]:
    """Samples from the first to the last speech frame plus margins, in whole hops if possible."""
    rate, hop = settings.features.sample_rate_hz, settings.features.hop_length
    step, margin = round(rate * STEP_S), round(rate * settings.trim_margin_s)
    where = np.flatnonzero(speech)
    start = max(0, int(where[0]) * step - margin)
    end = min(samples, (int(where[-1]) + 1) * step + margin)
    return start, min(samples, start + settings.features.frames(end - start) * hop)


def _read(source: Path, settings: PreparationConfig) -> tuple[Samples, int]:
    if source.stat().st_size == 0:
        raise _Refused("empty", "the file is empty")
    try:
        header = soundfile.info(source)
        if not LOWEST_RATE_HZ <= header.samplerate <= HIGHEST_RATE_HZ:
            raise _Refused(
                "unreadable",
                f"the sample rate is {header.samplerate} Hz, expected {LOWEST_RATE_HZ} to "
                f"{HIGHEST_RATE_HZ} Hz",
            )
        # Check before reading: hours of audio would not fit in memory.
        if header.duration > 4 * settings.max_duration_s:
            raise _Refused("too_long", _too_long(header.duration, settings))
        if header.frames == 0:
            raise _Refused("empty", "the file has no samples")
        return audio.read(source)
    except AudioError as error:
        raise _Refused("unreadable", str(error)) from None
    except (soundfile.LibsndfileError, RuntimeError, OSError, ValueError) as error:
        raise _Refused(
            "unreadable", f"cannot be read as audio ({str(error).rstrip('.')})"
        ) from None


def _too_long(seconds: float, settings: PreparationConfig) -> str:
    return (
        f"{seconds:.1f} s long, the maximum is {settings.max_duration_s:g} s: split it or raise "
        "max_duration_s"
    )


def mean_level(levels: npt.NDArray[np.float64]) -> float:
    """Mean power in dB of frames with levels in dB (F,)."""
    return float(10 * np.log10(np.mean(10 ** (levels / 10)))) if levels.size else LOWEST_DB


def _up_to_date(target: Path, digest: str) -> Outcome | None:
    """The outcome of an earlier run, if its file is intact and has the same digest."""
    try:
        with safe_open(target, framework="np") as opened:
            metadata = dict(opened.metadata() or {})
            if metadata.get("digest") != digest:
                return None
            (samples,) = opened.get_slice("audio").get_shape()
            measurements = Measurements.parse(json.loads(metadata["measures"]), str(target))
    except (OSError, safetensors.SafetensorError, KeyError, ValueError, ConfigError):
        return None
    return Outcome(digest, samples, measurements)
