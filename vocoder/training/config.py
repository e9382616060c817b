"""StrictModel of a training run, read from a TOML file."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from vocoder.config import AcousticConfig, AlignerConfig, GenerationConfig, ModelConfig, StrictModel
from vocoder.corpus.shards import ShardSettings
from vocoder.errors import ConfigError
from vocoder.presets import preset
from vocoder.recognition.model import RecogniserConfig
from vocoder.voices.voice import Source


class VoiceDescription(StrictModel):
    """What a voice says of itself besides its configuration."""

    name: str = Field("", description="name that people read")
    licence: str = Field("", description="licence of the weights")
    sources: tuple[Source, ...] = Field((), description="corpora; hours are filled in")


ELSEWHERE = {"kind", "model", "voice", "generation"}
"""StrictModel that what was trained says in another place."""

PLACES = {"corpus", "shards", "output", "initial_voice", "vocoder"}
"""StrictModel that tell where things lie on the machine that trains."""


class TrainingConfig(StrictModel):
    """A training run, whatever is trained: on which data, for how long and how."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", description="id of the voice it makes")
    corpus: str = Field(description="folder that `vocoder prepare` wrote; of shards also a URL")
    shards: ShardSettings = Field(
        default_factory=ShardSettings, description="how a corpus in shards is read"
    )
    output: str = Field(description="folder for checkpoints, logs and samples")
    steps: int = Field(ge=1, description="optimiser steps in all")
    batch_size: int = Field(2, ge=1, description="rows a step, of all processes together")
    accumulate: int = Field(
        1, ge=1, description="pieces in which each process takes its rows, one after another"
    )
    loader_threads: int = Field(
        1, ge=0, le=64, description="threads that draw coming batches; 0 draws each when it is due"
    )
    learning_rate: float = Field(1e-3, gt=0.0, description="after warm-up, before decay")
    warm_up_steps: int = Field(200, ge=0, description="steps of linear rise from 0")
    decay_steps: int = Field(0, ge=0, description="last steps, over which the rate falls")
    final_rate_fraction: float = Field(0.01, ge=0.0, le=1.0, description="rate at the end of decay")
    gradient_clip: float = Field(1.0, gt=0.0, description="largest norm of the gradient")
    ema_decay: float = Field(0.999, ge=0.0, lt=1.0, description="of the averaged weights")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16 runs under autocast")
    compile: bool = Field(False, description="compile the residual stack (needs a C++ compiler)")
    seed: int = Field(0, ge=0, description="of initial weights and of the order of the data")
    log_every: int = Field(50, ge=1, description="steps between lines of the log")
    checkpoint_every: int = Field(500, ge=1, description="steps between checkpoints")
    validate_every: int = Field(1000, ge=1, description="steps between validations")
    validation_clips: int = Field(12, ge=1, description="whole clips that validation reads")
    sample_every: int = Field(0, ge=0, description="steps between free-running samples; 0 for none")
    sample_clips: int = Field(2, ge=1, description="clips generated for each sample")

    @model_validator(mode="after")
    def _schedule_fits(self) -> Self:
        if self.warm_up_steps + self.decay_steps > self.steps:
            raise ValueError(
                f"warm_up_steps {self.warm_up_steps} plus decay_steps {self.decay_steps} "
                f"exceed steps {self.steps}"
            )
        return self

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, constant, then linear decay."""
        if step < self.warm_up_steps:
            return self.learning_rate * (step + 1) / self.warm_up_steps
        left = self.steps - step
        if left >= self.decay_steps:
            return self.learning_rate
        fraction = left / self.decay_steps
        return self.learning_rate * max(fraction, self.final_rate_fraction)

    def recorded(self) -> dict[str, Any]:
        """The settings for a provenance, which is published."""
        return self.model_dump(mode="json", exclude=ELSEWHERE | PLACES)


class VocoderTraining(TrainingConfig):
    """Training of a WaveNet, which makes a voice."""

    kind: Literal["vocoder"] = "vocoder"
    model: ModelConfig = Field(description="the model; its speakers come from the corpus")
    voice: VoiceDescription = Field(default_factory=VoiceDescription, description="for its card")
    generation: GenerationConfig = Field(
        default_factory=GenerationConfig, description="how the voice's audio is drawn and finished"
    )
    initial_voice: str | None = Field(None, description="folder of a voice to start from")
    checkpoint_activations: bool = Field(
        False, description="compute each layer again in the backward pass instead of keeping it"
    )
    segment_frames: int = Field(80, ge=1, description="frames of a segment that the loss counts")


class AcousticTraining(TrainingConfig):
    """Training of an acoustic model, which is added to a voice."""

    kind: Literal["acoustic"] = "acoustic"
    model: AcousticConfig = Field(default_factory=AcousticConfig, description="the model")
    vocoder: str = Field(description="folder of the voice whose WaveNet it speaks through")


class AlignerTraining(TrainingConfig):
    """Training of an aligner; `vocoder align` does it."""

    kind: Literal["aligner"] = "aligner"
    model: AlignerConfig = Field(default_factory=AlignerConfig, description="the model")
    ctc_steps: int = Field(ge=0, description="first steps, in which the blank is open")


class RecogniserTraining(TrainingConfig):
    """Training of a recogniser on an aligned corpus."""

    kind: Literal["recogniser"] = "recogniser"
    model: RecogniserConfig = Field(description="the model; its labels are the front end's")
    segment_frames: int = Field(200, ge=1, description="frames of a segment whose labels count")
    predicted_frames: int = Field(
        0, ge=0, description="the first so many of them have their samples predicted too; 0 for all"
    )
    next_sample_weight: float = Field(
        0.1, ge=0.0, description="of the likelihood in nats a sample, beside nats a frame"
    )

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.predicted_frames > self.segment_frames:
            raise ValueError(
                f"predicted_frames {self.predicted_frames} exceeds segment_frames "
                f"{self.segment_frames}"
            )
        return self


Trained = VocoderTraining | AcousticTraining | RecogniserTraining
"""What a TOML file may describe."""

AnyTraining = Trained | AlignerTraining
_KINDS: dict[str, type[Trained]] = {
    "vocoder": VocoderTraining,
    "acoustic": AcousticTraining,
    "recogniser": RecogniserTraining,
}


def load(path: Path, changes: Sequence[str] = ()) -> Trained:
    """Read a training configuration; its ``kind`` is ``vocoder`` where it names none.

    ``extends = "base.toml"`` names a file, beside this one, over which this one is laid key by key.
    The table ``[model]`` may name a ``preset``, whose fields the others then override.

    Args:
        path: a TOML file.
        changes: settings that go before the file's, as ``model.pre_emphasis=0.85``.

    Raises:
        ConfigError: no such file, not TOML, an unknown key or a value out of range.
    """
    data = _read(path, ())
    for change in changes:
        data = _merge(data, _change(change))
    kind = data.get("kind", "vocoder")
    if kind not in _KINDS:
        known = ", ".join(_KINDS)
        raise ConfigError(f"{path.name}: kind {kind!r} is unknown: choose one of {known}")
    model = data.get("model")
    if isinstance(model, dict) and "preset" in model:
        base = preset(str(model.pop("preset"))).model_dump(mode="json")
        data["model"] = _merge(base, model)
    return _KINDS[kind].parse(data, path.name)


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """A file laid over the one that it extends."""
    if path.resolve() in above:
        raise ConfigError(f"{path}: extends itself, by way of {above[-1].name}")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        named = f", which {above[-1].name} extends" if above else ""
        raise ConfigError(f"{path}: {error.strerror or error}{named}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    base = data.pop("extends", None)
    if base is None:
        return data
    if not isinstance(base, str):
        raise ConfigError(f"{path}: extends {base!r}: give the name of a TOML file")
    return _merge(_read(path.parent / base, (*above, path.resolve())), data)


def _change(text: str) -> dict[str, Any]:
    """``a.b=VALUE`` as nested tables; what is no TOML value is a string."""
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
    """``changes`` over ``base``, table by table; a table of another ``kind`` replaces the whole."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = value
        if isinstance(old, dict) and isinstance(value, dict):
            kind = old.get("kind")
            merged[key] = _merge(old, value) if value.get("kind", kind) == kind else value
    return merged
