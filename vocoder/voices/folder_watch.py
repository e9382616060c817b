"""Finds voices whose files have changed, by inode, size and modification time."""

import functools
from pathlib import Path

from vocoder.errors import VoiceError
from vocoder.voices.manifest import ACOUSTIC_WEIGHTS, MANIFEST, VOCODER_WEIGHTS, read_manifest

FileState = tuple[int, int, int]
"""Inode, size in bytes and modification time in ns of a file."""

VoiceState = tuple[FileState | None, ...]
"""The state of each of a voice's files; None for a file that does not exist."""


class FolderWatch:
    """Watches voice folders and lists those that changed since they were last processed."""

    def __init__(self, *parents: Path) -> None:
        """Watch the voice folders in ``parents``; their current state counts as processed."""
        self._parents = parents
        self._processed = {path: state_of(path) for path in self.voice_folders()}
        self._latest: dict[Path, VoiceState | None] = {}

    def voice_folders(self) -> list[Path]:
        """The folders that hold a ``voice.json``, in order."""
        return [
            path.parent for parent in self._parents for path in sorted(parent.glob(f"*/{MANIFEST}"))
        ]

    def sort_key(self, folder: Path) -> tuple[int, Path]:
        """A key that sorts voice folders as :meth:`voice_folders` does."""
        return self._parents.index(folder.parent), folder

    def changed(self, *, at_once: bool = False) -> list[Path]:
        """Check all folders; return those added, changed or removed since processed, in order.

        Args:
            at_once: also return folders that changed since the previous check. By default they wait
                for the next check, because their files may still be being copied.
        """
        # A missing parent is more likely unmounted than deleted, so its voices are kept.
        existing = {parent for parent in self._parents if parent.is_dir()}
        now: dict[Path, VoiceState | None] = {
            path: None for path in self._processed if path.parent in existing
        }
        now |= {path: state_of(path) for path in self.voice_folders()}
        previous, self._latest = self._latest, now
        return [
            path
            for path, state in sorted(now.items(), key=lambda item: self.sort_key(item[0]))
            if state != self._processed.get(path)
            and (at_once or (path in previous and previous[path] == state))
        ]

    def exists(self, folder: Path) -> bool:
        """Whether a folder held a voice at the last check."""
        return self._latest.get(folder) is not None

    def mark_processed(self, folder: Path) -> None:
        """Count the state of a folder at the last check as processed."""
        state = self._latest.get(folder)
        if state is None:
            self._processed.pop(folder, None)
        else:
            self._processed[folder] = state

    def recheck(self, folder: Path) -> None:
        """Count a folder as changed at the next check."""
        self._processed[folder] = ()

    def unchanged(self, folder: Path) -> bool:
        """Whether a folder is still as it was at the last check."""
        return state_of(folder) == self._latest.get(folder)


def state_of(folder: Path) -> VoiceState | None:
    """The state of a voice's files, shared ones included; None if there is no voice."""
    manifest = _file_state(folder / MANIFEST)
    if manifest is None:
        return None
    return manifest, *map(_file_state, _weights_paths(folder, manifest))


@functools.lru_cache(maxsize=256)
def _weights_paths(folder: Path, manifest: FileState) -> tuple[Path, ...]:
    """A voice's weights files; ``manifest``, the state of its ``voice.json``, is only a cache key.

    Those of an unreadable ``voice.json`` are the ones in its own folder.
    """
    names = (VOCODER_WEIGHTS, ACOUSTIC_WEIGHTS)
    try:
        read = read_manifest(folder)
    except VoiceError:
        return tuple(folder / name for name in names)
    return tuple(read.weights_path(folder, name) for name in names)


def _file_state(path: Path) -> FileState | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
