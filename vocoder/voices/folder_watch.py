"""Which folders of voices have changed, seen from the times and sizes of their files."""

from pathlib import Path

from vocoder.voices.manifest import ACOUSTIC_WEIGHTS, MANIFEST, VOCODER_WEIGHTS

Stamp = tuple[tuple[int, int, int] | None, ...]
"""Inode, size and time of change in ns of each of a voice's files; None for one that is not."""


class FolderWatch:
    """Looks at the voices' folders below some, and says which differ from when they were judged."""

    def __init__(self, *folders: Path) -> None:
        """Take all folders as they are now for judged."""
        self._folders = folders
        self._judged = {path: stamp(path) for path in self.found()}
        self._seen: dict[Path, Stamp | None] = {}

    def found(self) -> list[Path]:
        """The folders that hold a voice, in order. One is there when its ``voice.json`` is."""
        return [
            path.parent for folder in self._folders for path in sorted(folder.glob(f"*/{MANIFEST}"))
        ]

    def place(self, path: Path) -> tuple[int, Path]:
        """A key that sorts voices' folders as :meth:`found` does."""
        return self._folders.index(path.parent), path

    def changed(self, *, at_once: bool = False) -> list[Path]:
        """The folders that are new, altered or gone since they were judged, in order.

        Args:
            at_once: also those that were different at the last look; otherwise they are left to
                the next look, for somebody may still be copying.
        """
        # A folder that is gone is rather not mounted than meant: voices in memory go on.
        there = {folder for folder in self._folders if folder.is_dir()}
        now: dict[Path, Stamp | None] = {p: None for p in self._judged if p.parent in there}
        now |= {path: stamp(path) for path in self.found()}
        before, self._seen = self._seen, now
        return [
            path
            for path, found in sorted(now.items(), key=lambda item: self.place(item[0]))
            if found != self._judged.get(path)
            and (at_once or (path in before and before[path] == found))
        ]

    def is_there(self, folder: Path) -> bool:
        """Whether a folder held a voice at the last look."""
        return self._seen.get(folder) is not None

    def judge(self, folder: Path) -> None:
        """Take a folder as it was at the last look for judged."""
        found = self._seen.get(folder)
        if found is None:
            self._judged.pop(folder, None)
        else:
            self._judged[folder] = found

    def forget(self, folder: Path) -> None:
        """Have a folder judged again at the next look."""
        self._judged[folder] = ()

    def is_still(self, folder: Path) -> bool:
        """Whether a folder is as it was at the last look."""
        return stamp(folder) == self._seen.get(folder)


def stamp(folder: Path) -> Stamp | None:
    """The state of a voice's files; None where there is no voice."""
    files = tuple(_state(folder / name) for name in (MANIFEST, VOCODER_WEIGHTS, ACOUSTIC_WEIGHTS))
    return None if files[0] is None else files


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
