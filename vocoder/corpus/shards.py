"""Read a corpus from shards in a local folder or at a URL, in bounded memory and disk space.

A shard is fetched once, as a whole, and then read in any order by the offsets in its index, so that
a run can resume anywhere. The webdataset library can read the same files, but only sequentially.
"""

import hashlib
import logging
import os
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Literal

import fsspec
import numpy as np
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from vocoder import files
from vocoder.config import FeatureConfig, StrictModel
from vocoder.corpus.alignment import AlignedUtterance, read_alignment
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.sharding import INDEX_FILE, MEGABYTE, PackedUtterance, Shard, ShardIndex
from vocoder.corpus.utterances import ReadableCorpus, Split, Utterance, check_tensors
from vocoder.errors import CorpusError

logger = logging.getLogger(__name__)
ATTEMPTS = 3


class ShardSettings(StrictModel):
    """How to read a sharded corpus; ignored for a prepared folder."""

    shuffle: int = Field(8, ge=1, description="shards whose utterances are shuffled together")
    damaged: Literal["refuse", "skip"] = Field("refuse", description="how to handle damaged shards")
    cache: str = Field(
        "", description="cache folder; empty for one in the system's temporary folder"
    )
    cache_mb: int = Field(20_000, ge=1, description="maximum size of the cache, in 1,000,000 bytes")


class OpenShard:
    """An open shard: its utterances and their tensors."""

    def __init__(self, shard: Shard, tar: Path, lines: bytes) -> None:
        """Open the tar file, which may then be deleted; it is closed with the last reference."""
        self.shard, self._file = shard, os.open(tar, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        self._lines = lines.decode().split("\n")[:-1]

    def __len__(self) -> int:
        return len(self._lines)

    @cached_property
    def frames(self) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        """Frames of each utterance (N,)."""
        return np.array([self[index].frames for index in range(len(self))], dtype=np.int64)

    def __getitem__(self, index: int) -> PackedUtterance:
        """One utterance; parsed on demand, because the JSON takes a tenth of the memory."""
        parsed = PackedUtterance.model_validate_json(self._lines[index])
        return parsed.model_copy(update={"shard": self.shard.name})

    def read(self, utterance: PackedUtterance) -> dict[str, Tensor]:
        """The tensors of one of its utterances."""
        return load(os.pread(self._file, utterance.size, utterance.offset))


class ShardedCorpus(ReadableCorpus):
    """A sharded corpus.

    Attributes:
        folder: its location, a path or a URL.
        index: the content of ``shards.json``.
        skipped: names of damaged shards that were skipped.
    """

    folder: str

    def __init__(self, location: str, settings: ShardSettings) -> None:
        """Read the index of the shards at ``location``.

        Raises:
            CorpusError: the index is missing or damaged, or the URL cannot be opened.
        """
        self.folder, self.settings = location.rstrip("/"), settings
        local = self.folder.removeprefix("file://")
        self._local = None if "://" in local else Path(local)
        try:
            data = self._read_bytes(INDEX_FILE)
        except FileNotFoundError:
            raise CorpusError(
                f"{location}: no {INDEX_FILE}; create it with: vocoder shard CORPUS -o DIR"
            ) from None
        self.index = _parse_index(data, f"{self.folder}/{INDEX_FILE}")
        self.features: FeatureConfig = self.index.features
        self.speakers, self.tags = self.index.speakers, self.index.tags
        self.sources, self.name = self.index.sources, self.index.name
        self.skipped: set[str] = set()
        self._checked: set[str] = set()
        self._shards = {shard.name: shard for shard in self.index.shards}
        self._open: OrderedDict[str, Future[OpenShard]] = OrderedDict()
        self._lock = threading.Lock()
        self._fetchers = ThreadPoolExecutor(2, "shards")
        digest = hashlib.sha256(data).hexdigest()[:16]
        root = settings.cache or f"{tempfile.gettempdir()}/vocoder-shards"
        self._cache = Path(root).expanduser() / digest

    def shards(self, split: Split) -> tuple[Shard, ...]:
        """The shards of one split."""
        return tuple(shard for shard in self.index.shards if shard.split == split)

    def split(self, name: Split) -> tuple[PackedUtterance, ...]:
        """All utterances of a split; for small splits, because it keeps them all in memory."""
        found: list[PackedUtterance] = []
        for shard in self.shards(name):
            opened = OpenShard(shard, Path(os.devnull), self._read_list(shard))
            found += [opened[index] for index in range(len(opened))]
        return tuple(found)

    def hours(self, split: Split) -> dict[str, float]:
        """Hours per speaker."""
        found = {speaker: hours.get(split, 0.0) for speaker, hours in self.index.hours.items()}
        return {speaker: hours for speaker, hours in found.items() if hours}

    def tensors(self, utterance: Utterance) -> dict[str, Tensor]:
        """Audio, mel and, if prepared, F0 of an utterance.

        Raises:
            CorpusError: its shard is damaged or missing.
        """
        assert isinstance(utterance, PackedUtterance)
        where = f"{self.folder}/{utterance.shard}.tar, {utterance.speaker}/{utterance.id}"
        try:
            tensors = self.open(utterance.shard).read(utterance)
        except (SafetensorError, OSError) as error:
            raise CorpusError(
                f"{where}: cannot be read ({error}); write the shards again"
            ) from None
        check_tensors(tensors, self.features, where)
        return tensors

    def open(self, name: str) -> OpenShard:
        """Open a shard, after fetching it if necessary.

        Raises:
            CorpusError: the shard is missing or damaged.
        """
        return self.prefetch(name).result()

    def prefetch(self, name: str) -> Future[OpenShard]:
        """Start fetching a shard in the background."""
        with self._lock:
            if name in self._open:
                self._open.move_to_end(name)
                return self._open[name]
            self._open[name] = future = self._fetchers.submit(self._fetch, self._shards[name])
            # The current and the next window, and one shard of held-out speech.
            while len(self._open) > 2 * self.settings.shuffle + 1:
                self._open.popitem(last=False)
            return future

    def _fetch(self, shard: Shard) -> OpenShard:
        lines = self._read_list(shard)
        if self._local:
            tar = self._local / f"{shard.name}.tar"
            if shard.name not in self._checked:
                _check(tar, shard)
                self._checked.add(shard.name)
            return OpenShard(shard, tar, lines)
        tar = self._cache / f"{shard.name}.tar"
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if not tar.is_file() or tar.stat().st_size != shard.bytes:
                    self._make_room(shard)
                    self._download(shard, tar)
                    _check(tar, shard)
                os.utime(tar)
                return OpenShard(shard, tar, lines)
            except Exception as error:  # any client error; or another process deleted the file
                tar.unlink(missing_ok=True)
                if attempt == ATTEMPTS:
                    raise CorpusError(f"{self.folder}/{shard.name}.tar: {error}") from None
        raise AssertionError

    def _download(self, shard: Shard, tar: Path) -> None:
        system, path = fsspec.core.url_to_fs(f"{self.folder}/{shard.name}.tar")
        with files.replacing(tar) as temporary:
            system.get_file(path, str(temporary))

    def _make_room(self, shard: Shard) -> None:
        """Delete the least recently used shards from the cache until one more fits."""
        limit, need = self.settings.cache_mb * MEGABYTE, 2 * self.settings.shuffle + 1
        largest = max(one.bytes for one in self.index.shards)
        if limit < min(need, len(self._shards)) * largest:
            raise CorpusError(
                f"shards.cache_mb {self.settings.cache_mb} is too small for twice the "
                f"{self.settings.shuffle} shards that are shuffled together: make it at least "
                f"{-(-need * largest // MEGABYTE)}, or reduce shards.shuffle"
            )
        self._cache.mkdir(parents=True, exist_ok=True)
        cached = sorted(self._cache.glob("*.tar"), key=lambda path: path.stat().st_mtime)
        total = shard.bytes + sum(path.stat().st_size for path in cached)
        for path in cached:
            if total <= limit:
                return
            total -= path.stat().st_size
            path.unlink(missing_ok=True)

    def _read_list(self, shard: Shard) -> bytes:
        lines = self._read_bytes(f"{shard.name}.jsonl")
        if hashlib.sha256(lines).hexdigest() != shard.list_sha256:
            raise CorpusError(
                f"{self.folder}/{shard.name}.jsonl: does not match {INDEX_FILE}; write the shards "
                "again"
            )
        return lines

    def _read_bytes(self, name: str) -> bytes:
        if self._local:
            return (self._local / name).read_bytes()
        try:
            with fsspec.open(f"{self.folder}/{name}", "rb") as source:
                content: bytes = source.read()
        except FileNotFoundError:
            raise
        except Exception as error:  # no client for this kind of URL, or any client error
            raise CorpusError(f"{self.folder}/{name}: {error}", param="corpus") from None
        return content


def open_corpus(location: str, settings: ShardSettings) -> Corpus | ShardedCorpus:
    """Open a prepared folder, or shards in a folder or at a URL.

    Raises:
        CorpusError: there is no corpus, or it is damaged.
    """
    local = Path(location.removeprefix("file://"))
    if "://" not in str(location.removeprefix("file://")) and not (local / INDEX_FILE).is_file():
        return Corpus.load(local)
    return ShardedCorpus(location, settings)


def aligned_utterances(
    corpus: Corpus | ShardedCorpus, split: Split
) -> list[tuple[Utterance, AlignedUtterance]]:
    """The aligned utterances of a split, with their alignments.

    Raises:
        CorpusError: the corpus is not aligned.
    """
    utterances = corpus.split(split)
    found = read_alignments(corpus, utterances)
    keys = ((utterance, (utterance.speaker, utterance.id)) for utterance in utterances)
    return [(utterance, found[key]) for utterance, key in keys if key in found]


def read_alignments(
    corpus: Corpus | ShardedCorpus, utterances: Sequence[Utterance]
) -> dict[tuple[str, str], AlignedUtterance]:
    """The alignments by speaker and id: all of a folder, or those of utterances from shards.

    Raises:
        CorpusError: the corpus is not aligned.
    """
    if isinstance(corpus, Corpus):
        return read_alignment(corpus)
    packed = (one for one in utterances if isinstance(one, PackedUtterance))
    return {(one.speaker, one.id): one.aligned for one in packed if one.aligned}


def _check(tar: Path, shard: Shard) -> None:
    try:
        size = tar.stat().st_size
        if size != shard.bytes:
            what = f"has {size} bytes, expected {shard.bytes}"
        else:
            with open(tar, "rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
            if digest == shard.sha256:
                return
            what = f"is damaged: its SHA-256 does not match {INDEX_FILE}"
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
    raise CorpusError(f"{tar}: {what}; fetch or write it again, or set shards.damaged = 'skip'")


def _parse_index(data: bytes, where: str) -> ShardIndex:
    try:
        return ShardIndex.model_validate_json(data)
    except ValueError as error:
        raise CorpusError(f"{where}: not a shard index: {error}") from None
