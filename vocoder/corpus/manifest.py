"""A prepared corpus on disk, written by ``vocoder prepare`` and read by training and evaluation.

The folder contains ``corpus.json`` (settings, speakers, sources), ``manifest.jsonl`` (one utterance
per line), ``rejected.jsonl`` and ``utterances/SPEAKER/ID.safetensors`` with 16-bit audio (T,) and
its log-mel (n_mels, F), where T = F * hop.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field
from torch import Tensor

from vocoder import files
from vocoder.config import FeatureConfig, StrictModel
from vocoder.corpus.utterances import ReadableCorpus, Split, Utterance, damaged, read_utterance_file
from vocoder.errors import ConfigError, CorpusError

FORMAT = 1
CORPUS_FILE = "corpus.json"
MANIFEST_FILE = "manifest.jsonl"
REJECTED_FILE = "rejected.jsonl"
UNFINISHED_FILE = ".unfinished"

Reason = Literal[
    "unreadable",
    "empty",
    "silent",
    "clipped",
    "too_short",
    "too_long",
    "no_transcript",
    "missing",
    "duplicate",
    "unsafe_name",
    "malformed",
]


class Rejection(StrictModel):
    """One line of ``rejected.jsonl``: a rejected recording and the reason."""

    id: str = Field(description="id as found, or the file name")
    speaker: str = Field(description="speaker as found")
    source: str = Field(description="path of the recording or of the file that lists it")
    reason: Reason = Field(description="kind of problem")
    detail: str = Field(description="what was found and what was expected")
    digest: str | None = Field(
        None, description="hash of recording and settings, if it was processed"
    )


class Source(StrictModel):
    """One source folder of the corpus."""

    path: str = Field(description="path as given")
    layout: Literal["ljspeech", "vctk", "folder"] = Field(description="detected layout")
    speakers: tuple[str, ...] = Field(description="speakers found in it")
    licence: str | None = Field(description="first line of its LICENSE file, if any")


class _CorpusFile(StrictModel):
    """The content of ``corpus.json``."""

    format: Literal[1]
    features: FeatureConfig
    speakers: tuple[str, ...] = Field(min_length=1)
    preparation: dict[str, Any]
    sources: tuple[Source, ...]
    hours: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Corpus(ReadableCorpus):
    """A prepared corpus.

    Attributes:
        folder: its folder.
        features: settings of its mels.
        speakers: names, sorted.
        utterances: sorted by speaker, then id.
    """

    folder: Path
    features: FeatureConfig
    speakers: tuple[str, ...]
    utterances: tuple[Utterance, ...]
    sources: tuple[Source, ...] = ()

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the manifest of a prepared folder.

        Raises:
            CorpusError: the folder is not a prepared corpus, or is unfinished or damaged; the
                message says what to do.
        """
        if not (folder / CORPUS_FILE).is_file() and not (folder / UNFINISHED_FILE).is_file():
            raise CorpusError(
                f"{folder}: not a prepared corpus (no {CORPUS_FILE}); "
                f"create one with: vocoder prepare RECORDINGS -o {folder}"
            )
        if (folder / UNFINISHED_FILE).is_file():
            raise CorpusError(f"{folder}: preparation did not finish; run vocoder prepare again")
        head = _read_head(folder / CORPUS_FILE)
        utterances = tuple(
            Utterance.parse(data, where) for data, where in read_lines(folder / MANIFEST_FILE)
        )
        if not utterances:
            raise damaged(folder / MANIFEST_FILE, "has no utterances")
        seen: set[tuple[str, str]] = set()
        for utterance in utterances:
            key = utterance.speaker, utterance.id
            if key in seen:
                raise damaged(folder / MANIFEST_FILE, f"lists {'/'.join(key)} twice")
            seen.add(key)
            if utterance.samples != utterance.frames * head.features.hop_length:
                raise damaged(
                    folder / MANIFEST_FILE,
                    f"lists {'/'.join(key)} with {utterance.samples} samples in "
                    f"{utterance.frames} frames of {head.features.hop_length}",
                )
        if {u.speaker for u in utterances} != set(head.speakers):
            raise damaged(folder / MANIFEST_FILE, f"has different speakers from {CORPUS_FILE}")
        return cls(folder, head.features, head.speakers, utterances, head.sources)

    @property
    def tags(self) -> tuple[str, ...]:
        """All tags of the utterances, sorted."""
        return tuple(sorted({tag for utterance in self.utterances for tag in utterance.tags}))

    def split(self, name: Split) -> tuple[Utterance, ...]:
        """The utterances of one split."""
        return tuple(u for u in self.utterances if u.split == name)

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.name

    def hours(self, split: Split) -> dict[str, float]:
        """Hours per speaker."""
        found: dict[str, float] = {}
        for utterance in self.split(split):
            seconds = utterance.samples / self.features.sample_rate_hz
            found[utterance.speaker] = found.get(utterance.speaker, 0.0) + seconds / 3600
        return found

    def tensors(self, utterance: Utterance) -> dict[str, Tensor]:
        """Audio, mel and, if prepared, F0 of an utterance.

        Raises:
            CorpusError: the file is missing, damaged, or was written with different settings.
        """
        return read_utterance_file(self.folder / utterance.file, self.features)


def read_lines(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the objects of a JSON lines file, each with its position for error messages.

    Raises:
        CorpusError: the file is missing, truncated, or not made of JSON objects.
    """
    try:
        # Split at newlines only: a transcript may contain other line separators.
        with open(path, encoding="utf-8", newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith("\n"):
                    raise damaged(path, "is truncated")
                yield _object(line, f"{path}, line {number}"), f"{path}, line {number}"
    except (OSError, UnicodeDecodeError) as error:
        raise damaged(path, f"is unreadable ({error})") from None


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise CorpusError(f"{where}: not JSON ({error}); run vocoder prepare again") from None
    if not isinstance(data, dict):
        raise CorpusError(f"{where}: not a JSON object; run vocoder prepare again")
    return data


def write_lines(path: Path, items: Iterable[StrictModel]) -> None:
    """Write items as JSON lines, atomically."""
    lines = (json.dumps(item.model_dump(mode="json"), ensure_ascii=False) for item in items)
    files.write_text(path, "".join(f"{line}\n" for line in lines))


def _read_head(path: Path) -> _CorpusFile:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise damaged(path, f"is unreadable ({error})") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else None
        raise damaged(path, f"has format {found}, but this version reads {FORMAT}")
    try:
        return _CorpusFile.parse(data, str(path))
    except ConfigError as error:
        raise CorpusError(f"{error}; run vocoder prepare again") from None
