"""What ``voice.json`` says of a voice: configuration, digests of the weights, where it is from."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import Field

from vocoder.config import AcousticConfig, GenerationConfig, ModelConfig, StrictModel
from vocoder.errors import ConfigError, VoiceError
from vocoder.text.linguistic import SYMBOLS

FORMAT = 1
MANIFEST = "voice.json"
VOCODER_WEIGHTS = "vocoder.safetensors"
ACOUSTIC_WEIGHTS = "acoustic.safetensors"
VOICE_ID = r"^[a-z0-9][a-z0-9_-]{0,63}$"


class Source(StrictModel):
    """A corpus that a voice was trained on."""

    speaker: str = Field(description="the speaker's name in the voice")
    name: str = Field(description="the corpus")
    licence: str = Field(description="its licence")
    url: str = Field("", description="where it is published")
    hours: float = Field(0.0, ge=0.0, description="hours of it that were used")


class Provenance(StrictModel):
    """How the weights came to be."""

    sources: tuple[Source, ...] = Field((), description="corpora")
    steps: int = Field(0, ge=0, description="optimiser steps")
    code_version: str = Field("", description="version of this package")
    training: dict[str, Any] = Field(default_factory=dict, description="the run's settings")
    metrics: dict[str, Any] = Field(default_factory=dict, description="measured on held-out speech")
    started_from: "StartingPoint | None" = Field(
        None, description="the voice that was trained on; none: random weights, or not recorded"
    )


class StartingPoint(StrictModel):
    """The voice whose weights a training began with; its corpora are in the weights too."""

    voice: str = Field(description="its id")
    weights: str = Field(description="SHA-256 of its vocoder.safetensors")
    provenance: Provenance = Field(description="how those came to be")


class AcousticProvenance(StrictModel):
    """How the acoustic model's weights came to be; its corpora are the vocoder's."""

    steps: int = Field(0, ge=0, description="optimiser steps")
    code_version: str = Field("", description="version of this package")
    training: dict[str, Any] = Field(default_factory=dict, description="the run's settings")
    metrics: dict[str, Any] = Field(default_factory=dict, description="measured on held-out speech")


class VoiceManifest(StrictModel):
    """The contents of ``voice.json``."""

    format: int = Field(FORMAT, description="version of this format")
    id: str = Field(pattern=VOICE_ID, description="name that clients use")
    name: str = Field("", description="name that people read")
    licence: str = Field("", description="licence of the weights")
    model: ModelConfig = Field(description="the vocoder's configuration")
    generation: GenerationConfig = Field(default_factory=GenerationConfig, description="sampling")
    acoustic: AcousticConfig | None = Field(
        None, description="the acoustic model's configuration; without it the voice reads no text"
    )
    symbols: tuple[str, ...] = Field((), description="the acoustic model's phone symbols, in order")
    weights: dict[str, str] = Field(description="SHA-256 of each weights file, by its name")
    provenance: Provenance = Field(default_factory=Provenance, description="data and training")
    acoustic_provenance: AcousticProvenance | None = Field(None, description="its training")

    @property
    def weight_files(self) -> set[str]:
        """Names of the files that ``weights`` must list."""
        return {VOCODER_WEIGHTS} | ({ACOUSTIC_WEIGHTS} if self.acoustic else set())

    def digest(self) -> str:
        """SHA-256, in hexadecimal, over all that decides how the voice sounds."""
        parts = self.model_dump_json(
            include={"model", "generation", "acoustic", "symbols", "weights"}
        )
        return hashlib.sha256(parts.encode()).hexdigest()


def read_manifest(folder: Path) -> VoiceManifest:
    """Read and check ``voice.json``.

    Raises:
        VoiceError: missing, not JSON, of another format version, or with unknown keys.
    """
    path = folder / MANIFEST
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise VoiceError(f"{path}: {error.strerror or error}; a voice folder needs it") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise VoiceError(f"{path}: not JSON: {error}") from None
    if not isinstance(data, dict):
        raise VoiceError(f"{path}: expected an object")
    if data.get("format") != FORMAT:
        raise VoiceError(f"{path}: format {data.get('format')!r}, this version reads {FORMAT}")
    try:
        manifest = VoiceManifest.parse(data, str(path))
    except ConfigError as error:
        raise VoiceError(str(error), param=error.param) from None
    if set(manifest.weights) != manifest.weight_files:
        names = " and ".join(sorted(manifest.weight_files))
        raise VoiceError(f"{path}: weights must name {names}, and nothing else")
    if manifest.acoustic and manifest.symbols != SYMBOLS:
        raise VoiceError(f"{path}: its symbols are not those of this version: train it again")
    return manifest
