"""Training a recogniser on an aligned corpus: the label of each frame, and the next sample."""

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
from vocoder.corpus.shards import ShardedCorpus, aligned_of
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
    """Segments of B rows.

    Attributes:
        audio: (B, T), float32, T = F * pool.
        labels: index into ``FRAME_LABELS`` (B, F), int64.
        there: 1 for frames of the recording, 0 beyond its end (B, F).
        counted: 1 where the label counts (B, F): what it depends on lies within the row.
        predicted: 1 for the samples of the recording among those that are predicted (B, S).
    """

    audio: Tensor
    labels: Tensor
    there: Tensor
    counted: Tensor
    predicted: Tensor


class LabelledSegments:
    """Random access to the segments of a corpus's aligned utterances."""

    def __init__(
        self,
        corpus: Corpus | ShardedCorpus,
        split: Split,
        config: RecogniserTraining,
        order: StreamOrder | None = None,
    ) -> None:
        """Take a split; with ``order``, the shards that it names, of which none is read yet."""
        self.corpus, self.config, self._order = corpus, config, order
        self.aligned = [] if order else aligned_of(corpus, split)
        if not self.aligned and not order:
            raise TrainingError(f"{corpus.folder}: no aligned utterance in the {split} split")
        self.before = config.model.warm_up + config.model.margin
        self.frames = self.before + config.segment_frames + config.model.margin
        samples = np.array([utterance.samples for utterance, _ in self.aligned], dtype=np.float64)
        self._cumulative = np.cumsum(samples) / max(1.0, samples.sum())

    @property
    def predicted(self) -> slice:
        """The samples of a row whose likelihood is learned: the first of those that may count."""
        pool = self.config.model.pool
        count = self.config.predicted_frames or self.config.segment_frames
        return slice(self.before * pool, (self.before + count) * pool)

    def batch(self, step: int, rows: range) -> RecogniserBatch:
        """Some rows of a step's batch; each is a function of the step and its own number."""
        drawn = [self._draw(step, row) for row in rows]
        return RecogniserBatch(*(torch.stack(parts) for parts in zip(*drawn, strict=True)))

    def _draw(self, step: int, row: int) -> RecogniserBatch:
        generator = np.random.default_rng((self.config.seed, step, row))
        utterance, aligned = self._pick(step, row, generator.random())
        # Starts before the file count as its start, so that beginnings are learned as well; ends
        # may lie beyond the file's.
        latest = max(0, utterance.samples // self.config.model.pool - self.frames + self.before)
        first = max(0, int(generator.integers(-self.before, latest + 1)))
        return self.segment(utterance, aligned, first)

    def _pick(self, step: int, row: int, uniform: float) -> tuple[Utterance, AlignedUtterance]:
        """An utterance; long ones as much more often as they are longer."""
        if self._order:
            packed = self._order.pick(step, row, uniform)
            assert packed.aligned is not None
            return packed, packed.aligned
        index = int(np.searchsorted(self._cumulative, uniform, side="right"))
        return self.aligned[min(index, len(self.aligned) - 1)]

    def segment(
        self, utterance: Utterance, aligned: AlignedUtterance, first: int
    ) -> RecogniserBatch:
        """One row: frames from ``first`` on, padded with silence beyond the recording's end."""
        pool, margin = self.config.model.pool, self.config.model.margin
        audio, labels = read_labelled(self.corpus, utterance, aligned, pool)
        count = min(self.frames, len(labels) - first)
        row, row_labels = torch.zeros(self.frames * pool), torch.zeros(self.frames).long()
        row[: count * pool] = audio[first * pool : (first + count) * pool]
        row_labels[:count] = labels[first : first + count]
        there, counted = torch.zeros(self.frames), torch.zeros(self.frames)
        there[:count] = 1.0
        # Where the recording begins or ends, so does what can be heard: nothing to leave out.
        ends = first + count == len(labels)
        counted[self.before if first else 0 : count if ends else self.frames - margin] = 1.0
        heard = there.repeat_interleave(pool)[self.predicted]
        return RecogniserBatch(row, row_labels, there, counted, heard)


class Objective(nn.Module):
    """Cross-entropy of the labels, and the likelihood of the next sample by its weight."""

    def __init__(
        self, model: PhonemeRecogniser, predicted: slice, weight: float, *, bf16: bool
    ) -> None:
        super().__init__()
        self.model, self.predicted, self.weight, self.bf16 = model, predicted, weight, bf16

    def forward(self, batch: RecogniserBatch, counts: Tensor | None = None) -> Loss:
        """The loss; of a part of a batch, given its ``counts``."""
        frames, samples = (counts_of(batch) if counts is None else counts).clamp_min(1.0)
        heard = self.model(batch.audio, batch.there, predicted=self.predicted, bf16=self.bf16)
        nats = F.cross_entropy(heard.logits.transpose(1, 2), batch.labels, reduction="none")
        right = (heard.logits.argmax(2) == batch.labels).float()
        label = (nats * batch.counted).sum() / frames
        sample = (heard.nll * batch.predicted).sum() / samples
        figures = {
            "accuracy": (right * batch.counted).sum() / frames,
            "nats": label,
            "bits": sample / math.log(2),
        }
        return Loss(label + self.weight * sample, figures)


def counts_of(batch: RecogniserBatch) -> Tensor:
    """Frames and samples that count (2,)."""
    return torch.stack([batch.counted.sum(), batch.predicted.sum()])


class RecogniserTask:
    """See :class:`vocoder.training.tasks.task.Task`."""

    def __init__(
        self, config: RecogniserTraining, corpus: Corpus | ShardedCorpus, device: torch.device
    ) -> None:
        """Prepare a run.

        Raises:
            TrainingError: the corpus has another sample rate, or nothing aligned to train on.
            CorpusError: it is not aligned.
        """
        if corpus.features.sample_rate_hz != config.model.sample_rate_hz:
            raise TrainingError(
                f"{corpus.folder}: is at {corpus.features.sample_rate_hz} Hz, "
                f"the recogniser at {config.model.sample_rate_hz} Hz"
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
        """Audio in a batch, warm-up and margins included."""
        return batch.audio.numel() / self.config.model.sample_rate_hz

    def fresh(self) -> PhonemeRecogniser:
        """Another recogniser of the same shape."""
        return PhonemeRecogniser(self.config.model)

    def validate(self, model: nn.Module, process: Process) -> dict[str, float]:
        """Frame accuracy, nats a frame and bits a sample of whole held-out recordings.

        The processes share them.
        """
        assert isinstance(model, PhonemeRecogniser)
        sums = torch.zeros(5, dtype=torch.float64, device=self.device)
        aligned = self.held_out.aligned
        stride = max(1, len(aligned) // self.config.validation_clips)
        chosen = aligned[::stride][: self.config.validation_clips]
        for pair in chosen[process.rank :: process.processes]:
            labelled = read_labelled(self.corpus, *pair, self.config.model.pool)
            audio, labels = (part.to(self.device) for part in labelled)
            heard = model(audio[None])
            right = (heard.logits[0].argmax(1) == labels).sum()
            nats = F.cross_entropy(heard.logits[0], labels, reduction="sum")
            sums += torch.tensor([right, nats, len(labels), heard.nll.sum(), len(audio)])
        right, nats, frames, nll, samples = process.sum(sums).tolist()
        return {"accuracy": right / frames, "nats": nats / frames, "bits": bits(nll / samples)}

    def export(self, folder: Path, model: nn.Module, step: int, log: RunLog) -> None:
        """Write the recogniser so far."""
        assert isinstance(model, PhonemeRecogniser)
        manifest = recogniser.RecogniserManifest(
            id=self.config.name,
            model=model.config,
            provenance=provenance(self.config, self.corpus, step, log),
        )
        recogniser.save(folder.parent / recogniser.FOLDER, model, manifest)

    def sample(self, model: nn.Module, step: int, log: RunLog) -> None:
        """A recogniser speaks only in passing: no audio."""
