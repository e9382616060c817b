"""Read a corpus from shards, in a local folder or at a URL, in bounded memory and disk space.

A shard is fetched as a whole, once, and read in any order from then on: every utterance is found by
its offset. So the reader needs neither the shards before nor a sequence, which is what lets a run
resume anywhere; the webdataset library reads the same files, but only as a sequence.
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
    """How a corpus in shards is read; of no account for a folder of utterances."""

    shuffle: int = Field(8, ge=1, description="shards whose utterances are shuffled together")
    damaged: Literal["refuse", "skip"] = Field("refuse", description="what damaged shards do")
    cache: str = Field("", description="folder for fetched shards; below the system's if empty")
    cache_mb: int = Field(20_000, ge=1, description="most it may hold, in 1,000,000 bytes")


class OpenShard:
    """A shard at hand: its utterances and their tensors."""

    def __init__(self, shard: Shard, tar: Path, lines: bytes) -> None:
        """Open the tar file, which may be deleted from then on; closed with the last reference."""
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
        """One utterance; parsed when asked for, as lines take a tenth of the memory."""
        parsed = PackedUtterance.model_validate_json(self._lines[index])
        return parsed.model_copy(update={"shard": self.shard.name})

    def read(self, utterance: PackedUtterance) -> dict[str, Tensor]:
        """Tensors of one of its utterances."""
        content = os.pread(self._file, utterance.size, utterance.offset)
        return load(content)


class ShardedCorpus(ReadableCorpus):
    """A corpus in shards.

    Attributes:
        folder: where it lies: a path or a URL.
        index: what ``shards.json`` says.
        skipped: names of shards that were passed over as damaged.
    """

    folder: str

    def __init__(self, location: str, settings: ShardSettings) -> None:
        """Read the index of the shards at ``location``.

        Raises:
            CorpusError: there is no index, it is damaged, or the URL cannot be opened here.
        """
        self.folder, self.settings = location.rstrip("/"), settings
        local = self.folder.removeprefix("file://")
        self._local = None if "://" in local else Path(local)
        try:
            data = self._bytes(INDEX_FILE)
        except FileNotFoundError:
            raise CorpusError(
                f"{location}: no {INDEX_FILE}; make one with: vocoder shard CORPUS -o DIR"
            ) from None
        self.index = _parsed(data, f"{self.folder}/{INDEX_FILE}")
        self.features: FeatureConfig = self.index.features
        self.speakers, self.tags = self.index.speakers, self.index.tags
        self.sources, self.name = self.index.sources, self.index.name
        self.skipped: set[str] = set()
        self._checked: set[str] = set()
        self._shards = {shard.name: shard for shard in self.index.shards}
        self._open: OrderedDict[str, Future[OpenShard]] = OrderedDict()
        self._lock = threading.Lock()
        self._fetchers = ThreadPoolExecutor(2, "shards")
        place = hashlib.sha256(data).hexdigest()[:16]
        root = settings.cache or f"{tempfile.gettempdir()}/vocoder-shards"
        self._cache = Path(root).expanduser() / place

    def shards(self, split: Split) -> tuple[Shard, ...]:
        """Those of one split."""
        return tuple(shard for shard in self.index.shards if shard.split == split)

    def split(self, name: Split) -> tuple[PackedUtterance, ...]:
        """All utterances of a split: for small ones, as they are all held in memory."""
        found: list[PackedUtterance] = []
        for shard in self.shards(name):
            opened = OpenShard(shard, Path(os.devnull), self._list(shard))
            found += [opened[index] for index in range(len(opened))]
        return tuple(found)

    def hours(self, split: Split) -> dict[str, float]:
        """Hours of each speaker."""
        found = {speaker: hours.get(split, 0.0) for speaker, hours in self.index.hours.items()}
        return {speaker: hours for speaker, hours in found.items() if hours}

    def tensors(self, utterance: Utterance) -> dict[str, Tensor]:
        """Audio, mel and, where prepared, F0 of an utterance.

        Raises:
            CorpusError: its shard is damaged or missing.
        """
        assert isinstance(utterance, PackedUtterance)
        where = f"{self.folder}/{utterance.shard}.tar, {utterance.speaker}/{utterance.id}"
        try:
            tensors = self.open(utterance.shard).read(utterance)
        except (SafetensorError, OSError) as error:
            raise CorpusError(f"{where}: is unusable ({error}); write the shards again") from None
        check_tensors(tensors, self.features, where)
        return tensors

    def open(self, name: str) -> OpenShard:
        """A shard, fetched where it is not at hand.

        Raises:
            CorpusError: it is missing or damaged.
        """
        return self.prefetch(name).result()

    def prefetch(self, name: str) -> Future[OpenShard]:
        """Begin to fetch a shard in the background."""
        with self._lock:
            if name in self._open:
                self._open.move_to_end(name)
                return self._open[name]
            self._open[name] = future = self._fetchers.submit(self._fetched, self._shards[name])
            # Two windows and one: those of now, those that come, and held-out speech.
            while len(self._open) > 2 * self.settings.shuffle + 1:
                self._open.popitem(last=False)
            return future

    def _fetched(self, shard: Shard) -> OpenShard:
        lines = self._list(shard)
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
            except Exception as error:  # clients raise what they like; or another made room
                tar.unlink(missing_ok=True)
                if attempt == ATTEMPTS:
                    raise CorpusError(f"{self.folder}/{shard.name}.tar: {error}") from None
        raise AssertionError

    def _download(self, shard: Shard, tar: Path) -> None:
        system, path = fsspec.core.url_to_fs(f"{self.folder}/{shard.name}.tar")
        with files.replacing(tar) as temporary:
            system.get_file(path, str(temporary))

    def _make_room(self, shard: Shard) -> None:
        """Delete the least recently opened shards of the cache, so that one more fits."""
        limit, need = self.settings.cache_mb * MEGABYTE, 2 * self.settings.shuffle + 1
        largest = max(one.bytes for one in self.index.shards)
        if limit < min(need, len(self._shards)) * largest:
            raise CorpusError(
                f"shards.cache_mb {self.settings.cache_mb} does not hold twice the "
                f"{self.settings.shuffle} shards that are shuffled together: make it at least "
                f"{-(-need * largest // MEGABYTE)}, or shards.shuffle smaller"
            )
        self._cache.mkdir(parents=True, exist_ok=True)
        held = sorted(self._cache.glob("*.tar"), key=lambda path: path.stat().st_mtime)
        total = shard.bytes + sum(path.stat().st_size for path in held)
        for path in held:
            if total <= limit:
                return
            total -= path.stat().st_size
            path.unlink(missing_ok=True)

    def _list(self, shard: Shard) -> bytes:
        lines = self._bytes(f"{shard.name}.jsonl")
        if hashlib.sha256(lines).hexdigest() != shard.list_sha256:
            raise CorpusError(
                f"{self.folder}/{shard.name}.jsonl: differs from {INDEX_FILE}; write the shards "
                "again"
            )
        return lines

    def _bytes(self, name: str) -> bytes:
        if self._local:
            return (self._local / name).read_bytes()
        try:
            with fsspec.open(f"{self.folder}/{name}", "rb") as source:
                content: bytes = source.read()
        except FileNotFoundError:
            raise
        except Exception as error:  # no client for this kind of URL; or what it raises
            raise CorpusError(f"{self.folder}/{name}: {error}", param="corpus") from None
        return content


def open_corpus(location: str, settings: ShardSettings) -> "Corpus | ShardedCorpus":
    """A corpus by its folder or URL, whether of utterance files or of shards.

    Raises:
        CorpusError: there is none, or it is damaged.
    """
    local = Path(location.removeprefix("file://"))
    if "://" not in str(location.removeprefix("file://")) and not (local / INDEX_FILE).is_file():
        return Corpus.load(local)
    return ShardedCorpus(location, settings)


def aligned_utterances(
    corpus: Corpus | ShardedCorpus, split: Split
) -> list[tuple[Utterance, AlignedUtterance]]:
    """Utterances of a split that are aligned, with their alignment.

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
    """Aligned utterances by speaker and id, those of a folder or some that come from shards.

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
            what = f"is damaged: its SHA-256 is not the one of {INDEX_FILE}"
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
    raise CorpusError(f"{tar}: {what}; fetch or write it again, or set shards.damaged = 'skip'")


def _parsed(data: bytes, where: str) -> ShardIndex:
    try:
        return ShardIndex.model_validate_json(data)
    except ValueError as error:
        raise CorpusError(f"{where}: not an index of shards: {error}") from None
