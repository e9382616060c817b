"""Write a prepared corpus as shards: tar files in the webdataset layout, and an index.

``SPLIT-NNNNN.tar`` contains two members per utterance: ``NNNNNNNN.safetensors`` as prepared, and
``NNNNNNNN.json`` with its manifest entry and alignment. ``SPLIT-NNNNN.jsonl`` contains the same
JSON and each utterance's offset in the tar file, for random access. ``shards.json`` contains the
settings of the corpus and the size, SHA-256 and counts of each shard.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from vocoder import files
from vocoder.config import FeatureConfig, StrictModel
from vocoder.corpus.alignment import ALIGNMENT_FILE, AlignedUtterance, read_alignment
from vocoder.corpus.manifest import Corpus, Source
from vocoder.corpus.statistics import SpeechCounts, SpeechStatistics
from vocoder.corpus.utterances import (
    SPLITS,
    Split,
    Utterance,
    interpolated_log_f0,
    read_utterance_file,
)
from vocoder.errors import CorpusError
from vocoder.progress import track

INDEX_FILE = "shards.json"
MEGABYTE = 1_000_000


class PackedUtterance(Utterance):
    """An utterance in a shard: one line of the shard's ``.jsonl`` file."""

    shard: str = Field("", description="name of the shard; filled in by the reader")
    offset: int = Field(ge=0, description="byte offset of its safetensors in the tar file")
    size: int = Field(ge=1, description="size of its safetensors in bytes")
    aligned: AlignedUtterance | None = Field(None, description="its alignment, if any")


class Shard(StrictModel):
    """One shard, as listed in the index."""

    name: str = Field(pattern=r"^[a-z]+-\d{5,}$", description="name of its files without suffix")
    split: Split = Field(description="part of the corpus it belongs to")
    utterances: int = Field(ge=1, description="number of utterances")
    frames: int = Field(ge=1, description="frames of all utterances")
    aligned_frames: int = Field(ge=0, description="frames of the aligned utterances")
    bytes: int = Field(ge=1, description="size of the tar file")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the tar file")
    list_sha256: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the .jsonl file")


class ShardIndex(StrictModel):
    """The content of ``shards.json``."""

    format: Literal[1]
    name: str = Field(description="name of the corpus")
    features: FeatureConfig
    speakers: tuple[str, ...] = Field(min_length=1)
    tags: tuple[str, ...] = Field((), description="tags of its utterances, sorted")
    sources: tuple[Source, ...]
    hours: dict[str, dict[str, float]] = Field(description="hours by speaker and split")
    speech: SpeechStatistics | None = Field(
        None, description="statistics, if prepared with F0 and aligned"
    )
    shards: tuple[Shard, ...] = Field(min_length=1)


def shard(corpus: Corpus, output: Path, *, megabytes: int = 256) -> str:
    """Write ``corpus`` as shards into the folder ``output``; returns a one-line summary.

    Utterances are ordered by a hash of their names, so that every shard contains every speaker.

    Args:
        corpus: the corpus to write, with its alignment if it has one.
        output: a new folder, or a folder of shards, which are replaced.
        megabytes: size at which a shard is closed, in 1,000,000 bytes.

    Raises:
        CorpusError: an utterance's file is damaged, or ``output`` contains other files.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        if not (output / INDEX_FILE).is_file():
            raise CorpusError(f"{output}: contains other files; choose a new or empty folder")
        (output / INDEX_FILE).unlink()  # without it nobody reads a partly written folder
    aligned = read_alignment(corpus) if (corpus.folder / ALIGNMENT_FILE).is_file() else {}
    shards: list[Shard] = []
    counts = SpeechCounts()
    everything = sorted(corpus.utterances, key=lambda u: (SPLITS.index(u.split), _hash(u)))
    following = iter(track(everything, "writing shards", len(everything)))
    waiting = next(following, None)
    while waiting:
        number = sum(one.split == waiting.split for one in shards)
        writer = _Writer(corpus, output, waiting.split, number, aligned, counts)
        while waiting and waiting.split == writer.split and writer.has_room(megabytes * MEGABYTE):
            writer.add(waiting)
            waiting = next(following, None)
        shards.append(writer.close())
    names = {f"{one.name}{suffix}" for one in shards for suffix in (".tar", ".jsonl")}
    for path in (*output.glob("*-*.tar"), *output.glob("*-*.jsonl")):
        if path.name not in names:
            path.unlink()
    hours = {split: corpus.hours(split) for split in SPLITS}
    index = ShardIndex(
        format=1,
        name=corpus.name,
        features=corpus.features,
        speakers=corpus.speakers,
        tags=corpus.tags,
        sources=corpus.sources,
        hours={s: {split: hours[split].get(s, 0.0) for split in SPLITS} for s in corpus.speakers},
        speech=counts.statistics() if counts else None,
        shards=tuple(shards),
    )
    files.write_text(output / INDEX_FILE, index.model_dump_json(indent=1) + "\n")
    size = sum(one.bytes for one in shards) / MEGABYTE
    return f"{len(everything)} utterances in {len(shards)} shards, {size:,.0f} MB: {output}"


def _hash(utterance: Utterance) -> str:
    return hashlib.sha256(f"{utterance.speaker}/{utterance.id}".encode()).hexdigest()


class _Writer:
    """Writes one shard."""

    def __init__(
        self,
        corpus: Corpus,
        folder: Path,
        split: Split,
        number: int,
        aligned: dict[tuple[str, str], AlignedUtterance],
        counts: SpeechCounts,
    ) -> None:
        self.split: Split = split
        self._corpus, self._aligned, self._folder = corpus, aligned, folder
        self._counts = counts
        self._name = f"{split}-{number:05d}"
        folder.mkdir(parents=True, exist_ok=True)
        self._unfinished = folder / f".{self._name}.tar"
        # USTAR has no extended headers, so a member's content starts 512 bytes after its header.
        self._tar = tarfile.open(self._unfinished, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        self._lines: list[PackedUtterance] = []

    def has_room(self, limit: int) -> bool:
        """Whether the shard is smaller than ``limit`` bytes."""
        return self._tar.offset < limit

    def add(self, utterance: Utterance) -> None:
        """Add one utterance."""
        path = self._corpus.folder / utterance.file
        tensors = read_utterance_file(path, self._corpus.features)
        content = path.read_bytes()
        aligned = self._aligned.get((utterance.speaker, utterance.id))
        if aligned and "f0" in tensors and self.split == "train":
            symbols = aligned.phones.symbols
            self._counts.add(utterance.speaker, symbols, *interpolated_log_f0(tensors["f0"]))
        key = f"{len(self._lines):08d}"
        packed = PackedUtterance(
            **utterance.model_dump(),
            offset=self._tar.offset + tarfile.BLOCKSIZE,
            size=len(content),
            aligned=aligned,
        )
        self._member(f"{key}.safetensors", content)
        described = packed.model_dump(mode="json", exclude={"shard", "offset", "size"})
        self._member(f"{key}.json", json.dumps(described, ensure_ascii=False).encode())
        self._lines.append(packed)

    def _member(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        self._tar.addfile(member, io.BytesIO(content))

    def close(self) -> Shard:
        """Finish the tar file and write its ``.jsonl`` file."""
        self._tar.close()
        tar = self._folder / f"{self._name}.tar"
        self._unfinished.replace(tar)
        with open(tar, "rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        listed = "".join(_lines(self._lines)).encode()
        files.write_bytes(tar.with_suffix(".jsonl"), listed)
        return Shard(
            name=self._name,
            split=self.split,
            utterances=len(self._lines),
            frames=sum(line.frames for line in self._lines),
            aligned_frames=sum(line.frames for line in self._lines if line.aligned),
            bytes=tar.stat().st_size,
            sha256=digest,
            list_sha256=hashlib.sha256(listed).hexdigest(),
        )


def _lines(packed: Sequence[PackedUtterance]) -> Iterator[str]:
    for one in packed:
        data: dict[str, Any] = one.model_dump(mode="json", exclude={"shard"})
        yield json.dumps(data, ensure_ascii=False) + "\n"
