"""Settings of a training run, read from a TOML file."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vocoder.config import AcousticConfig, AlignerConfig, GenerationConfig, ModelConfig, StrictModel
from vocoder.corpus.shards import ShardSettings
from vocoder.errors import ConfigError
from vocoder.pixel.config import PixelConfig
from vocoder.pixel.quantisation import LevelRange
from vocoder.presets import preset
from vocoder.recognition.model import RecogniserConfig
from vocoder.voices.voice import Source


class VoiceDescription(StrictModel):
    """Description of a voice for its manifest."""

    name: str = Field("", description="display name")
    licence: str = Field("", description="licence of the weights")
    sources: tuple[Source, ...] = Field((), description="corpora; training fills in the hours")


RECORDED_ELSEWHERE = {"kind", "model", "voice", "generation"}
"""Settings recorded elsewhere in the manifest of the trained model."""

PATHS = {"corpus", "shards", "output", "initial_voice", "vocoder"}
"""Settings that are paths on the training machine."""


class TrainingConfig(StrictModel):
    """Settings common to all kinds of training run."""

    unit: ClassVar[str] = "s of audio"
    """What the speed of training is counted in."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", description="id of the resulting voice"
    )
    corpus: str = Field(description="folder from `vocoder prepare`; or a folder or URL of shards")
    shards: ShardSettings = Field(
        default_factory=ShardSettings, description="how to read a sharded corpus"
    )
    output: str = Field(description="folder for checkpoints, logs and samples")
    steps: int = Field(ge=1, description="total number of optimiser steps")
    batch_size: int = Field(2, ge=1, description="rows per step, over all processes")
    accumulate: int = Field(
        1, ge=1, description="micro-batches per step and process; their gradients are accumulated"
    )
    loader_threads: int = Field(
        1, ge=0, le=64, description="threads that prefetch batches; 0 disables prefetching"
    )
    learning_rate: float = Field(
        1e-3, gt=0.0, description="learning rate between warm-up and decay"
    )
    warm_up_steps: int = Field(200, ge=0, description="steps of linear warm-up from 0")
    decay_steps: int = Field(0, ge=0, description="steps of linear decay at the end")
    final_rate_fraction: float = Field(
        0.01, ge=0.0, le=1.0, description="fraction of the learning rate at the end of decay"
    )
    gradient_clip: float = Field(1.0, gt=0.0, description="maximum gradient norm")
    ema_decay: float = Field(
        0.999, ge=0.0, lt=1.0, description="decay of the moving average of the weights"
    )
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16 uses autocast")
    compile: bool = Field(False, description="compile the residual stack (needs a C++ compiler)")
    seed: int = Field(0, ge=0, description="seed of the initial weights and the data order")
    log_every: int = Field(50, ge=1, description="steps between log lines")
    checkpoint_every: int = Field(500, ge=1, description="steps between checkpoints")
    validate_every: int = Field(1000, ge=1, description="steps between validations")
    validation_clips: int = Field(12, ge=1, description="number of whole clips to validate on")
    sample_every: int = Field(0, ge=0, description="steps between samples; 0 for none")
    sample_clips: int = Field(2, ge=1, description="clips or images per sample")

    @model_validator(mode="after")
    def _schedule_fits(self) -> Self:
        if self.warm_up_steps + self.decay_steps > self.steps:
            raise ValueError(
                f"warm_up_steps {self.warm_up_steps} plus decay_steps {self.decay_steps} "
                f"exceed steps {self.steps}"
            )
        return self

    def rate(self, step: int) -> float:
        """Learning rate at a step: linear warm-up, constant, then linear decay."""
        if step < self.warm_up_steps:
            return self.learning_rate * (step + 1) / self.warm_up_steps
        left = self.steps - step
        if left >= self.decay_steps:
            return self.learning_rate
        fraction = left / self.decay_steps
        return self.learning_rate * max(fraction, self.final_rate_fraction)

    def recorded(self) -> dict[str, Any]:
        """The settings to record in a published manifest, without paths."""
        return self.model_dump(mode="json", exclude=RECORDED_ELSEWHERE | PATHS)


class VocoderTraining(TrainingConfig):
    """Training of a WaveNet; the result is a voice."""

    kind: Literal["vocoder"] = "vocoder"
    model: ModelConfig = Field(description="the model; its speakers come from the corpus")
    voice: VoiceDescription = Field(
        default_factory=VoiceDescription, description="description of the voice"
    )
    generation: GenerationConfig = Field(
        default_factory=GenerationConfig, description="sampling and post-filtering of the voice"
    )
    initial_voice: str | None = Field(None, description="folder of a voice to fine-tune")
    checkpoint_activations: bool = Field(
        False, description="recompute each layer in the backward pass to save memory"
    )
    segment_frames: int = Field(80, ge=1, description="frames per segment that count in the loss")


class AcousticTraining(TrainingConfig):
    """Training of an acoustic model, which is then added to a voice."""

    kind: Literal["acoustic"] = "acoustic"
    model: AcousticConfig = Field(default_factory=AcousticConfig, description="the model")
    vocoder: str = Field(description="folder of the voice that provides the WaveNet")


class AlignerTraining(TrainingConfig):
    """Training of an aligner, as part of `vocoder align`."""

    kind: Literal["aligner"] = "aligner"
    model: AlignerConfig = Field(default_factory=AlignerConfig, description="the model")
    ctc_steps: int = Field(ge=0, description="steps of CTC, with the blank enabled, at the start")


class RecogniserTraining(TrainingConfig):
    """Training of a recogniser on an aligned corpus."""

    kind: Literal["recogniser"] = "recogniser"
    model: RecogniserConfig = Field(description="the model; its labels come from the front end")
    segment_frames: int = Field(200, ge=1, description="frames per segment whose labels count")
    predicted_frames: int = Field(
        0,
        ge=0,
        description="frames of these, from the first, whose samples are predicted; 0 for all",
    )
    next_sample_weight: float = Field(
        0.1, ge=0.0, description="weight of the next-sample loss in nats per sample"
    )

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.predicted_frames > self.segment_frames:
            raise ValueError(
                f"predicted_frames {self.predicted_frames} exceeds segment_frames "
                f"{self.segment_frames}"
            )
        return self


class ImageTraining(TrainingConfig):
    """Training of a model of images on an array file."""

    unit: ClassVar[str] = "images"

    kind: Literal["image"] = "image"
    corpus: str = Field(
        description="npz file with arrays train, valid and test, and train_labels and so on for a "
        "model with classes"
    )
    model: PixelConfig = Field(description="the model")
    height: int = Field(ge=1, le=4096, description="rows of an image")
    width: int = Field(ge=1, le=4096, description="columns of an image")
    packed: bool = Field(False, description="whether the arrays hold rows of packed bits")


class SpectrogramTraining(TrainingConfig):
    """Training of a model of log-mel spectrograms; frames are the rows of the image."""

    kind: Literal["spectrogram"] = "spectrogram"
    model: PixelConfig = Field(description="the model, of one channel")
    range: LevelRange = Field(default_factory=LevelRange, description="log-mels of the levels")
    segment_frames: int = Field(48, ge=1, description="frames per segment that count in the loss")
    context_frames: int = Field(
        16, ge=0, description="frames before them that only serve as their context"
    )

    @model_validator(mode="after")
    def _one_channel(self) -> Self:
        if self.model.channels != 1 or self.model.classes or self.model.map_channels:
            raise ValueError("model must have channels 1, and no classes and no map_channels")
        return self


Trained = (
    VocoderTraining | AcousticTraining | RecogniserTraining | ImageTraining | SpectrogramTraining
)
"""The kinds of run that a TOML file can describe."""

AnyTraining = Trained | AlignerTraining
_KINDS: dict[str, type[Trained]] = {
    "vocoder": VocoderTraining,
    "acoustic": AcousticTraining,
    "recogniser": RecogniserTraining,
    "image": ImageTraining,
    "spectrogram": SpectrogramTraining,
}


def load(path: Path, changes: Sequence[str] = ()) -> Trained:
    """Read a training configuration; its ``kind`` defaults to ``vocoder``.

    ``extends = "base.toml"`` inherits the settings of another file, relative to this one, and
    overrides them key by key. The table ``[model]`` may name a ``preset``, whose fields the
    other keys override.

    Args:
        path: a TOML file.
        changes: settings that override the file's, such as ``model.pre_emphasis=0.85``.

    Raises:
        ConfigError: the file is missing or not TOML, a key is unknown or a value is out of range.
    """
    data = _read(path, ())
    for change in changes:
        data = _merge(data, _change(change))
    kind = data.get("kind", "vocoder")
    if kind not in _KINDS:
        known = ", ".join(_KINDS)
        raise ConfigError(f"{path.name}: unknown kind {kind!r}: choose one of {known}")
    model = data.get("model")
    if isinstance(model, dict) and "preset" in model:
        base = preset(str(model.pop("preset"))).model_dump(mode="json")
        data["model"] = _merge(base, model)
    return _KINDS[kind].parse(data, path.name)


def _read(path: Path, extended_by: tuple[Path, ...]) -> dict[str, Any]:
    """The settings of a file merged over those of the file it extends."""
    if path.resolve() in extended_by:
        raise ConfigError(f"{path}: extends itself through {extended_by[-1].name}")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = f", which {extended_by[-1].name} extends" if extended_by else ""
        raise ConfigError(f"{path}: {error.strerror or error}{reason}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    base = data.pop("extends", None)
    if base is None:
        return data
    if not isinstance(base, str):
        raise ConfigError(f"{path}: extends {base!r}: give the name of a TOML file")
    return _merge(_read(path.parent / base, (*extended_by, path.resolve())), data)


def _change(text: str) -> dict[str, Any]:
    """``a.b=VALUE`` as nested tables; a value that is not TOML is a string."""
    key, sign, value = text.partition("=")
    names = [name.strip() for name in key.split(".")]
    if not sign or not all(names):
        raise ConfigError(f"--set {text!r}: expected KEY=VALUE, as in model.pre_emphasis=0.85")
    try:
        parsed: Any = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    for name in reversed(names):
        parsed = {name: parsed}
    return dict(parsed)


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Merge ``changes`` into ``base`` recursively; a table of another ``kind`` replaces the old."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = value
        if isinstance(old, dict) and isinstance(value, dict):
            kind = old.get("kind")
            merged[key] = _merge(old, value) if value.get("kind", kind) == kind else value
    return merged
