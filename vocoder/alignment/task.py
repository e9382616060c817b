"""The training task of the aligner, which trains on the utterances it will align."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from vocoder import files
from vocoder.alignment.model import Aligner
from vocoder.config import FeatureConfig
from vocoder.text.phone_labels import LABELS
from vocoder.training.config import AlignerTraining
from vocoder.training.log import RunLog
from vocoder.training.process import Process
from vocoder.training.tasks.task import Loss

WEIGHTS = "aligner.safetensors"


class LabelledRecording(NamedTuple):
    """The features of a recording and the labels of its transcript.

    Attributes:
        mel: (n_mels, F).
        labels: (N,), int64.
    """

    mel: Tensor
    labels: Tensor


class AlignerBatch(NamedTuple):
    """A batch of B recordings; see :meth:`Aligner.loss`. ``open`` enables the CTC blank."""

    mel: Tensor
    frames: Tensor
    labels: Tensor
    counts: Tensor
    open: Tensor


class Objective(nn.Module):
    """CTC first, then the sum over alignments without the blank."""

    def __init__(self, model: Aligner, *, bf16: bool) -> None:
        super().__init__()
        self.model, self.bf16 = model, bf16

    def forward(self, batch: AlignerBatch, counts: Tensor | None = None) -> Loss:
        """The loss in nats per frame; for a micro-batch, its share given the ``counts``."""
        with torch.autocast(batch.mel.device.type, torch.bfloat16, enabled=self.bf16):
            loss = self.model.loss if batch.open else self.model.full_sum_loss
            total = loss(batch.mel, batch.frames, batch.labels, batch.counts)
        if counts is not None:
            total = total * (batch.frames.sum() / counts[0])
        return Loss(total, {"nats": total})


class AlignerTask:
    """See :class:`vocoder.training.tasks.task.Task`."""

    def __init__(
        self, config: AlignerTraining, features: FeatureConfig, data: list[LabelledRecording]
    ) -> None:
        """Prepare to train on ``data``, sorted here by length."""
        self.config, self.features = config, features
        self.data = sorted(data, key=lambda recording: recording.mel.shape[1])
        self.model = self.new_model()
        self.objective: nn.Module = Objective(self.model, bf16=config.precision == "bf16")

    def batch(self, step: int, rows: range) -> AlignerBatch:
        """Recordings of similar length."""
        return self._collate(
            self._similar(step, self.config.batch_size)[rows.start : rows.stop], step
        )

    def _similar(self, step: int, size: int) -> list[LabelledRecording]:
        generator = np.random.default_rng((self.config.seed, step))
        first = int(generator.integers(0, max(1, len(self.data) - size + 1)))
        return self.data[first : first + size]

    def _collate(self, rows: list[LabelledRecording], step: int) -> AlignerBatch:
        return AlignerBatch(
            pad_sequence([row.mel.T for row in rows], batch_first=True).transpose(1, 2),
            torch.tensor([row.mel.shape[1] for row in rows]),
            pad_sequence([row.labels for row in rows], batch_first=True),
            torch.tensor([len(row.labels) for row in rows]),
            torch.tensor(step < self.config.ctc_steps),
        )

    def counts(self, batch: AlignerBatch) -> Tensor:
        """Frames (1,)."""
        return batch.frames.sum()[None]

    def seconds(self, batch: AlignerBatch) -> float:
        """Seconds of audio in a batch."""
        return float(batch.frames.sum()) / self.features.frame_rate_hz

    def new_model(self) -> Aligner:
        """A new aligner of the same shape and prior."""
        model = Aligner(self.config.model, self.features)
        labels = torch.cat([recording.labels for recording in self.data])
        model.set_prior(torch.bincount(labels, minlength=LABELS).float())
        return model

    def validate(self, model: nn.Module, process: Process) -> dict[str, float]:
        """The full-sum loss of a few training recordings: those are what it will align."""
        assert isinstance(model, Aligner)
        chosen = self._collate(self._similar(0, self.config.validation_clips), 0)
        return {"nats": float(model.full_sum_loss(*chosen[:-1]))}

    def export(self, folder: Path, model: nn.Module, step: int, log: RunLog) -> None:
        """Write the weights."""
        tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        files.write_bytes(folder.parent / WEIGHTS, save_safetensors(tensors))

    def sample(self, model: nn.Module, step: int, log: RunLog) -> None:
        """Do nothing: an aligner generates no audio."""
