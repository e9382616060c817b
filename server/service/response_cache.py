"""Finished answers on disk, by what was asked: the same request is not spoken twice.

A file is the answer's bytes, its headers as JSON, and a footer of fixed length:

    body | headers | SHA-256 of key and all before | lengths of both, two uint64 | magic

The footer comes last because a body is written while it is made. A file is read only after all of
it agrees with the footer. It is written under a temporary name and renamed when it is whole, so
any number of processes may share a folder. What goes wrong with the disk is logged once and costs
no more than the answer's place in the cache.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import struct
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Self

import vocoder
from vocoder.errors import ConfigError

FORMAT = 1
MAGIC = b"vocoder\x01"
FOOTER = struct.Struct("<32sQQ8s")
LARGEST_FRACTION = 4
"""A file may have one part in so many of the whole size."""

KEPT_FRACTION = 0.9
"""What is left of the size when files were removed, so that the next one does not remove again."""

SCAN_S = 10.0
"""After so long the folder is looked at again: other processes write to it, too."""

LEFTOVER_S = 3600.0
"""Age at which a temporary file is one that a killed process has left."""

BLOCK = 2**18

ANSWER = re.compile(r"[0-9a-f]{64}\.answer")
PARTIAL = re.compile(r"partial-.*\.tmp")

logger = logging.getLogger(__name__)


def key_of(parts: Mapping[str, Any]) -> str:
    """The name under which the answer to a request is kept.

    Args:
        parts: all that the answer depends on, as JSON has it; features as a digest of theirs.
            This software's version counts too.
    """
    asked = {"cache": FORMAT, "version": vocoder.__version__, "parts": parts}
    text = json.dumps(asked, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


class CachedAnswer:
    """An answer that was kept; whole and undamaged. To be closed, or used in a ``with``.

    It can be read to its end also when it is removed meanwhile.
    """

    def __init__(self, headers: dict[str, str], length: int, file: BinaryIO) -> None:
        self.headers = headers
        self.length = length
        self._file = file
        self._left = length

    def read(self, size: int = BLOCK) -> bytes:
        """The next bytes of the body, at most ``size``; empty at its end."""
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


class AudioCache:
    """A folder of answers, of which those that were not asked for longest give way to new ones.

    Its methods wait for the disk: call them in a thread. Threads and processes may share a folder;
    together they may exceed its size for ``SCAN_S``.

    Args:
        folder: where the answers are; made, for its owner alone, where there is none.
        max_bytes: size of all whole files together. One over a quarter of it is not kept.

    Raises:
        ConfigError: the folder is none, and cannot be made.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._bytes = 0
        self._scanned = -SCAN_S
        self._said: set[int | None] = set()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"setting cache_dir = {str(folder)!r}: {error.strerror or error}; "
                "name a folder, or one that can be made",
                param="cache_dir",
            ) from None
        with self.going_on():
            self._remove_leftovers()
            self._make_room()

    def get(self, key: str) -> CachedAnswer | None:
        """The answer of that key, or None; one that is damaged is removed."""
        path = self._path(key)
        with self.going_on(), contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(open(path, "rb"))
                headers, length = _verified(file, key)
            except FileNotFoundError:
                return None
            except ValueError as error:
                logger.warning("cached answer %s is damaged, and removed: %s", key, error)
                path.unlink(missing_ok=True)
                return None
            with contextlib.suppress(OSError):  # It may be another user's, or just removed.
                os.utime(path)
            file.seek(0)
            stack.pop_all()
            return CachedAnswer(headers, length, file)
        return None

    def begin(self, key: str) -> "Writer":
        """Keep an answer while it is made; nothing of it can be got before it is committed."""
        return Writer(self, key, self._path(key))

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        """Whatever the disk does not do is logged, each kind of trouble once."""
        try:
            yield
        except OSError as error:
            if error.errno not in self._said:
                self._said.add(error.errno)
                logger.warning(
                    "cache %s: %s; answers are made again instead", self.folder, error.strerror
                )

    def written(self, size: int) -> None:
        """Count a new file, and make room where it takes too much."""
        with self._lock:
            self._bytes += size
            late = time.monotonic() - self._scanned > SCAN_S
            if self._bytes > self.max_bytes or late:
                self._make_room()

    def _path(self, key: str) -> Path:
        path = self.folder / f"{key}.answer"
        assert ANSWER.fullmatch(path.name), key
        return path

    def _make_room(self) -> None:
        files = [(st.st_mtime_ns, st.st_size, path) for path, st in self._files(ANSWER)]
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
                    with contextlib.suppress(FileNotFoundError):  # Another process was faster.
                        yield entry.path, entry.stat(follow_symlinks=False)


class Writer:
    """An answer on its way into the cache; in a ``with`` it is abandoned where not committed."""

    def __init__(self, cache: AudioCache, key: str, path: Path) -> None:
        self._cache = cache
        self._path = path
        self._digest = hashlib.sha256(key.encode())
        self._length = 0
        self._file: BinaryIO | None = None
        self._temporary: Path | None = None
        with self._safely():
            handle, name = tempfile.mkstemp(prefix="partial-", suffix=".tmp", dir=cache.folder)
            self._temporary = Path(name)
            self._file = os.fdopen(handle, "wb")

    def write(self, data: bytes) -> None:
        """The next bytes of the body."""
        if self._file is None:
            return
        self._length += len(data)
        if self._length > self._cache.max_bytes // LARGEST_FRACTION:
            self.abandon()
            return
        self._digest.update(data)
        with self._safely():
            self._file.write(data)

    def commit(self, headers: Mapping[str, str]) -> None:
        """The answer is whole: from now on it can be got, with these headers."""
        if self._file is None:
            return
        packed = json.dumps(dict(headers)).encode()
        self._digest.update(packed)
        footer = FOOTER.pack(self._digest.digest(), self._length, len(packed), MAGIC)
        with self._safely():
            self._file.write(packed + footer)
            self._file.close()
            assert self._temporary is not None
            self._temporary.replace(self._path)
            self._file = self._temporary = None
            self._cache.written(self._length + len(packed) + len(footer))

    def abandon(self) -> None:
        """Forget the answer; nothing where it is committed."""
        file, self._file = self._file, None
        temporary, self._temporary = self._temporary, None
        with self._cache.going_on():
            if file is not None:
                file.close()
        with self._cache.going_on():
            if temporary is not None:
                temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _safely(self) -> Iterator[None]:
        with self._cache.going_on():
            try:
                yield
            except OSError:
                self.abandon()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.abandon()


def _verified(file: BinaryIO, key: str) -> tuple[dict[str, str], int]:
    """Headers and length of the body of a file.

    Raises:
        ValueError: it is not as it was written.
    """
    size = os.fstat(file.fileno()).st_size
    if size < FOOTER.size:
        raise ValueError(f"{size} bytes")
    file.seek(size - FOOTER.size)
    digest, length, packed, magic = FOOTER.unpack(file.read(FOOTER.size))
    if magic != MAGIC or length + packed + FOOTER.size != size:
        raise ValueError("its lengths do not agree")
    file.seek(0)
    found, left = hashlib.sha256(key.encode()), length
    while left:
        data = file.read(min(BLOCK, left))
        if not data:
            raise ValueError("it ends early")
        found.update(data)
        left -= len(data)
    text = file.read(packed)
    found.update(text)
    if found.digest() != digest:
        raise ValueError("its SHA-256 is another")
    headers: dict[str, str] = json.loads(text)
    return headers, length
