"""The voices of one or two folders: loaded when asked for, kept up with changes.

Clients name voices by id, and an id is looked up among the folders that were found: it never
becomes a path.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from vocoder.errors import NotFoundError, UserError, VoiceError
from vocoder.machine import CPU
from vocoder.voices.folder_watch import FolderWatch
from vocoder.voices.manifest import read_manifest
from vocoder.voices.voice import Voice, load


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
