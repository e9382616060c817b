"""Loading, verifying and saving a voice.

A voice is a folder with ``voice.json`` and the weights it lists, each with its SHA-256. A weights
file may be shared: ``voice.json`` then names the sibling folder that has it. Weights are
safetensors; nothing is unpickled.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from vocoder import files
from vocoder.acoustic.model import AcousticModel
from vocoder.config import AcousticConfig, ContrastConfig, ModelConfig
from vocoder.errors import NotFoundError, VoiceError
from vocoder.machine import CPU
from vocoder.text.linguistic import SYMBOLS
from vocoder.voices import weights as weights_file
from vocoder.voices.manifest import ACOUSTIC_WEIGHTS as ACOUSTIC_WEIGHTS
from vocoder.voices.manifest import MANIFEST as MANIFEST
from vocoder.voices.manifest import VOCODER_WEIGHTS as VOCODER_WEIGHTS
from vocoder.voices.manifest import AcousticProvenance as AcousticProvenance
from vocoder.voices.manifest import Provenance as Provenance
from vocoder.voices.manifest import Source as Source
from vocoder.voices.manifest import StartingPoint as StartingPoint
from vocoder.voices.manifest import VoiceManifest as VoiceManifest
from vocoder.voices.manifest import read_manifest as read_manifest
from vocoder.wavenet.model import WaveNet


@dataclass(frozen=True)
class Voice:
    """A voice in memory: its manifest and models.

    Attributes:
        id: the name that clients use.
        folder: where it was loaded from.
        manifest: the contents of ``voice.json``.
        model: the vocoder, in evaluation mode.
        acoustic: the acoustic model, in evaluation mode; None if the voice cannot read text.
        created: when ``voice.json`` was last modified, in seconds since 1970.
    """

    id: str
    folder: Path
    manifest: VoiceManifest
    model: WaveNet
    acoustic: AcousticModel | None = None
    created: float = 0.0

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of everything that determines how it sounds."""
        return self.manifest.digest()

    @property
    def config(self) -> ModelConfig:
        """The vocoder's configuration."""
        return self.manifest.model

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names of the speakers, in one-hot order."""
        return self.config.speakers

    def speaker_index(self, name: str | None) -> int:
        """Index of a speaker; that of the first where ``name`` is None.

        Raises:
            NotFoundError: the voice has no such speaker; the message lists the ones it has.
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

    def check_tags(self, tags: Sequence[str]) -> None:
        """Refuse tags that the voice does not have.

        Raises:
            NotFoundError: the voice has no such tag; the message lists the ones it has.
        """
        known = self.config.tags
        for tag in tags:
            if tag not in known:
                has = f"has {', '.join(known)}" if known else "has none"
                raise NotFoundError(
                    f"tag {tag[:64]!r} is unknown: voice {self.id} {has}", param="tags"
                )

    def contrast(self, speaker: int) -> ContrastConfig | None:
        """Contrast of the spectra that are predicted for a speaker, by index."""
        generation = self.manifest.generation
        return generation.speaker_contrast.get(self.speakers[speaker], generation.contrast)

    def with_generation(self, **changes: Any) -> "Voice":
        """The same voice with other settings of :class:`GenerationConfig`."""
        generation = self.manifest.generation.model_copy(update=changes)
        manifest = self.manifest.model_copy(update={"generation": generation})
        return replace(self, manifest=manifest)


def save(
    folder: Path, model: WaveNet, manifest: VoiceManifest, acoustic: AcousticModel | None = None
) -> VoiceManifest:
    """Write a self-contained voice and return its manifest, updated to describe these models.

    ``voice.json`` is written last, so an interrupted save leaves a folder that is refused, never
    one that loads wrong weights.
    """
    weights = {VOCODER_WEIGHTS: weights_file.write(folder / VOCODER_WEIGHTS, model.state_dict())}
    if acoustic:
        # Half precision is enough for the acoustic model, and halves its file.
        halves = {name: p.half() for name, p in acoustic.named_parameters()}
        path = folder / ACOUSTIC_WEIGHTS
        weights[ACOUSTIC_WEIGHTS] = weights_file.write(path, acoustic.state_dict() | halves)
    else:
        (folder / ACOUSTIC_WEIGHTS).unlink(missing_ok=True)
    manifest = manifest.model_copy(
        update={
            "model": model.config,
            "acoustic": acoustic.config if acoustic else None,
            "symbols": SYMBOLS if acoustic else (),
            "weights": weights,
            "shared": {},
        }
    )
    text = manifest.model_dump_json(indent=2, exclude={"shared"})
    files.write_text(folder / MANIFEST, text + "\n")
    return manifest


def load(folder: Path, device: torch.device = CPU, *, in_memory: Iterable[Voice] = ()) -> Voice:
    """Load a voice and verify its weights.

    The WaveNet goes to ``device``. The acoustic model stays on the CPU: it is small, and native
    code runs it faster than a GPU's many kernel launches would.

    Args:
        folder: the voice's folder.
        device: where its WaveNet runs.
        in_memory: voices that are loaded already; an acoustic model from the same file is reused.

    Raises:
        VoiceError: a file is missing, altered, truncated or padded, or does not fit the model.
    """
    manifest = read_manifest(folder)
    try:
        created = (folder / MANIFEST).stat().st_mtime
    except OSError as error:
        raise VoiceError(f"{folder / MANIFEST}: {error.strerror or error}") from None
    model = WaveNet(manifest.model)
    with _explained(manifest, VOCODER_WEIGHTS):
        path = manifest.weights_path(folder, VOCODER_WEIGHTS)
        weights_file.read(path, manifest.weights[VOCODER_WEIGHTS], model, VoiceError)
    acoustic = None
    if manifest.acoustic:
        with _explained(manifest, ACOUSTIC_WEIGHTS):
            acoustic = _acoustic_model(folder, manifest, manifest.acoustic, in_memory)
    return Voice(manifest.id, folder, manifest, model.to(device), acoustic, created)


def _acoustic_model(
    folder: Path, manifest: VoiceManifest, config: AcousticConfig, in_memory: Iterable[Voice]
) -> AcousticModel:
    path, digest = (
        manifest.weights_path(folder, ACOUSTIC_WEIGHTS),
        manifest.weights[ACOUSTIC_WEIGHTS],
    )
    features, speakers = manifest.model.features, len(manifest.model.speakers)
    for voice in in_memory:
        same = (voice.manifest.acoustic, voice.config.features, len(voice.speakers))
        if (
            voice.acoustic is not None
            and voice.manifest.weights[ACOUSTIC_WEIGHTS] == digest
            and same == (config, features, speakers)
        ):
            weights_file.verified(path, digest, VoiceError)
            return voice.acoustic
    acoustic = AcousticModel(config, features, speakers)
    weights_file.read(path, digest, acoustic, VoiceError)
    if not ((acoustic.alias >= 0) & (acoustic.alias < len(SYMBOLS))).all():
        raise VoiceError(f"{path}: alias refers to symbols that do not exist")
    return acoustic


@contextlib.contextmanager
def _explained(manifest: VoiceManifest, name: str) -> Iterator[None]:
    """Say of an error in a shared file whose it is."""
    try:
        yield
    except VoiceError as error:
        if name not in manifest.shared:
            raise
        raise VoiceError(
            f"{error} (voice {manifest.id} shares this file with {manifest.shared[name]!r}, whose "
            "folder must be beside its own; vocoder pack makes a self-contained voice)"
        ) from None
