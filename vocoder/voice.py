"""A voice on disk: load, save, verify, keep up with changes.

A voice is a folder with ``voice.json`` and the weights it names, each with its SHA-256. Weights
are safetensors; nothing is unpickled. Clients name voices by id, and an id is looked up among the
folders that were found: it never becomes a path.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from vocoder import files, weights_file
from vocoder.acoustic.model import AcousticModel
from vocoder.config import ModelConfig
from vocoder.device import CPU
from vocoder.errors import NotFoundError, UserError, VoiceError
from vocoder.manifest import ACOUSTIC_WEIGHTS as ACOUSTIC_WEIGHTS
from vocoder.manifest import MANIFEST as MANIFEST
from vocoder.manifest import VOCODER_WEIGHTS as VOCODER_WEIGHTS
from vocoder.manifest import AcousticProvenance as AcousticProvenance
from vocoder.manifest import Provenance as Provenance
from vocoder.manifest import Source as Source
from vocoder.manifest import VoiceManifest as VoiceManifest
from vocoder.manifest import read_manifest as read_manifest
from vocoder.text.linguistic import SYMBOLS
from vocoder.watching import FolderWatch
from vocoder.wavenet.conditioning import global_conditioning
from vocoder.wavenet.model import WaveNet


@dataclass(frozen=True)
class Voice:
    """A loaded voice.

    Attributes:
        id: what clients call it.
        folder: where it was read from.
        manifest: the contents of ``voice.json``.
        model: the vocoder, in evaluation mode.
        acoustic: the acoustic model, in evaluation mode; None where the voice reads no text.
        created: when its ``voice.json`` was written, in seconds since 1970.
    """

    id: str
    folder: Path
    manifest: VoiceManifest
    model: WaveNet
    acoustic: AcousticModel | None = None
    created: float = 0.0

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, over all that decides how it sounds: weights and settings."""
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

    def identity(self, speaker: str | None, tags: Sequence[str] = ()) -> Tensor:
        """Global conditioning (S,) of a speaker and tags.

        Raises:
            NotFoundError: the voice has no such speaker or tag; the message lists those it has.
        """
        index, known = self.speaker_index(speaker), self.config.tags
        for tag in tags:
            if tag not in known:
                has = f"has {', '.join(known)}" if known else "has none"
                raise NotFoundError(
                    f"tag {tag[:64]!r} is unknown: voice {self.id} {has}", param="tags"
                )
        return global_conditioning(self.config, index, tags)

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
    weights = {VOCODER_WEIGHTS: weights_file.write(folder / VOCODER_WEIGHTS, model.state_dict())}
    if acoustic:
        # Ten bits of mantissa are enough for these, and halve the voice.
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
        }
    )
    files.write_text(folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
    return manifest


def load(folder: Path, device: torch.device = CPU) -> Voice:
    """Load a voice and verify its weights.

    The WaveNet is put on ``device``. The acoustic model stays on the processor: it is small, and
    its native code there is quicker than so many launches.

    Raises:
        VoiceError: a file is missing, altered, cut short or padded, or does not fit the model.
    """
    manifest = read_manifest(folder)
    try:
        created = (folder / MANIFEST).stat().st_mtime
    except OSError as error:
        raise VoiceError(f"{folder / MANIFEST}: {error.strerror or error}") from None
    model = WaveNet(manifest.model)
    _read_weights(folder, VOCODER_WEIGHTS, manifest, model)
    acoustic = None
    if manifest.acoustic:
        speakers = len(manifest.model.speakers)
        acoustic = AcousticModel(manifest.acoustic, manifest.model.features, speakers)
        _read_weights(folder, ACOUSTIC_WEIGHTS, manifest, acoustic)
        if not ((acoustic.alias >= 0) & (acoustic.alias < len(SYMBOLS))).all():
            raise VoiceError(f"{folder / ACOUSTIC_WEIGHTS}: alias names symbols that do not exist")
    return Voice(manifest.id, folder, manifest, model.to(device), acoustic, created)


def _read_weights(folder: Path, name: str, manifest: VoiceManifest, model: nn.Module) -> None:
    weights_file.read(folder / name, manifest.weights[name], model, VoiceError)


class VoiceChange(NamedTuple):
    """What became of a folder that had changed.

    Attributes:
        kind: it is a new voice, one in place of an older one, none any more, or refused.
        id: the voice's; the folder's name where it says none.
        old: the voice that was served before and now is not; None where it was never loaded.
        reason: why it was refused.
    """

    kind: Literal["loaded", "replaced", "removed", "refused"]
    id: str
    old: Voice | None = None
    reason: str = ""


class VoiceRegistry:
    """The voices below a folder, by id. Each is loaded when first asked for, and kept."""

    def __init__(
        self, folder: Path, device: torch.device = CPU, *, more: Path | None = None
    ) -> None:
        """Find the voices, whose WaveNets are to be on ``device``.

        Args:
            folder: of voice folders.
            device: of the WaveNets.
            more: another folder of voice folders, which come after those of the first.

        Raises:
            VoiceError: no such folder, a damaged manifest, or two voices of one id.
        """
        folders = (folder,) if more is None or more == folder else (folder, more)
        for path in folders:
            if not path.is_dir():
                raise VoiceError(f"{path}: no such folder of voices")
        self.folder, self.device = folder, device
        self._lock = threading.Lock()
        self._voices: dict[str, Voice] = {}
        self._folders: dict[str, Path] = {}
        self._refused: set[Path] = set()
        self._watch = FolderWatch(*folders)
        for path in self._watch.found():
            manifest = read_manifest(path)
            if manifest.id in self._folders:
                raise VoiceError(f"{path} and {self._folders[manifest.id]}: both are {manifest.id}")
            self._folders[manifest.id] = path

    def ids(self) -> list[str]:
        """Ids of all voices, in the order of their folders; the first is the default."""
        return list(self._folders)

    def get(self, voice_id: str | None = None) -> Voice:
        """The voice of that id, or the default where None.

        Raises:
            NotFoundError: there is none; the message lists the known ids.
            VoiceError: its files are damaged.
        """
        with self._lock:
            if not self._folders:
                raise NotFoundError(f"{self.folder}: holds no voice", param="voice")
            voice_id = next(iter(self._folders)) if voice_id is None else voice_id
            if voice_id not in self._folders:
                raise NotFoundError(
                    f"voice {voice_id!r} is unknown: choose one of {', '.join(self._folders)}",
                    param="voice",
                )
            if voice_id not in self._voices:
                voice = load(self._folders[voice_id], self.device)
                if voice.id != voice_id:
                    raise VoiceError(f"{voice.folder}: is {voice.id} now, and was {voice_id}")
                self._voices[voice_id] = voice
            return self._voices[voice_id]

    def loaded(self, voice_id: str | None = None) -> Voice | None:
        """As :meth:`get`, without waiting: None where the voice has not been loaded yet."""
        folders = self._folders
        chosen = next(iter(folders), None) if voice_id is None else voice_id
        return self._voices.get(chosen) if chosen in folders else None

    def serves(self, digest: str) -> bool:
        """Whether a voice of this digest is loaded and served."""
        with self._lock:
            return any(voice.digest == digest for voice in self._voices.values())

    def refresh(
        self, prepare: Callable[[Voice], None] = lambda voice: None, *, at_once: bool = False
    ) -> list[VoiceChange]:
        """Look at the folders again, and take what is new or altered there, and sound.

        A voice is loaded and verified beside the one it replaces, which serves until then, and
        further where the new one is refused. Those who hold a voice that left keep it. To be
        called by one thread at a time.

        Args:
            prepare: called with a voice before it is served; may refuse it by a ``UserError``.
            at_once: also take what has changed since the last look; otherwise only what has been
                the same for two, for somebody may still be copying.
        """
        changed = self._watch.changed(at_once=at_once)
        gone = {path for path in changed if not self._watch.is_there(path)}
        if gone:  # Perhaps what leaves has been in the way of others.
            changed = sorted(self._refused.union(changed), key=self._watch.place)
        changes = []
        for path in sorted(changed, key=gone.__contains__):
            # Whatever comes of it, it is not tried again before it changes again.
            self._watch.judge(path)
            self._refused.discard(path)
            try:
                voice = None if path in gone else self._sound(path, gone, prepare)
            except UserError as error:
                if not self._watch.is_still(path):
                    self._watch.forget(path)  # Altered meanwhile: no verdict.
                    continue
                self._refused.add(path)
                served = next((i for i, at in self._folders.items() if at == path), path.name)
                changes.append(VoiceChange("refused", served, reason=str(error)))
            else:
                changes += self._swap(path, voice)
        return changes

    def _sound(self, path: Path, gone: set[Path], prepare: Callable[[Voice], None]) -> Voice:
        voice = load(path, self.device)
        other = self._folders.get(voice.id, path)
        if other != path and other not in gone:
            raise VoiceError(f"{path} and {other}: both are {voice.id}")
        old = self._voices.get(voice.id)
        if old is None or old.manifest != voice.manifest:
            prepare(voice)
        return voice

    def _swap(self, path: Path, voice: Voice | None) -> list[VoiceChange]:
        """Serve a voice from a folder, or none any more."""
        changes = []
        with self._lock:
            folders = dict(self._folders)
            for left in [
                i for i, at in folders.items() if at == path and (voice is None or i != voice.id)
            ]:
                del folders[left]
                changes.append(VoiceChange("removed", left, self._voices.pop(left, None)))
            if voice is not None:
                old = self._voices.get(voice.id)
                if old is None or old.manifest != voice.manifest:
                    kind: Literal["replaced", "loaded"] = (
                        "replaced" if voice.id in folders else "loaded"
                    )
                    changes.append(VoiceChange(kind, voice.id, old))
                    self._voices[voice.id] = voice
                folders[voice.id] = path
            # Others read the dictionary without the lock: it is never altered, but put in place.
            in_order = sorted(folders.items(), key=lambda item: self._watch.place(item[1]))
            self._folders = dict(in_order)
        return changes
