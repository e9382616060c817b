"""The training task of the recogniser: predict the label of each frame and the next sample."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.corpus.alignment import AlignedUtterance
from vocoder.corpus.frame_labels import FRAME_LABELS, read_labelled
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.shards import ShardedCorpus, aligned_utterances
from vocoder.corpus.utterances import Split, Utterance
from vocoder.errors import TrainingError
from vocoder.recognition import recogniser
from vocoder.recognition.model import PhonemeRecogniser
from vocoder.training.config import RecogniserTraining
from vocoder.training.data.shard_order import StreamOrder, training_order
from vocoder.training.log import RunLog
from vocoder.training.process import Process
from vocoder.training.tasks.samples import provenance
from vocoder.training.tasks.task import Loss
from vocoder.wavenet.distributions import bits


class RecogniserBatch(NamedTuple):
    """A batch of B segments.

    Attributes:
        audio: (B, T), float32, T = F * pool.
        labels: index into ``FRAME_LABELS`` (B, F), int64.
        valid: 1 for frames of the recording, 0 beyond its end (B, F).
        counted: 1 for labels that count (B, F): the frames they depend on lie within the segment.
        predicted: 1 for predicted samples that are within the recording (B, S).
    """

    audio: Tensor
    labels: Tensor
    valid: Tensor
    counted: Tensor
    predicted: Tensor


class LabelledSegments:
    """Random access to segments of the aligned utterances of a corpus."""

    def __init__(
        self,
        corpus: Corpus | ShardedCorpus,
        split: Split,
        config: RecogniserTraining,
        order: StreamOrder | None = None,
    ) -> None:
        """Use a split of the corpus; with ``order``, read utterances from shards on demand."""
        self.corpus, self.config, self._order = corpus, config, order
        self.aligned = [] if order else aligned_utterances(corpus, split)
        if not self.aligned and not order:
            raise TrainingError(f"{corpus.folder}: no aligned utterance in the {split} split")
        self.before = config.model.warm_up + config.model.margin
        self.frames = self.before + config.segment_frames + config.model.margin
        samples = np.array([utterance.samples for utterance, _ in self.aligned], dtype=np.float64)
        self._cumulative = np.cumsum(samples) / max(1.0, samples.sum())

    @property
    def predicted(self) -> slice:
        """The samples of a segment whose likelihood is learned: the first after the warm-up."""
        pool = self.config.model.pool
        count = self.config.predicted_frames or self.config.segment_frames
        return slice(self.before * pool, (self.before + count) * pool)

    def batch(self, step: int, rows: range) -> RecogniserBatch:
        """Some rows of a step's batch; each depends only on the seed, the step and its row."""
        drawn = [self._draw(step, row) for row in rows]
        return RecogniserBatch(*(torch.stack(parts) for parts in zip(*drawn, strict=True)))

    def _draw(self, step: int, row: int) -> RecogniserBatch:
        generator = np.random.default_rng((self.config.seed, step, row))
        utterance, aligned = self._pick(step, row, generator.random())
        # Clamp starts before the file to its start, so that beginnings are learned too; a segment
        # may extend beyond the end of the file.
        latest = max(0, utterance.samples // self.config.model.pool - self.frames + self.before)
        first = max(0, int(generator.integers(-self.before, latest + 1)))
        return self.segment(utterance, aligned, first)

    def _pick(self, step: int, row: int, uniform: float) -> tuple[Utterance, AlignedUtterance]:
        """An utterance, with probability proportional to its length."""
        if self._order:
            packed = self._order.pick(step, row, uniform)
            assert packed.aligned is not None
            return packed, packed.aligned
        index = int(np.searchsorted(self._cumulative, uniform, side="right"))
        return self.aligned[min(index, len(self.aligned) - 1)]

    def segment(
        self, utterance: Utterance, aligned: AlignedUtterance, first: int
    ) -> RecogniserBatch:
        """Frames from ``first`` on, padded with silence beyond the end of the recording."""
        pool, margin = self.config.model.pool, self.config.model.margin
        audio, labels = read_labelled(self.corpus, utterance, aligned, pool)
        count = min(self.frames, len(labels) - first)
        row, row_labels = torch.zeros(self.frames * pool), torch.zeros(self.frames).long()
        row[: count * pool] = audio[first * pool : (first + count) * pool]
        row_labels[:count] = labels[first : first + count]
        valid, counted = torch.zeros(self.frames), torch.zeros(self.frames)
        valid[:count] = 1.0
        # At the start and end of the recording there is no context to be missing.
        ends = first + count == len(labels)
        counted[self.before if first else 0 : count if ends else self.frames - margin] = 1.0
        predicted = valid.repeat_interleave(pool)[self.predicted]
        return RecogniserBatch(row, row_labels, valid, counted, predicted)


class Objective(nn.Module):
    """Cross-entropy of the labels plus the weighted negative log-likelihood of the next sample."""

    def __init__(
        self, model: PhonemeRecogniser, predicted: slice, weight: float, *, bf16: bool
    ) -> None:
        super().__init__()
        self.model, self.predicted, self.weight, self.bf16 = model, predicted, weight, bf16

    def forward(self, batch: RecogniserBatch, counts: Tensor | None = None) -> Loss:
        """The loss; for a micro-batch, its share given the ``counts``."""
        frames, samples = (counts_of(batch) if counts is None else counts).clamp_min(1.0)
        output = self.model(batch.audio, batch.valid, predicted=self.predicted, bf16=self.bf16)
        nats = F.cross_entropy(output.logits.transpose(1, 2), batch.labels, reduction="none")
        correct = (output.logits.argmax(2) == batch.labels).float()
        label = (nats * batch.counted).sum() / frames
        sample = (output.nll * batch.predicted).sum() / samples
        metrics = {
            "accuracy": (correct * batch.counted).sum() / frames,
            "nats": label,
            "bits": sample / math.log(2),
        }
        return Loss(label + self.weight * sample, metrics)


def counts_of(batch: RecogniserBatch) -> Tensor:
    """Number of frames and of samples that count (2,)."""
    return torch.stack([batch.counted.sum(), batch.predicted.sum()])


class RecogniserTask:
    """See :class:`vocoder.training.tasks.task.Task`."""

    def __init__(
        self, config: RecogniserTraining, corpus: Corpus | ShardedCorpus, device: torch.device
    ) -> None:
        """Prepare a run.

        Raises:
            TrainingError: the corpus has a different sample rate, or no aligned utterances.
            CorpusError: the corpus is not aligned.
        """
        if corpus.features.sample_rate_hz != config.model.sample_rate_hz:
            raise TrainingError(
                f"{corpus.folder}: has {corpus.features.sample_rate_hz} Hz, the recogniser needs "
                f"{config.model.sample_rate_hz} Hz"
            )
        model_config = config.model.model_copy(update={"labels": FRAME_LABELS})
        self.config = config.model_copy(update={"model": model_config})
        self.corpus, self.device = corpus, device
        self.model = PhonemeRecogniser(model_config).to(device)
        order = None
        if isinstance(corpus, ShardedCorpus):
            order = training_order(
                corpus,
                segment_frames=max(
                    1, config.segment_frames * model_config.pool // corpus.features.hop_length
                ),
                batch_size=config.batch_size,
                seed=config.seed,
                aligned=True,
            )
        self.segments = LabelledSegments(corpus, "train", self.config, order)
        split: Split = "validation" if corpus.hours("validation") else "train"
        self.held_out = LabelledSegments(corpus, split, self.config)
        if config.compile:
            self.model.wavenet.stack.compile(dynamic=False)
        self.objective: nn.Module = Objective(
            self.model,
            self.segments.predicted,
            config.next_sample_weight,
            bf16=config.precision == "bf16",
        )

    def batch(self, step: int, rows: range) -> RecogniserBatch:
        """Segments of recordings."""
        return self.segments.batch(step, rows)

    def counts(self, batch: RecogniserBatch) -> Tensor:
        """See :func:`counts_of`."""
        return counts_of(batch)

    def seconds(self, batch: RecogniserBatch) -> float:
        """Seconds of audio in a batch, including warm-up and margins."""
        return batch.audio.numel() / self.config.model.sample_rate_hz

    def new_model(self) -> PhonemeRecogniser:
        """A new recogniser of the same shape."""
        return PhonemeRecogniser(self.config.model)

    def validate(self, model: nn.Module, process: Process) -> dict[str, float]:
        """Frame accuracy, nats per frame and bits per sample on whole held-out recordings.

        The recordings are divided among the processes.
        """
        assert isinstance(model, PhonemeRecogniser)
        sums = torch.zeros(5, dtype=torch.float64, device=self.device)
        aligned = self.held_out.aligned
        stride = max(1, len(aligned) // self.config.validation_clips)
        chosen = aligned[::stride][: self.config.validation_clips]
        for pair in chosen[process.rank :: process.world_size]:
            labelled = read_labelled(self.corpus, *pair, self.config.model.pool)
            audio, labels = (part.to(self.device) for part in labelled)
            output = model(audio[None])
            correct = (output.logits[0].argmax(1) == labels).sum()
            nats = F.cross_entropy(output.logits[0], labels, reduction="sum")
            sums += torch.tensor([correct, nats, len(labels), output.nll.sum(), len(audio)])
        correct, nats, frames, nll, samples = process.sum(sums).tolist()
        return {"accuracy": correct / frames, "nats": nats / frames, "bits": bits(nll / samples)}

    def export(self, folder: Path, model: nn.Module, step: int, log: RunLog) -> None:
        """Write the recogniser."""
        assert isinstance(model, PhonemeRecogniser)
        manifest = recogniser.RecogniserManifest(
            id=self.config.name,
            model=model.config,
            provenance=provenance(self.config, self.corpus, step, log),
        )
        recogniser.save(folder.parent / recogniser.FOLDER, model, manifest)

    def sample(self, model: nn.Module, step: int, log: RunLog) -> None:
        """Do nothing: a recogniser generates no audio."""
