"""The training tasks of models of images and of spectrograms: nats of each pixel."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

import vocoder
from vocoder import plots
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.shards import ShardedCorpus
from vocoder.corpus.utterances import Split
from vocoder.errors import ImageError, TrainingError
from vocoder.generation.noise import uniforms
from vocoder.pixel.condition import Condition
from vocoder.pixel.config import PixelConfig
from vocoder.pixel.model import PixelModel, check_size
from vocoder.training.config import ImageTraining, SpectrogramTraining
from vocoder.training.data.images import Images
from vocoder.training.data.shard_order import training_order
from vocoder.training.data.spectrograms import Spectrograms
from vocoder.training.log import RunLog
from vocoder.training.process import Process
from vocoder.training.tasks.samples import provenance
from vocoder.training.tasks.task import Loss
from vocoder.voices import pixel_model
from vocoder.voices.manifest import Provenance
from vocoder.wavenet.distributions import bits

VALIDATION_ROWS = 32
"""Images of a validation batch."""


class PixelBatch(NamedTuple):
    """A batch of B images.

    Attributes:
        image: levels (B, H, W, C), int64.
        valid: 1 for rows that count, 0 for context and padding (B, H).
        label: class of each image (B,), int64; not used by models without classes.
    """

    image: Tensor
    valid: Tensor
    label: Tensor


class Objective(nn.Module):
    """Nats of each pixel that counts, and bits of each channel."""

    def __init__(self, model: PixelModel, *, bf16: bool) -> None:
        super().__init__()
        self.model, self.bf16 = model, bf16

    def forward(self, batch: PixelBatch, counts: Tensor | None = None) -> Loss:
        """The loss; for a micro-batch, its share given the ``counts``."""
        (pixels,) = counts_of(batch) if counts is None else counts
        with torch.autocast(batch.image.device.type, torch.bfloat16, enabled=self.bf16):
            nats = self.model.nll(batch.image, _condition(self.model.config, batch))
        total = (nats * batch.valid.unsqueeze(2)).sum() / pixels.clamp_min(1.0)
        return Loss(total, {"bits": total / (math.log(2) * self.model.config.channels)})


def counts_of(batch: PixelBatch) -> Tensor:
    """Number of pixels that count (1,)."""
    return (batch.valid.sum() * batch.image.shape[2]).reshape(1)


def _condition(config: PixelConfig, batch: PixelBatch) -> Condition | None:
    return Condition(batch.label) if config.classes else None


class _PixelTask:
    """What both tasks share; see :class:`vocoder.training.tasks.task.Task`."""

    def __init__(self, config: ImageTraining | SpectrogramTraining, device: torch.device) -> None:
        self.device = device
        self.model = PixelModel(config.model).to(device)
        if config.compile:
            self.model.network.compile(dynamic=False)
        self.objective: nn.Module = Objective(self.model, bf16=config.precision == "bf16")

    def counts(self, batch: PixelBatch) -> Tensor:
        """See :func:`counts_of`."""
        return counts_of(batch)

    def new_model(self) -> PixelModel:
        """A new model of the same shape."""
        return PixelModel(self.model.config)

    def _sums(self, model: PixelModel, batch: PixelBatch) -> Tensor:
        """Nats, images and channels that count (3,), float64."""
        batch = PixelBatch(*(part.to(self.device) for part in batch))
        nats = model.nll(batch.image, _condition(model.config, batch)) * batch.valid.unsqueeze(2)
        channels = counts_of(batch)[0] * model.config.channels
        return torch.stack([nats.double().sum(), torch.tensor(len(nats)).to(nats), channels])

    def _drawn(
        self, model: PixelModel, count: int, size: tuple[int, int], condition: Condition | None
    ) -> Tensor:
        """Images drawn with seeds from 0 (count, H, W, C); the same noise at every step."""
        shape = (*size, model.config.channels)
        seeds = torch.arange(count, device=self.device)
        noise = uniforms(seeds, torch.zeros_like(seeds), math.prod(shape)).unflatten(1, shape)
        return model.generate(condition, noise)


class ImageTask(_PixelTask):
    """Images from an array file."""

    def __init__(self, config: ImageTraining, device: torch.device) -> None:
        """Prepare a run.

        Raises:
            TrainingError: the file does not fit the settings, or the network the images.
        """
        _check(config.model, config.height, config.width)
        super().__init__(config, device)
        self.config = config
        self.images, self.held_out = Images(config, "train"), Images(config, "valid")

    def batch(self, step: int, rows: range) -> PixelBatch:
        """Images in the order of their epoch."""
        return self._batch(self.images, self.images.drawn(step, rows))

    def _batch(self, images: Images, indices: npt.NDArray[np.int64]) -> PixelBatch:
        image, labels = images.rows(indices)
        return PixelBatch(image, torch.ones(image.shape[:2]), labels)

    def seconds(self, batch: PixelBatch) -> float:
        """Images in a batch."""
        return float(len(batch.image))

    def validate(self, model: nn.Module, process: Process) -> dict[str, float]:
        """Nats an image and bits a channel of the first ``validation_clips`` held-out images."""
        assert isinstance(model, PixelModel)
        sums = torch.zeros(3, dtype=torch.float64, device=self.device)
        chosen = np.arange(min(self.config.validation_clips, len(self.held_out)))
        own = chosen[process.rank :: process.world_size]
        for first in range(0, len(own), VALIDATION_ROWS):
            batch = self._batch(self.held_out, own[first : first + VALIDATION_ROWS])
            sums += self._sums(model, batch)
        nats, images, channels = process.sum(sums).tolist()
        return {"nats": nats / images, "bits": bits(nats / channels)}

    def export(self, folder: Path, model: nn.Module, step: int, log: RunLog) -> None:
        """Write the model."""
        assert isinstance(model, PixelModel)
        made = Provenance(
            steps=step,
            code_version=vocoder.__version__,
            training=self.config.recorded(),
            metrics={key: round(value, 5) for key, value in log.latest.items()},
        )
        manifest = pixel_model.PixelManifest(
            id=self.config.name, model=model.config, provenance=made
        )
        pixel_model.save(folder.parent / pixel_model.FOLDER, model, manifest)

    def sample(self, model: nn.Module, step: int, log: RunLog) -> None:
        """Draw ``sample_clips`` images; classes take turns."""
        assert isinstance(model, PixelModel)
        config, count = self.config, self.config.sample_clips
        label = torch.arange(count, device=self.device) % max(1, model.config.classes)
        condition = Condition(label) if model.config.classes else None
        drawn = self._drawn(model, count, (config.height, config.width), condition)
        _show(log, step, drawn.float() / (model.config.levels - 1))


class SpectrogramTask(_PixelTask):
    """Log-mel spectrograms of a prepared corpus."""

    def __init__(
        self, config: SpectrogramTraining, corpus: Corpus | ShardedCorpus, device: torch.device
    ) -> None:
        """Prepare a run.

        Raises:
            TrainingError: the network cannot halve the number of bands, or a split is empty.
        """
        super().__init__(config, device)
        self.config, self.corpus = config, corpus
        order = None
        if isinstance(corpus, ShardedCorpus):
            order = training_order(
                corpus,
                segment_frames=config.segment_frames,
                batch_size=config.batch_size,
                seed=config.seed,
                aligned=False,
            )
        self.spectrograms = Spectrograms(corpus, "train", config, order)
        _check(config.model, self.spectrograms.frames, corpus.features.n_mels)
        split: Split = "validation" if corpus.hours("validation") else "train"
        self.held_out = Spectrograms(corpus, split, config)

    def batch(self, step: int, rows: range) -> PixelBatch:
        """Segments of spectrograms."""
        drawn = [self.spectrograms.segment(step, row) for row in rows]
        image, valid = (torch.stack(parts) for parts in zip(*drawn, strict=True))
        return PixelBatch(image, valid, torch.zeros(len(rows), dtype=torch.int64))

    def seconds(self, batch: PixelBatch) -> float:
        """Seconds of audio in a batch, including the context."""
        return batch.valid.numel() / self.corpus.features.frame_rate_hz

    def validate(self, model: nn.Module, process: Process) -> dict[str, float]:
        """Bits a bin of whole held-out recordings, which are divided among the processes."""
        assert isinstance(model, PixelModel)
        sums = torch.zeros(3, dtype=torch.float64, device=self.device)
        utterances = self.held_out.utterances
        stride = max(1, len(utterances) // self.config.validation_clips)
        chosen = utterances[::stride][: self.config.validation_clips]
        for utterance in chosen[process.rank :: process.world_size]:
            image, valid = self.held_out.image(utterance)
            label = torch.zeros(1, dtype=torch.int64)
            sums += self._sums(model, PixelBatch(image[None], valid[None], label))
        nats, _, channels = process.sum(sums).tolist()
        return {"bits": bits(nats / channels)}

    def export(self, folder: Path, model: nn.Module, step: int, log: RunLog) -> None:
        """Write the model, with the settings of its spectrograms."""
        assert isinstance(model, PixelModel)
        manifest = pixel_model.PixelManifest(
            id=self.config.name,
            model=model.config,
            spectrograms=pixel_model.Spectrograms(
                features=self.corpus.features, range=self.config.range
            ),
            provenance=provenance(self.config, self.corpus, step, log),
        )
        pixel_model.save(folder.parent / pixel_model.FOLDER, model, manifest)

    def sample(self, model: nn.Module, step: int, log: RunLog) -> None:
        """Draw ``sample_clips`` spectrograms of a segment's length; time runs to the right."""
        assert isinstance(model, PixelModel)
        size = self.spectrograms.frames, self.corpus.features.n_mels
        drawn = self._drawn(model, self.config.sample_clips, size, None)
        _show(log, step, drawn.transpose(1, 2).flip(1).float() / (model.config.levels - 1))


def _show(log: RunLog, step: int, images: Tensor) -> None:
    """Write images from 0 to 1 (N, H, W, C) as one picture, and for TensorBoard."""
    figure = plots.image_grid(images.cpu().numpy())
    plots.save(log.folder / "samples" / f"step-{step:07d}.png", figure)
    log.board.add_figure("samples", figure, step)


def _check(config: PixelConfig, height: int, width: int) -> None:
    try:
        check_size(config, height, width)
    except ImageError as error:
        raise TrainingError(str(error)) from None
