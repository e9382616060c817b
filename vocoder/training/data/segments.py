"""Training segments: each lies within one utterance and depends only on seed, step and row.

So resuming a run needs no data state.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vocoder.audio.io import PCM_16_LEVELS
from vocoder.config import ModelConfig
from vocoder.corpus.alignment import AlignedUtterance, read_linguistic
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.sharding import PackedUtterance
from vocoder.corpus.shards import ShardedCorpus, read_alignments
from vocoder.corpus.utterances import Split, Utterance
from vocoder.errors import TrainingError
from vocoder.training.data.shard_order import StreamOrder
from vocoder.wavenet.conditioning import global_conditioning
from vocoder.wavenet.filter_bank import delay, lookahead


class Batch(NamedTuple):
    """A batch of B segments.

    Attributes:
        audio: (B, T), float32.
        features: features with their margin (B, C, F + 2 margin), T = F * hop.
        speaker: one-hot (B, S).
        mask: 1 for samples that count in the loss (B, T): not the warm-up, nor padding. With
            bands, of the band samples.
        past: audio before the segment, seen only by context stacks (B, P), float32.
        known: number of samples at the end of ``past`` that are from the file (B,), int64.
    """

    audio: Tensor
    features: Tensor
    speaker: Tensor
    mask: Tensor
    past: Tensor
    known: Tensor


class Segments:
    """Random access to the training segments of a corpus.

    A model conditioned on linguistic features uses only aligned utterances.
    """

    def __init__(
        self,
        corpus: Corpus | ShardedCorpus,
        split: Split,
        model: ModelConfig,
        segment_frames: int,
        seed: int,
        order: StreamOrder | None = None,
    ) -> None:
        """Use a split of the corpus; with ``order``, read utterances from shards on demand."""
        self.corpus, self.model, self.seed, self._order = corpus, model, seed, order
        self.utterances: tuple[Utterance, ...] = () if order else corpus.split(split)
        self._aligned: dict[tuple[str, str], AlignedUtterance] = {}
        if model.conditioning.kind == "linguistic":
            self._aligned = {} if order else read_alignments(corpus, self.utterances)
            self.utterances = tuple(
                u for u in self.utterances if (u.speaker, u.id) in self._aligned
            )
        if not self.utterances and not order:
            raise TrainingError(f"{corpus.folder}: no utterance in the {split} split")
        self.segment_frames = segment_frames
        hop = model.features.hop_length
        # The warm-up fills the receptive field before the first sample that counts.
        self.warm_up_frames = -(-(model.receptive_field + delay(model.bands)) // hop)
        self.past_frames = max(0, -(-model.context_field // hop) - self.warm_up_frames)
        frames = np.array([u.frames for u in self.utterances], dtype=np.float64)
        self._cumulative = np.cumsum(frames) / max(1.0, frames.sum())

    @property
    def total_frames(self) -> int:
        """Frames of a segment including the warm-up."""
        return self.warm_up_frames + self.segment_frames

    def batch(self, step: int, rows: range) -> Batch:
        """Some rows of a step's batch; each depends only on the seed, the step and its row."""
        drawn = [self._draw(step, row) for row in rows]
        return Batch(*(torch.stack(parts) for parts in zip(*drawn, strict=True)))

    def _draw(self, step: int, row: int) -> Batch:
        generator = np.random.default_rng((self.seed, step, row))
        utterance = self._pick(step, row, generator.random())
        # Clamp starts before the file to its start, so that beginnings are learned too.
        latest = max(0, utterance.frames - self.total_frames)
        first = max(0, int(generator.integers(-self.warm_up_frames, latest + 1)))
        return self.segment(utterance, first)

    def _pick(self, step: int, row: int, uniform: float) -> Utterance:
        """An utterance, with probability proportional to its length."""
        if self._order:
            return self._order.pick(step, row, uniform)
        index = int(np.searchsorted(self._cumulative, uniform, side="right"))
        return self.utterances[min(index, len(self.utterances) - 1)]

    def read(self, utterance: Utterance) -> tuple[Tensor, Tensor]:
        """Audio, int16 (T,), and the features that condition the model (C, F)."""
        pcm, mel = self.corpus.read(utterance)
        if self.model.conditioning.kind == "none":
            return pcm, mel[:0]
        if self.model.conditioning.kind == "mel":
            return pcm, mel
        found = utterance.aligned if isinstance(utterance, PackedUtterance) else None
        found = found or self._aligned[utterance.speaker, utterance.id]
        return pcm, read_linguistic(self.corpus, utterance, found)

    def global_conditioning(self, utterance: Utterance) -> Tensor:
        """The one-hot encoded speaker and tags of an utterance (S,)."""
        speaker = self.model.speakers.index(utterance.speaker)
        tags = [tag for tag in utterance.tags if tag in self.model.tags]
        return global_conditioning(self.model, speaker, tags)

    def segment(self, utterance: Utterance, first: int) -> Batch:
        """Frames [first, first + total_frames) of an utterance, padded with silence."""
        hop, margin = self.model.features.hop_length, self.model.conditioning.margin
        pcm, features = self.read(utterance)
        count = min(self.total_frames, utterance.frames - first)
        audio = torch.zeros(self.total_frames * hop)
        audio[: count * hop] = pcm[first * hop : (first + count) * hop].float() / PCM_16_LEVELS
        frames = torch.arange(first - margin, first + self.total_frames + margin)
        mask = torch.zeros(self.total_frames * hop)
        # A segment at the start of its file starts like generation, so it needs no warm-up. The
        # last band samples of one that is cut also depend on the audio after it.
        end = count * hop
        if first + count < utterance.frames:
            end -= lookahead(self.model.bands)
        mask[(self.warm_up_frames * hop if first else 0) : end] = 1.0
        past, known = torch.zeros(self.past_frames * hop), min(first, self.past_frames) * hop
        before = pcm[first * hop - known : first * hop].float() / PCM_16_LEVELS
        past[len(past) - known :] = before
        return Batch(
            audio,
            features[:, frames.clamp(0, utterance.frames - 1)],
            self.global_conditioning(utterance),
            mask,
            past,
            torch.tensor(known),
        )
