"""A voice's manifest, ``voice.json``: its configuration, weights and provenance."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

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
    hours: float = Field(0.0, ge=0.0, description="hours of it that were trained on")


class Provenance(StrictModel):
    """How the weights were made."""

    sources: tuple[Source, ...] = Field((), description="corpora")
    steps: int = Field(0, ge=0, description="optimiser steps")
    code_version: str = Field("", description="version of this package")
    training: dict[str, Any] = Field(default_factory=dict, description="the run's settings")
    metrics: dict[str, Any] = Field(default_factory=dict, description="measured on held-out speech")
    started_from: "StartingPoint | None" = Field(
        None,
        description="the voice it was fine-tuned from; none if from scratch or not recorded",
    )


class StartingPoint(StrictModel):
    """The voice that fine-tuning started from; its corpora shaped the weights too."""

    voice: str = Field(description="its id")
    weights: str = Field(description="SHA-256 of its vocoder.safetensors")
    provenance: Provenance = Field(description="how its weights were made")


class AcousticProvenance(StrictModel):
    """How the acoustic model's weights were made, from the same corpora as the vocoder's."""

    steps: int = Field(0, ge=0, description="optimiser steps")
    code_version: str = Field("", description="version of this package")
    training: dict[str, Any] = Field(default_factory=dict, description="the run's settings")
    metrics: dict[str, Any] = Field(default_factory=dict, description="measured on held-out speech")


class VoiceManifest(StrictModel):
    """The contents of ``voice.json``."""

    format: int = Field(FORMAT, description="version of this format")
    id: str = Field(pattern=VOICE_ID, description="name that clients use")
    name: str = Field("", description="display name")
    licence: str = Field("", description="licence of the weights")
    model: ModelConfig = Field(description="the vocoder's configuration")
    generation: GenerationConfig = Field(default_factory=GenerationConfig, description="sampling")
    acoustic: AcousticConfig | None = Field(
        None,
        description="the acoustic model's configuration; none if the voice cannot read text",
    )
    symbols: tuple[str, ...] = Field((), description="the acoustic model's phone symbols, in order")
    weights: dict[str, str] = Field(description="SHA-256 of each weights file, by file name")
    shared: dict[str, Annotated[str, Field(pattern=VOICE_ID)]] = Field(
        default_factory=dict,
        description="weights files kept in another voice's folder, beside this one: file to folder",
    )
    provenance: Provenance = Field(default_factory=Provenance, description="data and training")
    acoustic_provenance: AcousticProvenance | None = Field(
        None, description="training of the acoustic model"
    )

    @property
    def weight_files(self) -> set[str]:
        """Names of the files that ``weights`` must list."""
        return {VOCODER_WEIGHTS} | ({ACOUSTIC_WEIGHTS} if self.acoustic else set())

    def weights_path(self, folder: Path, name: str) -> Path:
        """Where a weights file is: in the voice's own ``folder``, or in the one that shares it."""
        sibling = self.shared.get(name)
        return folder / name if sibling is None else folder.resolve().parent / sibling / name

    def digest(self) -> str:
        """SHA-256, in hexadecimal, of everything that determines how the voice sounds."""
        parts = self.model_dump_json(
            include={"model", "generation", "acoustic", "symbols", "weights"}
        )
        return hashlib.sha256(parts.encode()).hexdigest()


def read_manifest(folder: Path) -> VoiceManifest:
    """Read and check ``voice.json``.

    Raises:
        VoiceError: it is missing, not JSON, of another format version, or inconsistent.
    """
    path = folder / MANIFEST
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise VoiceError(f"{path}: {error.strerror or error}; every voice has one") from None
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
    if unknown := sorted(manifest.shared.keys() - manifest.weight_files):
        raise VoiceError(f"{path}: shared names {unknown[0]!r}, which weights does not list")
    if strangers := sorted(
        manifest.generation.speaker_contrast.keys() - {*manifest.model.speakers}
    ):
        raise VoiceError(
            f"{path}: speaker_contrast names {strangers[0]!r}: the voice has "
            f"{', '.join(manifest.model.speakers)}"
        )
    if manifest.acoustic and manifest.symbols != SYMBOLS:
        raise VoiceError(f"{path}: its phone symbols are not those of this version: train it again")
    return manifest
