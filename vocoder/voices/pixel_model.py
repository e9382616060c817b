"""The folder of a model of images or spectrograms: ``pixel.json`` and ``pixel.safetensors``."""

import json
from pathlib import Path

from pydantic import Field

from vocoder import files
from vocoder.config import FeatureConfig, StrictModel
from vocoder.errors import ConfigError, ImageError
from vocoder.pixel.config import PixelConfig
from vocoder.pixel.model import PixelModel
from vocoder.pixel.quantisation import LevelRange
from vocoder.voices import weights as weights_file
from vocoder.voices.manifest import VOICE_ID, Provenance

FORMAT = 1
FOLDER = "pixel"
"""Subfolder of a training run in which the model is stored."""

MANIFEST = "pixel.json"
WEIGHTS = "pixel.safetensors"


class Spectrograms(StrictModel):
    """What a model of spectrograms reads."""

    features: FeatureConfig = Field(description="settings of the log-mels")
    range: LevelRange = Field(description="log-mels of the levels")


class PixelManifest(StrictModel):
    """The contents of ``pixel.json``."""

    format: int = Field(FORMAT, description="version of this format")
    id: str = Field(pattern=VOICE_ID, description="name of the model")
    model: PixelConfig = Field(description="configuration of the model")
    spectrograms: Spectrograms | None = Field(
        None, description="for a model of spectrograms, how they were made"
    )
    weights: str = Field("", description="SHA-256 of the weights file")
    provenance: Provenance = Field(default_factory=Provenance, description="training data and run")


def save(folder: Path, model: PixelModel, manifest: PixelManifest) -> None:
    """Write a model with its configuration and digest; the manifest goes last."""
    digest = weights_file.write(folder / WEIGHTS, model.state_dict())
    manifest = manifest.model_copy(update={"model": model.config, "weights": digest})
    files.write_text(folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")


def load(folder: Path) -> tuple[PixelModel, PixelManifest]:
    """Load a model from its folder or its run's folder, and verify the weights.

    Raises:
        ImageError: a file is missing, altered, truncated or padded, or does not match the model.
    """
    if not (folder / MANIFEST).is_file() and (folder / FOLDER).is_dir():
        folder = folder / FOLDER
    path = folder / MANIFEST
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ImageError(
            f"{path}: {error.strerror or error}; give the folder of a training run"
        ) from None
    except ValueError as error:
        raise ImageError(f"{path}: not JSON: {error}") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else None
        raise ImageError(f"{path}: format {found!r}, this version reads {FORMAT}")
    try:
        manifest = PixelManifest.parse(data, str(path))
    except ConfigError as error:
        raise ImageError(str(error), param=error.param) from None
    model = PixelModel(manifest.model)
    weights_file.read(folder / WEIGHTS, manifest.weights, model, ImageError)
    return model, manifest
