"""Finished responses on disk, by request: the same request is not generated twice.

A file is one line of JSON with the response's headers, and the body after it. It is written under a
temporary name and renamed when complete, so any number of processes can share a folder. Disk errors
are logged once each; all they cost is the cached response.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import stat
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Self

import vocoder
from vocoder.errors import ConfigError

FORMAT = 2
LARGEST_FRACTION = 4
"""A file may take at most one part in this many of the whole cache."""

KEPT_FRACTION = 0.9
"""How full the cache is after a clean-up, so that not every new file needs one."""

SCAN_S = 10.0
"""How often the folder is scanned again, because other processes write to it too."""

LEFTOVER_S = 3600.0
"""Age from which a temporary file is taken to be left behind by a killed process."""

BLOCK = 2**18

COMPLETE = re.compile(r"[0-9a-f]{64}\.response")
PARTIAL = re.compile(r"partial-.*\.tmp")

logger = logging.getLogger(__name__)


def key_of(parts: Mapping[str, Any]) -> str:
    """The cache key of a request.

    Args:
        parts: everything that the response depends on, as JSON; features as a digest. This
            software's version is part of the key too.
    """
    content = {"cache": FORMAT, "version": vocoder.__version__, "parts": parts}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


class CachedBody:
    """A response in the cache. To be closed, or used in a ``with``.

    It can be read to its end even if it is removed from the cache meanwhile.

    Attributes:
        headers: of the response.
        length: of the body, in bytes.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Read the headers of a file.

        Raises:
            ValueError: it has none.
        """
        self.headers: dict[str, str] = json.loads(file.readline())
        self.length = os.fstat(file.fileno()).st_size - file.tell()
        self._file = file

    def read(self, size: int = BLOCK) -> bytes:
        """The next bytes of the body, at most ``size``; empty at its end."""
        return self._file.read(size)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


class ResponseCache:
    """A folder of responses; the least recently used ones are removed to make room.

    Its methods block on the disk: call them in a thread. Threads and processes may share a folder;
    together they can exceed its size for up to ``SCAN_S``.

    Args:
        folder: of the cache; created, with access for its owner only, if it does not exist.
        max_bytes: size of all files together. A response over a quarter of it is not cached.

    Raises:
        ConfigError: the folder cannot be created.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._bytes = 0
        self._scanned = -SCAN_S
        self._logged: set[int | None] = set()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"setting cache_dir = {str(folder)!r}: {error.strerror or error}; "
                "give a folder that exists or can be created",
                param="cache_dir",
            ) from None
        with self.logging_errors():
            self._remove_leftovers()
            self._make_room()

    def get(self, key: str) -> CachedBody | None:
        """The response with that key, or None; an unreadable file is removed."""
        path = self._path(key)
        with self.logging_errors(), contextlib.ExitStack() as stack:
            try:
                found = CachedBody(stack.enter_context(_open(path)))
            except FileNotFoundError:
                return None
            except ValueError:
                logger.warning("removed the unreadable cache file %s", path.name)
                path.unlink(missing_ok=True)
                return None
            with contextlib.suppress(OSError):  # Another user's file, or one just removed.
                os.utime(path)
            stack.pop_all()
            return found
        return None

    def begin(self, key: str, headers: Mapping[str, str]) -> "Writer":
        """Cache a response while it is generated; it is visible once it is committed."""
        return Writer(self, self._path(key), headers)

    @contextlib.contextmanager
    def logging_errors(self) -> Iterator[None]:
        """Suppress disk errors, logging each kind once."""
        try:
            yield
        except OSError as error:
            if error.errno not in self._logged:
                self._logged.add(error.errno)
                logger.warning(
                    "cache %s: %s; responses are generated again instead",
                    self.folder,
                    error.strerror,
                )

    def written(self, size: int) -> None:
        """Count a new file, and make room if the cache is too large."""
        with self._lock:
            self._bytes += size
            if self._bytes > self.max_bytes or time.monotonic() - self._scanned > SCAN_S:
                self._make_room()

    def _path(self, key: str) -> Path:
        path = self.folder / f"{key}.response"
        assert COMPLETE.fullmatch(path.name), key
        return path

    def _make_room(self) -> None:
        files = [(st.st_mtime_ns, st.st_size, path) for path, st in self._files(COMPLETE)]
        self._bytes = sum(size for _, size, _ in files)
        if self._bytes > self.max_bytes:
            for _, size, path in sorted(files):
                Path(path).unlink(missing_ok=True)
                self._bytes -= size
                if self._bytes <= self.max_bytes * KEPT_FRACTION:
                    break
        self._scanned = time.monotonic()

    def _remove_leftovers(self) -> None:
        for path, found in self._files(PARTIAL):
            if time.time() - found.st_mtime > LEFTOVER_S:
                Path(path).unlink(missing_ok=True)

    def _files(self, pattern: re.Pattern[str]) -> Iterator[tuple[str, os.stat_result]]:
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if pattern.fullmatch(entry.name):
                    with contextlib.suppress(FileNotFoundError):  # Another process removed it.
                        yield entry.path, entry.stat(follow_symlinks=False)


def _open(path: Path) -> BinaryIO:
    """A file of the cache.

    Raises:
        ValueError: it is no ordinary file.
    """
    # Opening a named pipe would otherwise wait for another process to write to it.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(handle, "rb")
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        file.close()
        raise ValueError("no ordinary file")
    return file


class Writer:
    """Writes a response to the cache; in a ``with`` it is abandoned unless committed."""

    def __init__(self, cache: ResponseCache, path: Path, headers: Mapping[str, str]) -> None:
        self._cache = cache
        self._path = path
        self._length = 0
        self._file: BinaryIO | None = None
        self._temporary: Path | None = None
        with self._abandon_on_error():
            handle, name = tempfile.mkstemp(prefix="partial-", suffix=".tmp", dir=cache.folder)
            self._temporary = Path(name)
            self._file = os.fdopen(handle, "wb")
        self.write(json.dumps(dict(headers)).encode() + b"\n")

    def write(self, data: bytes) -> None:
        """Append to the body."""
        if self._file is None:
            return
        self._length += len(data)
        if self._length > self._cache.max_bytes // LARGEST_FRACTION:
            self.abandon()
            return
        with self._abandon_on_error():
            self._file.write(data)

    def commit(self) -> None:
        """Make the complete response visible."""
        if self._file is None:
            return
        with self._abandon_on_error():
            self._file.close()
            assert self._temporary is not None
            self._temporary.replace(self._path)
            self._file = self._temporary = None
            self._cache.written(self._length)

    def abandon(self) -> None:
        """Discard the response; does nothing after a commit."""
        file, self._file = self._file, None
        temporary, self._temporary = self._temporary, None
        with self._cache.logging_errors():
            if file is not None:
                file.close()
        with self._cache.logging_errors():
            if temporary is not None:
                temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _abandon_on_error(self) -> Iterator[None]:
        with self._cache.logging_errors():
            try:
                yield
            except OSError:
                self.abandon()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.abandon()
