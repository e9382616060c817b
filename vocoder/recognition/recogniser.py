"""A recogniser's folder, and the phones that it recognises in a recording.

The folder contains ``recogniser.json`` and ``recogniser.safetensors``; the former records the
SHA-256 of the latter.
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
"""Subfolder of a training run in which the recogniser is stored."""

MANIFEST = "recogniser.json"
WEIGHTS = "recogniser.safetensors"

PART_FRAMES = 1000
"""Frames labelled at once; this bounds the memory for a long recording."""

CHANGE_COST = 2.0
"""Cost of changing the label, in nats, so that a single odd frame does not become a phone."""


class RecogniserManifest(StrictModel):
    """The contents of ``recogniser.json``."""

    format: int = Field(FORMAT, description="version of this format")
    id: str = Field(pattern=VOICE_ID, description="name of the recogniser")
    model: RecogniserConfig = Field(description="configuration of the model, with its labels")
    weights: str = Field("", description="SHA-256 of the weights file")
    provenance: Provenance = Field(default_factory=Provenance, description="training data and run")


class Phone(NamedTuple):
    """A recognised phone.

    Attributes:
        label: one of the recogniser's labels.
        start_s: start time in seconds.
        end_s: end time in seconds.
    """

    label: str
    start_s: float
    end_s: float


def save(folder: Path, model: PhonemeRecogniser, manifest: RecogniserManifest) -> None:
    """Write a recogniser with the model's configuration and digest; the manifest goes last."""
    digest = weights_file.write(folder / WEIGHTS, model.state_dict())
    manifest = manifest.model_copy(update={"model": model.config, "weights": digest})
    files.write_text(folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")


def load(folder: Path) -> tuple[PhonemeRecogniser, RecogniserManifest]:
    """Load a recogniser from its folder or its run's folder, and verify the weights.

    Raises:
        RecogniserError: a file is missing, altered, truncated or padded, or does not match the
            model.
    """
    if not (folder / MANIFEST).is_file() and (folder / FOLDER).is_dir():
        folder = folder / FOLDER
    path = folder / MANIFEST
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecogniserError(
            f"{path}: {error.strerror or error}; give the folder of a training run"
        ) from None
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
    """Log-probability (F, K) of each label at each complete frame of samples (T,).

    Raises:
        RecogniserError: there are fewer samples than one frame.
    """
    config = model.config
    frames = len(samples) // config.pool
    if not frames:
        raise RecogniserError(
            f"the audio has only {len(samples)} samples: give at least {config.pool}, one frame"
        )
    given = []
    for start in range(0, frames, PART_FRAMES):
        # Each part includes all context of its frames, so its labels equal those of the whole.
        first = max(0, start - config.warm_up - config.margin)
        stop = min(frames, start + PART_FRAMES + config.margin)
        logits = model.logits(samples[None, first * config.pool : stop * config.pool])[0]
        given.append(logits[start - first :][:PART_FRAMES])
    return torch.cat(given).log_softmax(1)


def phones(model: PhonemeRecogniser, log_p: Tensor) -> list[Phone]:
    """The phones of log-probabilities (F, K), by the Viterbi path with a cost for each change."""
    path = best_path(log_p, CHANGE_COST)
    changes = torch.nonzero(path.diff()).flatten() + 1
    starts, ends = [0, *changes.tolist()], [*changes.tolist(), len(path)]
    rate, labels = model.config.frame_rate_hz, model.config.labels
    return [
        Phone(labels[int(path[start])], start / rate, end / rate)
        for start, end in zip(starts, ends, strict=True)
    ]


def best_path(log_p: Tensor, change_cost: float) -> Tensor:
    """The labels (F,) that maximise the sum of log_p (F, K) minus ``change_cost`` per change."""
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
