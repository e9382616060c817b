"""The utterances of a corpus: their manifest entries, and their files of audio and features."""

from abc import ABC, abstractmethod
from pathlib import Path, PurePosixPath
from typing import Literal, Self

import numpy as np
import safetensors
import torch
from pydantic import Field, model_validator
from safetensors import safe_open
from torch import Tensor

from vocoder.config import FeatureConfig, StrictModel
from vocoder.errors import CorpusError, FeatureError
from vocoder.features.feature_file import check_fingerprint

UTTERANCES_FOLDER = "utterances"
LONGEST_NAME_BYTES = 150

DEFAULT_LOG_F0 = 5.0
"""148 Hz, for utterances without voiced frames."""

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def unsafe(name: str) -> str | None:
    """Why ``name`` is not safe as the name of a file or folder; None if it is."""
    if not name.strip():
        return "is empty"
    if any(sign in name for sign in '/\\:*?"<>|') or name.startswith("."):
        return "is a path, starts with a dot or has a character that file names cannot have"
    if not name.isprintable():
        return "has control characters"
    if len(name.encode("utf-8")) > LONGEST_NAME_BYTES:
        return f"is longer than {LONGEST_NAME_BYTES} bytes"
    return None


def utterance_file(speaker: str, identifier: str) -> str:
    """Path of an utterance file relative to the corpus folder."""
    return f"{UTTERANCES_FOLDER}/{speaker}/{identifier}.safetensors"


class Utterance(StrictModel):
    """One line of the manifest."""

    id: str = Field(description="unique within the speaker")
    speaker: str = Field(description="speaker's name")
    prompt: str = Field(description="prompt; all utterances of it are in the same split")
    split: Split = Field(description="part of the corpus it belongs to")
    text: str | None = Field(description="transcript, if any")
    tags: tuple[str, ...] = Field((), description="tags such as a style or an instrument")
    samples: int = Field(ge=1, description="number of samples T, a multiple of the hop")
    frames: int = Field(ge=1, description="number of frames F")
    file: str = Field(description="path relative to the corpus folder")
    source: str = Field(description="path of the original recording")
    digest: str = Field(pattern="^[0-9a-f]{64}$", description="hash of recording and settings")

    @model_validator(mode="after")
    def _inside(self) -> Self:
        for name in (self.id, self.speaker):
            if why := unsafe(name):
                raise ValueError(f"name {name!r} {why}")
        if PurePosixPath(self.file) != PurePosixPath(utterance_file(self.speaker, self.id)):
            raise ValueError(f"file {self.file!r} does not belong to {self.speaker}/{self.id}")
        return self


class ReadableCorpus(ABC):
    """A corpus with readable utterances, in a folder or in shards.

    Attributes:
        folder: its location, for error messages.
        features: settings of its mels.
    """

    folder: Path | str
    features: FeatureConfig

    @abstractmethod
    def tensors(self, utterance: Utterance) -> dict[str, Tensor]:
        """Audio, mel and, if prepared, F0 of an utterance.

        Raises:
            CorpusError: the file is missing or damaged.
        """

    def read(self, utterance: Utterance) -> tuple[Tensor, Tensor]:
        """Audio and log-mel of an utterance.

        Returns:
            Audio int16 (T,) and mel float32 (n_mels, F).

        Raises:
            CorpusError: the file is missing, damaged, or was written with different settings.
        """
        tensors = self.tensors(utterance)
        audio, mel = tensors["audio"], tensors["mel"]
        if audio.shape != (utterance.samples,) or mel.shape[1:] != (utterance.frames,):
            where = f"{self.folder}/{utterance.file}"
            raise damaged(where, "differs in length from the manifest")
        return audio, mel

    def read_f0(self, utterance: Utterance) -> Tensor | None:
        """F0 in Hz, float32 (F,), 0 where unvoiced; None if it was not prepared."""
        return self.tensors(utterance).get("f0")

    def read_log_f0(self, utterance: Utterance) -> tuple[Tensor, Tensor]:
        """Log F0, interpolated where unvoiced, and voicing as 0 or 1; both float32 (F,).

        Raises:
            CorpusError: the corpus was prepared without F0.
        """
        f0 = self.read_f0(utterance)
        if f0 is None:
            raise CorpusError(
                f"{self.folder}: prepared without F0; prepare it again with: vocoder prepare --f0"
            )
        return interpolated_log_f0(f0)


def interpolated_log_f0(f0: Tensor) -> tuple[Tensor, Tensor]:
    """Log F0 and voicing from F0 in Hz (F,); see :meth:`ReadableCorpus.read_log_f0`."""
    voiced = (f0 > 0).numpy()
    if not voiced.any():
        return torch.full_like(f0, DEFAULT_LOG_F0), torch.zeros_like(f0)
    at = np.arange(len(voiced))
    filled = np.interp(at, at[voiced], np.log(f0.numpy()[voiced]))
    return torch.from_numpy(filled.astype(np.float32)), torch.from_numpy(voiced).float()


def read_utterance_file(path: Path, features: FeatureConfig) -> dict[str, Tensor]:
    """Read the tensors of an utterance file and check them against the feature settings.

    Raises:
        CorpusError: the file is missing, damaged, or was written with different settings.
    """
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = dict(opened.metadata() or {})
            tensors = {str(key): opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        check_fingerprint(metadata, features)
    except FileNotFoundError:
        raise damaged(path, "is missing") from None
    except (safetensors.SafetensorError, OSError, FeatureError) as error:
        raise damaged(path, f"cannot be used ({error})") from None
    check_tensors(tensors, features, path)
    return tensors


def check_tensors(tensors: dict[str, Tensor], features: FeatureConfig, path: Path | str) -> None:
    """Check an utterance's tensors against the feature settings.

    Raises:
        CorpusError: a tensor is missing or has the wrong type or shape.
    """
    audio, mel = tensors.get("audio"), tensors.get("mel")
    if audio is None or audio.dtype != torch.int16 or audio.ndim != 1:
        raise damaged(path, "has no tensor audio, int16 (T,)")
    if mel is None or mel.dtype != torch.float32 or mel.ndim != 2:
        raise damaged(path, "has no tensor mel, float32 (n_mels, F)")
    if mel.shape[0] != features.n_mels or mel.shape[1] * features.hop_length != audio.shape[0]:
        raise damaged(path, f"has mel {tuple(mel.shape)} for {audio.shape[0]} samples")


def damaged(path: Path | str, what: str) -> CorpusError:
    """The error for a prepared file that cannot be used, with the remedy."""
    return CorpusError(f"{path}: {what}; run vocoder prepare again")
