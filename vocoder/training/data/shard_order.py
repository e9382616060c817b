"""The order in which a sharded corpus is read; it depends only on seed, step and row.

Each epoch shuffles the shards, then the rows within each window of several shards. The position of
any row follows from the index, so a run resumes without reading earlier shards, with any number of
processes.
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
        TrainingError: the train split is empty, or there is no validation split: streamed training
            data cannot serve for validation.
    """
    if not corpus.hours("validation"):
        raise TrainingError(
            f"{corpus.folder}: has no validation split; prepare it with validation_fraction above 0"
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
    """One epoch: the shards in order (S,), and the rows before each window (W + 1,)."""

    shards: Integers
    before: Integers


class StreamOrder:
    """Maps each row of each step to the utterance it is cut from.

    In an epoch a shard contributes one row per ``segment_frames`` of its frames, spread evenly over
    them, so that utterances are drawn in proportion to their length.
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
        """Set up the order of a run.

        Args:
            corpus: a sharded corpus.
            split: part of the corpus.
            segment_frames: frames per row that count in the loss.
            batch_size: rows per step, over all processes.
            seed: seed of the order.
            aligned: whether to use only aligned utterances.

        Raises:
            TrainingError: the split is empty.
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
        """Rows per epoch."""
        return int(self._rows.sum())

    def pick(self, step: int, row: int, uniform: float) -> PackedUtterance:
        """The utterance of a row; ``uniform`` in [0, 1) chooses within the row's part of the shard.

        Raises:
            CorpusError: the shard is damaged or missing, and damaged shards are not skipped.
        """
        epoch, position = divmod(step * self._batch_size + row, self.rows)
        before = self._epoch(epoch).before
        window = int(np.searchsorted(before, position, side="right")) - 1
        shard, share = self._window(epoch, window)[position - before[window]]
        opened = self._opened(int(shard))
        fraction = (share + uniform) / self._rows[shard]
        if opened.shard is not self._shards[shard]:
            fraction = uniform  # the rows of a damaged shard come from anywhere in another one
        ends = self._ends(opened)
        at = int(np.searchsorted(ends, fraction * ends[-1], side="right"))
        return opened[min(at, len(opened) - 1)]

    def _opened(self, index: int) -> OpenShard:
        """Open a shard; if damaged shards are skipped, the next undamaged one."""
        for other in range(index, index + len(self._shards)):
            shard = self._shards[other % len(self._shards)]
            try:
                return self._corpus.open(shard.name)
            except CorpusError as error:
                if self._corpus.settings.damaged == "refuse":
                    raise
                if shard.name not in self._corpus.skipped:
                    self._corpus.skipped.add(shard.name)
                    logger.warning(
                        "%d damaged shards skipped: %s", len(self._corpus.skipped), error
                    )
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
        """Shard and part of the shard for each row of a window (N, 2); prefetches its shards."""
        members = self._members(epoch, window)
        ends = len(self._epoch(epoch).before) - 1
        following = epoch + (window + 1) // ends, (window + 1) % ends
        for shard in (*members, *self._members(*following)):
            self._corpus.prefetch(self._shards[shard].name)
        rows = np.concatenate(
            [
                np.stack((np.full(n, s), np.arange(n)), 1)
                for s, n in zip(members, self._rows[members], strict=True)
            ]
        )
        generator = np.random.default_rng((self._seed, epoch, window))
        return generator.permutation(rows)

    def _make_ends(self, opened: OpenShard) -> Integers:
        """Cumulative usable frames of the utterances of a shard (N,)."""
        frames = opened.frames
        if self._aligned:
            frames = frames * [opened[i].aligned is not None for i in range(len(opened))]
        return np.cumsum(frames)
