"""The order in which a corpus in shards is read: a function of seed, step and row alone.

Each epoch takes the shards in an order of its own; each window of some shards is shuffled as a
whole. The place of any row follows from the index, so a run resumes without reading what came
before, in however many processes.
"""

import functools
import logging
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vocoder.corpus.sharding import PackedUtterance
from vocoder.corpus.shards import OpenShard, ShardedCorpus
from vocoder.corpus.utterances import Split
from vocoder.errors import CorpusError, TrainingError

logger = logging.getLogger(__name__)
Integers = npt.NDArray[np.int64]


def training_order(
    corpus: ShardedCorpus, *, segment_frames: int, batch_size: int, seed: int, aligned: bool
) -> "StreamOrder":
    """The order of a corpus's train split; see :class:`StreamOrder`.

    Raises:
        TrainingError: there is nothing to train on, or nothing held out: what is read once and
            forgotten cannot be validated on.
    """
    if not corpus.hours("validation"):
        raise TrainingError(
            f"{corpus.folder}: has no validation split; prepare it with a validation_fraction"
        )
    return StreamOrder(
        corpus,
        "train",
        segment_frames=segment_frames,
        batch_size=batch_size,
        seed=seed,
        aligned=aligned,
    )


class _Epoch(NamedTuple):
    """One pass: the shards in order (S,), and the rows before each window (W + 1,)."""

    shards: Integers
    before: Integers


class StreamOrder:
    """Which utterance each row of each step is cut from.

    A shard gives a row for every ``segment_frames`` of its frames in an epoch, spread evenly over
    them, so that long utterances come as much more often as they are longer.
    """

    def __init__(
        self,
        corpus: ShardedCorpus,
        split: Split,
        *,
        segment_frames: int,
        batch_size: int,
        seed: int,
        aligned: bool,
    ) -> None:
        """Order the rows of a run.

        Args:
            corpus: in shards.
            split: part of it.
            segment_frames: frames of a row that the loss counts.
            batch_size: rows a step, of all processes together.
            seed: of the order.
            aligned: whether only aligned utterances count.

        Raises:
            TrainingError: nothing in the split.
        """
        self._corpus, self._aligned = corpus, aligned
        self._batch_size, self._seed = batch_size, seed
        listed = [
            (shard, shard.aligned_frames if aligned else shard.frames)
            for shard in corpus.shards(split)
        ]
        self._shards = [shard for shard, frames in listed if frames]
        if not self._shards:
            raise TrainingError(
                f"{corpus.folder}: no {'aligned ' if aligned else ''}utterance in the {split} split"
            )
        counted = np.array([frames for _, frames in listed if frames], dtype=np.int64)
        self._rows = -(-counted // segment_frames)
        self._epoch = functools.lru_cache(2)(self._make_epoch)
        self._window = functools.lru_cache(3)(self._make_window)
        self._ends = functools.lru_cache(4 * corpus.settings.shuffle)(self._make_ends)

    @property
    def rows(self) -> int:
        """Rows of an epoch."""
        return int(self._rows.sum())

    def pick(self, step: int, row: int, uniform: float) -> PackedUtterance:
        """The utterance of a row; ``uniform`` in [0, 1) places it within its share of the shard.

        Raises:
            CorpusError: its shard is damaged or missing, and such are not to be skipped.
        """
        epoch, place = divmod(step * self._batch_size + row, self.rows)
        before = self._epoch(epoch).before
        window = int(np.searchsorted(before, place, side="right")) - 1
        shard, share = self._window(epoch, window)[place - before[window]]
        opened = self._opened(int(shard))
        fraction = (share + uniform) / self._rows[shard]
        if opened.shard is not self._shards[shard]:
            fraction = uniform  # a damaged shard's rows are cut from another, anywhere in it
        ends = self._ends(opened)
        at = int(np.searchsorted(ends, fraction * ends[-1], side="right"))
        return opened[min(at, len(opened) - 1)]

    def _opened(self, index: int) -> OpenShard:
        """A shard, or the next one that is whole where damaged ones are to be skipped."""
        for other in range(index, index + len(self._shards)):
            shard = self._shards[other % len(self._shards)]
            try:
                return self._corpus.open(shard.name)
            except CorpusError as error:
                if self._corpus.settings.damaged == "refuse":
                    raise
                if shard.name not in self._corpus.skipped:
                    self._corpus.skipped.add(shard.name)
                    logger.warning("%d skipped: %s", len(self._corpus.skipped), error)
        raise CorpusError(f"{self._corpus.folder}: all {len(self._shards)} shards are damaged")

    def _make_epoch(self, epoch: int) -> _Epoch:
        shards = np.random.default_rng((self._seed, epoch)).permutation(len(self._shards))
        rows = np.concatenate(([0], np.cumsum(self._rows[shards])))
        size = self._corpus.settings.shuffle
        return _Epoch(shards, np.append(rows[:-1:size], rows[-1]))

    def _members(self, epoch: int, window: int) -> Integers:
        size = self._corpus.settings.shuffle
        return self._epoch(epoch).shards[window * size : (window + 1) * size]

    def _make_window(self, epoch: int, window: int) -> Integers:
        """Shard and share in it of each row of a window (N, 2); its shards begin to be fetched."""
        members = self._members(epoch, window)
        ends = len(self._epoch(epoch).before) - 1
        coming = epoch + (window + 1) // ends, (window + 1) % ends
        for shard in (*members, *self._members(*coming)):
            self._corpus.coming(self._shards[shard].name)
        rows = np.concatenate(
            [
                np.stack((np.full(n, s), np.arange(n)), 1)
                for s, n in zip(members, self._rows[members], strict=True)
            ]
        )
        generator = np.random.default_rng((self._seed, epoch, window))
        return generator.permutation(rows)

    def _make_ends(self, opened: OpenShard) -> Integers:
        """Frames that count up to and including each utterance of a shard (N,)."""
        frames = opened.frames
        if self._aligned:
            frames = frames * [opened[i].aligned is not None for i in range(len(opened))]
        return np.cumsum(frames)
