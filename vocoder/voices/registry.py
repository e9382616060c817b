"""The voices in one or two folders: loaded on first use, reloaded when they change.

Clients name voices by id. An id is looked up among the voices found; it never becomes a path.
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
    """The outcome of a change to a voice folder.

    Attributes:
        kind: whether a voice was added, replaced, removed, or refused.
        id: the voice's id; the folder's name if it has none.
        old: the voice that is no longer served; None if it was never loaded.
        reason: why the change was refused.
    """

    kind: Literal["loaded", "replaced", "removed", "refused"]
    id: str
    old: Voice | None = None
    reason: str = ""


class VoiceRegistry:
    """The voices in a folder, by id. Each is loaded on first use and kept. Thread-safe."""

    def __init__(
        self,
        folder: Path,
        device: torch.device = CPU,
        *,
        more: Path | None = None,
        refused: Callable[[VoiceError], None] | None = None,
    ) -> None:
        """Find the voices, without loading them.

        Args:
            folder: contains the voice folders.
            device: where to put the WaveNets.
            more: a second folder of voice folders, listed after those of the first.
            refused: called for each voice folder that is left out because its manifest is invalid
                or its id is another voice's; by default one such folder is an error.

        Raises:
            VoiceError: a folder does not exist, a manifest is invalid, or two voices share an id.
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
        self._set_aside: set[str] = set()
        self._watch = FolderWatch(*folders)
        for path in self._watch.voice_folders():
            try:
                self._folders[self._new_id(path)] = path
            except VoiceError as error:
                if refused is None:
                    raise
                self._refused.add(path)
                refused(error)

    def _new_id(self, path: Path) -> str:
        manifest = read_manifest(path)
        if manifest.id in self._folders:
            raise VoiceError(
                f"{path} and {self._folders[manifest.id]} have the same id, {manifest.id}"
            )
        return manifest.id

    def ids(self) -> list[str]:
        """Ids of all voices in the order of their folders; the first is the default voice.

        If that was set aside, the next one is.
        """
        return list(self._folders)

    def refused(self) -> list[str]:
        """Names of the voice folders that are not served, and ids of voices that were set aside."""
        return sorted({path.name for path in self._refused} | self._set_aside)

    def set_aside(self, voice_id: str) -> None:
        """Choose another default voice than this one, which is damaged, until it is replaced."""
        self._set_aside = self._set_aside | {voice_id}

    def _default(self) -> str | None:
        folders, set_aside = self._folders, self._set_aside
        sound = (voice_id for voice_id in folders if voice_id not in set_aside)
        return next(sound, next(iter(folders), None))

    def get(self, voice_id: str | None = None) -> Voice:
        """The voice with this id, loaded if necessary; the default voice where None.

        Raises:
            NotFoundError: there is no such voice; the message lists the known ids.
            VoiceError: its files are damaged.
        """
        with self._lock:
            if not self._folders:
                raise NotFoundError(f"{self.folder}: contains no voices", param="voice")
            voice_id = self._default() if voice_id is None else voice_id
            if voice_id is None or voice_id not in self._folders:
                raise NotFoundError(
                    f"voice {voice_id!r} is unknown: choose one of {', '.join(self._folders)}",
                    param="voice",
                )
            if voice_id not in self._voices:
                voice = load(self._folders[voice_id], self.device, in_memory=self._voices.values())
                if voice.id != voice_id:
                    raise VoiceError(
                        f"{voice.folder}: the id changed from {voice_id} to {voice.id}"
                    )
                self._voices[voice_id] = voice
            return self._voices[voice_id]

    def loaded(self, voice_id: str | None = None) -> Voice | None:
        """As :meth:`get`, but None if the voice is not loaded yet; never blocks."""
        folders = self._folders
        chosen = self._default() if voice_id is None else voice_id
        return self._voices.get(chosen) if chosen in folders else None

    def serves(self, digest: str) -> bool:
        """Whether a voice with this digest is loaded and served."""
        with self._lock:
            return any(voice.digest == digest for voice in self._voices.values())

    def refresh(
        self, prepare: Callable[[Voice], None] = lambda voice: None, *, at_once: bool = False
    ) -> list[VoiceChange]:
        """Check the folders; load what was added or changed, drop what was removed.

        A changed voice is loaded and verified while the old one keeps serving; if it is refused,
        the old one stays. Callers that hold a removed voice can go on using it. Only one thread may
        call this at a time.

        Args:
            prepare: called with each voice before it is served; raises ``UserError`` to refuse it.
            at_once: also load changes first seen at this check. By default a change is loaded only
                once two checks in a row find the same files, so that copying can finish.
        """
        changed = self._watch.changed(at_once=at_once)
        gone = {path for path in changed if not self._watch.exists(path)}
        if gone:  # A removed voice may have blocked another one with the same id.
            changed = sorted(self._refused.union(changed), key=self._watch.sort_key)
        changes = []
        for path in sorted(changed, key=gone.__contains__):
            # Whatever the outcome, it is not tried again until it changes again.
            self._watch.mark_processed(path)
            self._refused.discard(path)
            try:
                voice = None if path in gone else self._load(path, gone, prepare)
            except UserError as error:
                if not self._watch.unchanged(path):
                    self._watch.recheck(path)  # It changed while being read: no verdict yet.
                    continue
                self._refused.add(path)
                served = next((i for i, at in self._folders.items() if at == path), path.name)
                changes.append(VoiceChange("refused", served, reason=str(error)))
            else:
                changes += self._swap(path, voice)
        return changes

    def _load(self, path: Path, gone: set[Path], prepare: Callable[[Voice], None]) -> Voice:
        voice = load(path, self.device, in_memory=tuple(self._voices.values()))
        other = self._folders.get(voice.id, path)
        if other != path and other not in gone:
            raise VoiceError(f"{path} and {other} have the same id, {voice.id}")
        old = self._voices.get(voice.id)
        if old is None or old.manifest != voice.manifest:
            prepare(voice)
        return voice

    def _swap(self, path: Path, voice: Voice | None) -> list[VoiceChange]:
        """Serve ``voice`` from a folder; None if the folder no longer holds one."""
        changes = []
        with self._lock:
            folders = dict(self._folders)
            for left in [
                i for i, at in folders.items() if at == path and (voice is None or i != voice.id)
            ]:
                del folders[left]
                self._set_aside = self._set_aside - {left}
                changes.append(VoiceChange("removed", left, self._voices.pop(left, None)))
            if voice is not None:
                self._set_aside = self._set_aside - {voice.id}
                old = self._voices.get(voice.id)
                if old is None or old.manifest != voice.manifest:
                    kind: Literal["replaced", "loaded"] = (
                        "replaced" if voice.id in folders else "loaded"
                    )
                    changes.append(VoiceChange(kind, voice.id, old))
                    self._voices[voice.id] = voice
                folders[voice.id] = path
            # Other threads read the dictionary without the lock, so it is replaced, not modified.
            in_order = sorted(folders.items(), key=lambda item: self._watch.sort_key(item[1]))
            self._folders = dict(in_order)
        return changes
