"""Training segments of spectrograms as images; each depends only on seed, step and row."""

import numpy as np
import torch
from torch import Tensor

from vocoder.corpus.manifest import Corpus
from vocoder.corpus.shards import ShardedCorpus
from vocoder.corpus.utterances import Split, Utterance
from vocoder.errors import TrainingError
from vocoder.pixel.config import PixelCnnPlusPlusConfig
from vocoder.training.config import SpectrogramTraining
from vocoder.training.data.shard_order import StreamOrder


class Spectrograms:
    """Random access to the segments of a split, and to its whole utterances."""

    def __init__(
        self,
        corpus: Corpus | ShardedCorpus,
        split: Split,
        config: SpectrogramTraining,
        order: StreamOrder | None = None,
    ) -> None:
        """Use a split of the corpus; with ``order``, read utterances from shards on demand.

        Raises:
            TrainingError: the split is empty.
        """
        self.corpus, self.config, self._order = corpus, config, order
        self.utterances: tuple[Utterance, ...] = () if order else corpus.split(split)
        if not self.utterances and not order:
            raise TrainingError(f"{corpus.folder}: no utterance in the {split} split")
        network = config.model.network
        halvings = network.downsamplings if isinstance(network, PixelCnnPlusPlusConfig) else 0
        self.unit = 2**halvings
        """Frames of a segment are a multiple of this, and so is the start of a segment."""
        self.frames = self._rounded(config.context_frames + config.segment_frames)
        frames = np.array([u.frames for u in self.utterances], dtype=np.float64)
        self._cumulative = np.cumsum(frames) / max(1.0, frames.sum())

    def _rounded(self, frames: int) -> int:
        return -(-frames // self.unit) * self.unit

    def segment(self, step: int, row: int) -> tuple[Tensor, Tensor]:
        """An image (F, n_mels, 1), int64, and which of its frames count (F,)."""
        generator = np.random.default_rng((self.config.seed, step, row))
        utterance = self._pick(step, row, generator.random())
        context = self.config.context_frames
        # Starts before the utterance are clamped, so that beginnings are learned too.
        latest = max(0, utterance.frames - self.frames)
        first = max(0, int(generator.integers(-context, latest + 1)))
        first -= first % self.unit
        found, valid = self.image(utterance, first, self.frames)
        if first:
            valid[:context] = 0.0
        return found, valid

    def image(
        self, utterance: Utterance, first: int = 0, frames: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Frames from ``first`` on as an image; frames beyond the end have level 0 and are 0."""
        _, mel = self.corpus.read(utterance)
        levels = self.config.range.image(mel, self.config.model.levels)[first:]
        frames = self._rounded(len(levels)) if frames is None else frames
        levels = levels[:frames]
        found = torch.zeros(frames, *levels.shape[1:], dtype=torch.int64)
        found[: len(levels)] = levels
        return found, (torch.arange(frames) < len(levels)).float()

    def _pick(self, step: int, row: int, uniform: float) -> Utterance:
        """An utterance, with probability proportional to its length."""
        if self._order:
            return self._order.pick(step, row, uniform)
        index = int(np.searchsorted(self._cumulative, uniform, side="right"))
        return self.utterances[min(index, len(self.utterances) - 1)]
