"""A prepared corpus on disk: what ``vocoder prepare`` writes, training and evaluation read.

The folder holds ``corpus.json`` (settings, speakers, sources), ``manifest.jsonl`` (one utterance
a line), ``rejected.jsonl`` and ``utterances/SPEAKER/ID.safetensors`` with 16-bit audio (T,) and its
log-mel (n_mels, F), where T = F * hop.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self

import numpy as np
import safetensors
import torch
from pydantic import Field, model_validator
from safetensors import safe_open
from torch import Tensor

from vocoder import files
from vocoder.config import FeatureConfig, Settings
from vocoder.errors import ConfigError, CorpusError, FeatureError
from vocoder.features import check_fingerprint

FORMAT = 1
CORPUS_FILE = "corpus.json"
MANIFEST_FILE = "manifest.jsonl"
REJECTED_FILE = "rejected.jsonl"
UNFINISHED_FILE = ".unfinished"
UTTERANCES_FOLDER = "utterances"
LONGEST_NAME_BYTES = 150

USUAL_LOG_F0 = 5.0
"""148 Hz: what stands where a whole utterance is unvoiced."""

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

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


def unsafe(name: str) -> str | None:
    """Why ``name`` cannot be the name of a file or folder in the corpus; None where it can."""
    if not name.strip():
        return "is empty"
    if any(sign in name for sign in '/\\:*?"<>|') or name.startswith("."):
        return "is a path, starts with a dot or has a sign that file names cannot have"
    if not name.isprintable():
        return "has control characters"
    if len(name.encode("utf-8")) > LONGEST_NAME_BYTES:
        return f"is longer than {LONGEST_NAME_BYTES} bytes"
    return None


def utterance_file(speaker: str, identifier: str) -> str:
    """Path of an utterance below the corpus folder."""
    return f"{UTTERANCES_FOLDER}/{speaker}/{identifier}.safetensors"


class Utterance(Settings):
    """One line of the manifest."""

    id: str = Field(description="unique within the speaker")
    speaker: str = Field(description="speaker's name")
    prompt: str = Field(description="what was read: never on both sides of a split")
    split: Split = Field(description="part of the corpus it belongs to")
    text: str | None = Field(description="transcript, where there is one")
    tags: tuple[str, ...] = Field((), description="what is said of it: style, instrument, ...")
    samples: int = Field(ge=1, description="samples T, a multiple of the hop")
    frames: int = Field(ge=1, description="frames F")
    file: str = Field(description="path below the corpus folder")
    source: str = Field(description="path of the recording it was made from")
    digest: str = Field(pattern="^[0-9a-f]{64}$", description="of the recording and the settings")

    @model_validator(mode="after")
    def _inside(self) -> Self:
        for name in (self.id, self.speaker):
            if why := unsafe(name):
                raise ValueError(f"name {name!r} {why}")
        if PurePosixPath(self.file) != PurePosixPath(utterance_file(self.speaker, self.id)):
            raise ValueError(f"file {self.file!r} does not belong to {self.speaker}/{self.id}")
        return self


class Rejection(Settings):
    """One line of ``rejected.jsonl``: a recording that was passed over, and why."""

    id: str = Field(description="as found, or the file's name")
    speaker: str = Field(description="as found")
    source: str = Field(description="path of the recording or of the line that names it")
    reason: Reason = Field(description="kind of fault")
    detail: str = Field(description="what was found, and what would be right")
    digest: str | None = Field(None, description="of the recording and the settings, where judged")


class Source(Settings):
    """One folder the corpus was made from."""

    path: str = Field(description="as given")
    layout: Literal["ljspeech", "vctk", "folder"] = Field(description="how it was read")
    speakers: tuple[str, ...] = Field(description="who was found in it")
    licence: str | None = Field(description="first line of its LICENSE file, where it has one")


class _CorpusFile(Settings):
    """The content of ``corpus.json``."""

    format: Literal[1]
    features: FeatureConfig
    speakers: tuple[str, ...] = Field(min_length=1)
    preparation: dict[str, Any]
    sources: tuple[Source, ...]
    hours: dict[str, dict[str, float]]


class Readable(ABC):
    """A corpus whose utterances can be read, wherever they lie.

    Attributes:
        folder: where, for messages.
        features: what its mels were made with.
    """

    folder: Path | str
    features: FeatureConfig

    @abstractmethod
    def tensors(self, utterance: Utterance) -> dict[str, Tensor]:
        """Audio, mel and, where prepared, F0 of an utterance.

        Raises:
            CorpusError: they are missing or damaged.
        """

    def read(self, utterance: Utterance) -> tuple[Tensor, Tensor]:
        """Audio and log-mel of an utterance.

        Returns:
            Audio int16 (T,) and mel float32 (n_mels, F).

        Raises:
            CorpusError: the file is missing, damaged, or made with other settings.
        """
        tensors = self.tensors(utterance)
        audio, mel = tensors["audio"], tensors["mel"]
        if audio.shape != (utterance.samples,) or mel.shape[1:] != (utterance.frames,):
            where = f"{self.folder}/{utterance.file}"
            raise _damaged(where, "differs in length from the manifest")
        return audio, mel

    def read_f0(self, utterance: Utterance) -> Tensor | None:
        """F0 in Hz float32 (F,), 0 where unvoiced; None where it was not prepared."""
        return self.tensors(utterance).get("f0")

    def read_melody(self, utterance: Utterance) -> tuple[Tensor, Tensor]:
        """Log F0, linear between voiced frames, and voicing as 0 or 1, both float32 (F,).

        Raises:
            CorpusError: the corpus was prepared without F0.
        """
        f0 = self.read_f0(utterance)
        if f0 is None:
            raise CorpusError(
                f"{self.folder}: prepared without F0; prepare it again with: vocoder prepare --f0"
            )
        voiced = (f0 > 0).numpy()
        if not voiced.any():
            return torch.full_like(f0, USUAL_LOG_F0), torch.zeros_like(f0)
        at = np.arange(len(voiced))
        filled = np.interp(at, at[voiced], np.log(f0.numpy()[voiced]))
        return torch.from_numpy(filled.astype(np.float32)), torch.from_numpy(voiced).float()


@dataclass(frozen=True)
class Corpus(Readable):
    """A prepared corpus.

    Attributes:
        folder: where it lies.
        features: what its mels were made with.
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
            CorpusError: not a prepared folder, unfinished, or damaged; says what to do.
        """
        if not (folder / CORPUS_FILE).is_file() and not (folder / UNFINISHED_FILE).is_file():
            raise CorpusError(
                f"{folder}: not a prepared corpus (no {CORPUS_FILE}); "
                "make one with: vocoder prepare RECORDINGS -o " + str(folder)
            )
        if (folder / UNFINISHED_FILE).is_file():
            raise CorpusError(f"{folder}: preparation did not finish; run vocoder prepare again")
        head = _read_head(folder / CORPUS_FILE)
        utterances = tuple(
            Utterance.parse(data, where) for data, where in read_lines(folder / MANIFEST_FILE)
        )
        if not utterances:
            raise _damaged(folder / MANIFEST_FILE, "holds no utterances")
        seen: set[tuple[str, str]] = set()
        for utterance in utterances:
            key = utterance.speaker, utterance.id
            if key in seen:
                raise _damaged(folder / MANIFEST_FILE, f"names {'/'.join(key)} twice")
            seen.add(key)
            if utterance.samples != utterance.frames * head.features.hop_length:
                raise _damaged(
                    folder / MANIFEST_FILE,
                    f"gives {'/'.join(key)} {utterance.samples} samples in "
                    f"{utterance.frames} frames of {head.features.hop_length}",
                )
        if {u.speaker for u in utterances} != set(head.speakers):
            raise _damaged(folder / MANIFEST_FILE, f"has other speakers than {CORPUS_FILE}")
        return cls(folder, head.features, head.speakers, utterances, head.sources)

    @property
    def tags(self) -> tuple[str, ...]:
        """Every tag that some utterance has, sorted."""
        return tuple(sorted({tag for utterance in self.utterances for tag in utterance.tags}))

    def split(self, name: Split) -> tuple[Utterance, ...]:
        """The utterances of one split."""
        return tuple(u for u in self.utterances if u.split == name)

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.name

    def hours(self, split: Split) -> dict[str, float]:
        """Hours of each speaker."""
        found: dict[str, float] = {}
        for utterance in self.split(split):
            seconds = utterance.samples / self.features.sample_rate_hz
            found[utterance.speaker] = found.get(utterance.speaker, 0.0) + seconds / 3600
        return found

    def tensors(self, utterance: Utterance) -> dict[str, Tensor]:
        """Audio, mel and, where prepared, F0 of an utterance.

        Raises:
            CorpusError: the file is missing, damaged, or made with other settings.
        """
        return read_utterance_file(self.folder / utterance.file, self.features)


def read_utterance_file(path: Path, features: FeatureConfig) -> dict[str, Tensor]:
    """Tensors of an utterance file, checked against the feature settings.

    Raises:
        CorpusError: missing, damaged, or made with other settings.
    """
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = dict(opened.metadata() or {})
            tensors = {str(key): opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        check_fingerprint(metadata, features)
    except FileNotFoundError:
        raise _damaged(path, "is missing") from None
    except (safetensors.SafetensorError, OSError, FeatureError) as error:
        raise _damaged(path, f"is unusable ({error})") from None
    check_tensors(tensors, features, path)
    return tensors


def check_tensors(tensors: dict[str, Tensor], features: FeatureConfig, path: Path | str) -> None:
    """Check an utterance's tensors against the feature settings.

    Raises:
        CorpusError: one is missing or of another shape.
    """
    audio, mel = tensors.get("audio"), tensors.get("mel")
    if audio is None or audio.dtype != torch.int16 or audio.ndim != 1:
        raise _damaged(path, "lacks audio as int16 (T,)")
    if mel is None or mel.dtype != torch.float32 or mel.ndim != 2:
        raise _damaged(path, "lacks mel as float32 (n_mels, F)")
    if mel.shape[0] != features.n_mels or mel.shape[1] * features.hop_length != audio.shape[0]:
        raise _damaged(path, f"has mel {tuple(mel.shape)} for {audio.shape[0]} samples")


def read_lines(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Objects of a JSON-lines file, each with its place for error messages, one at a time.

    Raises:
        CorpusError: missing, cut short, or not JSON objects.
    """
    try:
        # Not every line separator: a transcript may hold others than the newline.
        with open(path, encoding="utf-8", newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith("\n"):
                    raise _damaged(path, "is cut short")
                yield _object(line, f"{path}, line {number}"), f"{path}, line {number}"
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, f"is unreadable ({error})") from None


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise CorpusError(f"{where}: not JSON ({error}); run vocoder prepare again") from None
    if not isinstance(data, dict):
        raise CorpusError(f"{where}: not a JSON object; run vocoder prepare again")
    return data


def write_lines(path: Path, items: Iterable[Settings]) -> None:
    """Write settings as JSON lines, atomically."""
    lines = (json.dumps(item.model_dump(mode="json"), ensure_ascii=False) for item in items)
    files.write_text(path, "".join(f"{line}\n" for line in lines))


def _read_head(path: Path) -> _CorpusFile:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, f"is unreadable ({error})") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else None
        raise _damaged(path, f"has format {found}, this version reads {FORMAT}")
    try:
        return _CorpusFile.parse(data, str(path))
    except ConfigError as error:
        raise CorpusError(f"{error}; run vocoder prepare again") from None


def _damaged(path: Path | str, what: str) -> CorpusError:
    return CorpusError(f"{path}: {what}; run vocoder prepare again")
