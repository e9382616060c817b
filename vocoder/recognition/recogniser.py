"""A recogniser on disk, and what it hears in a recording.

A folder with ``recogniser.json`` and ``recogniser.safetensors``, whose SHA-256 stands there.
"""

import json
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from vocoder import files
from vocoder.config import StrictModel
from vocoder.errors import ConfigError, RecogniserError
from vocoder.recognition.model import PhonemeRecogniser, RecogniserConfig
from vocoder.voices import weights as weights_file
from vocoder.voices.manifest import VOICE_ID, Provenance

FORMAT = 1
FOLDER = "recogniser"
"""Where in its run's folder training puts it."""

MANIFEST = "recogniser.json"
WEIGHTS = "recogniser.safetensors"

PIECE_FRAMES = 1000
"""Frames that are labelled at once, which bounds the memory that a long recording takes."""

CHANGE_COST = 2.0
"""What it costs to go on to another label, in nats, so that one odd frame makes no phone."""


class RecogniserManifest(StrictModel):
    """The contents of ``recogniser.json``."""

    format: int = Field(FORMAT, description="version of this format")
    id: str = Field(pattern=VOICE_ID, description="its name")
    model: RecogniserConfig = Field(description="the model's configuration, its labels included")
    weights: str = Field("", description="SHA-256 of the weights file")
    provenance: Provenance = Field(default_factory=Provenance, description="data and training")


class Phone(NamedTuple):
    """A phone that was heard.

    Attributes:
        label: one of the recogniser's labels.
        start_s: where it begins, in seconds.
        end_s: where it ends.
    """

    label: str
    start_s: float
    end_s: float


def save(folder: Path, model: PhonemeRecogniser, manifest: RecogniserManifest) -> None:
    """Write a recogniser; configuration and digest are the model's. The manifest goes last."""
    digest = weights_file.write(folder / WEIGHTS, model.state_dict())
    manifest = manifest.model_copy(update={"model": model.config, "weights": digest})
    files.write_text(folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")


def load(folder: Path) -> tuple[PhonemeRecogniser, RecogniserManifest]:
    """Load a recogniser from its folder or its run's, and verify its weights.

    Raises:
        RecogniserError: a file is missing, altered, cut short or padded, or does not fit the model.
    """
    if not (folder / MANIFEST).is_file() and (folder / FOLDER).is_dir():
        folder = folder / FOLDER
    path = folder / MANIFEST
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecogniserError(f"{path}: {error.strerror or error}; give a run's folder") from None
    except ValueError as error:
        raise RecogniserError(f"{path}: not JSON: {error}") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else None
        raise RecogniserError(f"{path}: format {found!r}, this version reads {FORMAT}")
    try:
        manifest = RecogniserManifest.parse(data, str(path))
    except ConfigError as error:
        raise RecogniserError(str(error), param=error.param) from None
    model = PhonemeRecogniser(manifest.model)
    weights_file.read(folder / WEIGHTS, manifest.weights, model, RecogniserError)
    return model, manifest


@torch.inference_mode()
def posteriors(model: PhonemeRecogniser, samples: Tensor) -> Tensor:
    """Log-probability of each label at each whole frame of samples (T,): (F, K).

    Raises:
        RecogniserError: the samples do not fill one frame.
    """
    config = model.config
    frames = len(samples) // config.pool
    if not frames:
        raise RecogniserError(
            f"the audio has {len(samples)} samples, a frame {config.pool}: give more"
        )
    given = []
    for start in range(0, frames, PIECE_FRAMES):
        # A piece brings all that its frames depend on, so it is labelled as within the whole.
        first = max(0, start - config.warm_up - config.margin)
        stop = min(frames, start + PIECE_FRAMES + config.margin)
        logits = model.logits(samples[None, first * config.pool : stop * config.pool])[0]
        given.append(logits[start - first :][:PIECE_FRAMES])
    return torch.cat(given).log_softmax(1)


def phones(model: PhonemeRecogniser, log_p: Tensor) -> list[Phone]:
    """The phones of log-probabilities (F, K): the best path (Viterbi) where a change has a cost."""
    path = best_path(log_p, CHANGE_COST)
    changes = torch.nonzero(path.diff()).flatten() + 1
    starts, ends = [0, *changes.tolist()], [*changes.tolist(), len(path)]
    rate, labels = model.config.frame_rate_hz, model.config.labels
    return [
        Phone(labels[int(path[start])], start / rate, end / rate)
        for start, end in zip(starts, ends, strict=True)
    ]


def best_path(log_p: Tensor, change_cost: float) -> Tensor:
    """The labels (F,) of the greatest sum of log_p (F, K) less ``change_cost`` for each change."""
    score = log_p[0]
    every = torch.arange(log_p.shape[1])
    came_from = []
    for frame in log_p[1:]:
        best, label = score.max(0)
        changed = best - change_cost > score
        came_from.append(torch.where(changed, label, every))
        score = torch.where(changed, best - change_cost, score) + frame
    path = [int(score.argmax())]
    for before in reversed(came_from):
        path.append(int(before[path[-1]]))
    return torch.tensor(path[::-1])
