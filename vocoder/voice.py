"""A voice on disk: load, save, verify.

A voice is a folder with ``voice.json`` and the weights it names, each with its SHA-256. Weights
are safetensors; nothing is unpickled. Clients name voices by id, and an id is looked up among the
folders found at start: it never becomes a path.
"""

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors
import torch
from pydantic import Field
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from vocoder import files
from vocoder.acoustic.model import AcousticModel
from vocoder.config import AcousticConfig, GenerationConfig, ModelConfig, Settings
from vocoder.errors import ConfigError, NotFoundError, VoiceError
from vocoder.text.linguistic import SYMBOLS
from vocoder.wavenet.model import WaveNet

FORMAT = 1
MANIFEST = "voice.json"
VOCODER_WEIGHTS = "vocoder.safetensors"
ACOUSTIC_WEIGHTS = "acoustic.safetensors"
VOICE_ID = r"^[a-z0-9][a-z0-9_-]{0,63}$"


class Source(Settings):
    """A corpus that a voice was trained on."""

    speaker: str = Field(description="the speaker's name in the voice")
    name: str = Field(description="the corpus")
    licence: str = Field(description="its licence")
    url: str = Field("", description="where it is published")
    hours: float = Field(0.0, ge=0.0, description="hours of it that were used")


class Provenance(Settings):
    """How the weights came to be."""

    sources: tuple[Source, ...] = Field((), description="corpora")
    steps: int = Field(0, ge=0, description="optimiser steps")
    code_version: str = Field("", description="version of this package")
    training: dict[str, Any] = Field(default_factory=dict, description="the run's settings")
    metrics: dict[str, Any] = Field(default_factory=dict, description="measured on held-out speech")


class AcousticProvenance(Settings):
    """How the acoustic model's weights came to be; its corpora are the vocoder's."""

    steps: int = Field(0, ge=0, description="optimiser steps")
    code_version: str = Field("", description="version of this package")
    training: dict[str, Any] = Field(default_factory=dict, description="the run's settings")
    metrics: dict[str, Any] = Field(default_factory=dict, description="measured on held-out speech")


class VoiceManifest(Settings):
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


@dataclass(frozen=True)
class Voice:
    """A loaded voice.

    Attributes:
        id: what clients call it.
        folder: where it was read from.
        manifest: the contents of ``voice.json``.
        model: the vocoder, in evaluation mode.
        digest: SHA-256 of the vocoder's weights file, in hexadecimal.
        acoustic: the acoustic model, in evaluation mode; None where the voice reads no text.
    """

    id: str
    folder: Path
    manifest: VoiceManifest
    model: WaveNet
    digest: str
    acoustic: AcousticModel | None = None

    @property
    def config(self) -> ModelConfig:
        """The vocoder's configuration."""
        return self.manifest.model

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names of the speakers, in one-hot order."""
        return self.config.speakers

    def speaker_index(self, name: str | None) -> int:
        """Position of a speaker; the first one's where ``name`` is None.

        Raises:
            NotFoundError: the voice has no such speaker; the message lists those it has.
        """
        if name is None:
            return 0
        try:
            return self.speakers.index(name)
        except ValueError:
            raise NotFoundError(
                f"speaker {name!r} is unknown: voice {self.id} has {', '.join(self.speakers)}",
                param="speaker",
            ) from None

    def with_generation(self, **changes: float) -> "Voice":
        """The same voice, drawn and finished with other settings of :class:`GenerationConfig`."""
        generation = self.manifest.generation.model_copy(update=changes)
        manifest = self.manifest.model_copy(update={"generation": generation})
        return replace(self, manifest=manifest)


def save(
    folder: Path, model: WaveNet, manifest: VoiceManifest, acoustic: AcousticModel | None = None
) -> VoiceManifest:
    """Write a voice; the manifest's models, symbols and digests are taken from the models.

    The manifest goes last, so an interrupted save leaves a folder that is refused, not a wrong one.
    """
    weights = {VOCODER_WEIGHTS: _write_weights(folder / VOCODER_WEIGHTS, model.state_dict())}
    if acoustic:
        # Ten bits of mantissa are enough for these, and halve the voice.
        halves = {name: p.half() for name, p in acoustic.named_parameters()}
        path = folder / ACOUSTIC_WEIGHTS
        weights[ACOUSTIC_WEIGHTS] = _write_weights(path, acoustic.state_dict() | halves)
    else:
        (folder / ACOUSTIC_WEIGHTS).unlink(missing_ok=True)
    manifest = manifest.model_copy(
        update={
            "model": model.config,
            "acoustic": acoustic.config if acoustic else None,
            "symbols": SYMBOLS if acoustic else (),
            "weights": weights,
        }
    )
    files.write_text(folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
    return manifest


def _write_weights(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write weights and return their SHA-256."""
    data = save_safetensors({k: v.detach().contiguous() for k, v in tensors.items()})
    files.write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


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


def load(folder: Path) -> Voice:
    """Load a voice and verify its weights.

    Raises:
        VoiceError: a file is missing, altered, cut short or padded, or does not fit the model.
    """
    manifest = read_manifest(folder)
    model = WaveNet(manifest.model)
    _read_weights(folder, VOCODER_WEIGHTS, manifest, model)
    acoustic = None
    if manifest.acoustic:
        speakers = len(manifest.model.speakers)
        acoustic = AcousticModel(manifest.acoustic, manifest.model.features, speakers)
        _read_weights(folder, ACOUSTIC_WEIGHTS, manifest, acoustic)
        if not ((acoustic.alias >= 0) & (acoustic.alias < len(SYMBOLS))).all():
            raise VoiceError(f"{folder / ACOUSTIC_WEIGHTS}: alias names symbols that do not exist")
    digest = manifest.weights[VOCODER_WEIGHTS]
    return Voice(manifest.id, folder, manifest, model, digest, acoustic)


def _read_weights(folder: Path, name: str, manifest: VoiceManifest, model: nn.Module) -> None:
    """Read and check one weights file into ``model``, which is left in evaluation mode."""
    path = folder / name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise VoiceError(f"{path}: {error.strerror or error}") from None
    digest, expected = hashlib.sha256(data).hexdigest(), manifest.weights[name]
    if digest != expected:
        raise VoiceError(
            f"{path}: SHA-256 is {digest[:16]}..., {MANIFEST} says {expected[:16]}...: "
            "damaged or incomplete, fetch the voice again"
        )
    try:
        tensors = load_safetensors(data)
    except safetensors.SafetensorError as error:
        raise VoiceError(f"{path}: not safetensors: {error}") from None
    own = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    found = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    for key in sorted(own.keys() | found.keys()):
        if own.get(key) != found.get(key):
            raise VoiceError(
                f"{path}: {key} has shape {found.get(key, 'none')}, "
                f"the configuration needs {own.get(key, 'none')}"
            )
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise VoiceError(f"{path}: holds weights that are not finite")
    model.load_state_dict(tensors)
    model.eval()


class VoiceRegistry:
    """The voices below one folder, by id. Each is loaded when first asked for, and kept."""

    def __init__(self, folder: Path) -> None:
        """Find the voices.

        Raises:
            VoiceError: no such folder, a damaged manifest, or two voices of one id.
        """
        if not folder.is_dir():
            raise VoiceError(f"{folder}: no such folder of voices")
        self.folder = folder
        self._lock = threading.Lock()
        self._voices: dict[str, Voice] = {}
        self._folders: dict[str, Path] = {}
        for path in sorted(folder.glob(f"*/{MANIFEST}")):
            manifest = read_manifest(path.parent)
            if manifest.id in self._folders:
                raise VoiceError(
                    f"{path.parent} and {self._folders[manifest.id]}: both are {manifest.id}"
                )
            self._folders[manifest.id] = path.parent

    def ids(self) -> list[str]:
        """Ids of all voices, the default first."""
        return list(self._folders)

    def get(self, voice_id: str | None = None) -> Voice:
        """The voice of that id, or the default where None.

        Raises:
            NotFoundError: there is none; the message lists the known ids.
            VoiceError: its files are damaged.
        """
        if not self._folders:
            raise NotFoundError(f"{self.folder}: holds no voice", param="voice")
        voice_id = self.ids()[0] if voice_id is None else voice_id
        if voice_id not in self._folders:
            raise NotFoundError(
                f"voice {voice_id!r} is unknown: choose one of {', '.join(self.ids())}",
                param="voice",
            )
        with self._lock:
            if voice_id not in self._voices:
                self._voices[voice_id] = load(self._folders[voice_id])
            return self._voices[voice_id]
