"""Batches of whole aligned utterances of similar length, from a folder or from shards."""

import functools
from typing import Protocol

import numpy as np

from vocoder.corpus.manifest import Corpus
from vocoder.corpus.sharding import PackedUtterance
from vocoder.corpus.shards import ShardedCorpus, aligned_utterances
from vocoder.corpus.statistics import SpeechCounts, SpeechStatistics
from vocoder.errors import CorpusError, TrainingError
from vocoder.training.config import AcousticTraining
from vocoder.training.data.acoustic_batch import Row, read_row
from vocoder.training.data.shard_order import training_order

BUCKET = 4
"""A bucket holds the rows of this many batches, sorted by length."""


class Sentences(Protocol):
    """The utterances of the train split."""

    @property
    def statistics(self) -> SpeechStatistics:
        """Statistics over all of them."""
        ...

    def rows(self, step: int, rows: range) -> list[Row]:
        """Some rows of a step's batch; they depend only on the seed and the arguments."""
        ...


class FolderSentences:
    """The utterances of a prepared folder, all in memory."""

    def __init__(self, corpus: Corpus, config: AcousticTraining, speakers: tuple[str, ...]) -> None:
        """Read all utterances.

        Raises:
            TrainingError: there are none.
            CorpusError: the corpus is not aligned, or was prepared without F0.
        """
        self.corpus, self.config = corpus, config
        read = [read_row(corpus, *pair, speakers) for pair in aligned_utterances(corpus, "train")]
        if not read:
            raise TrainingError(f"{corpus.folder}: no aligned utterance in the train split")
        self.all = sorted(read, key=lambda row: row.mel.shape[1])
        counts = SpeechCounts()
        for row in self.all:
            counts.add(speakers[int(row.speaker)], row.symbols, row.log_f0, row.voiced)
        self.statistics = counts.statistics()

    def rows(self, step: int, rows: range) -> list[Row]:
        """Random utterances from a bucket of neighbours in the order of length."""
        size = self.config.batch_size
        generator = np.random.default_rng((self.config.seed, step))
        bucket = min(len(self.all), BUCKET * size)
        first = int(generator.integers(0, len(self.all) - bucket + 1))
        chosen = generator.choice(bucket, min(size, bucket), replace=False)[rows.start : rows.stop]
        if not len(chosen):
            raise TrainingError(
                f"{self.corpus.folder}: batch_size {size} over several processes or micro-batches "
                f"needs more than the {bucket} aligned utterances: make it at most {bucket}"
            )
        return [self.all[first + int(index)] for index in chosen]


class ShardedSentences:
    """The utterances of shards, read on demand in groups of ``BUCKET`` batches sorted by length."""

    def __init__(
        self, corpus: ShardedCorpus, config: AcousticTraining, speakers: tuple[str, ...]
    ) -> None:
        """Read the index.

        Raises:
            TrainingError: the train or validation split is empty.
            CorpusError: the shards were written without F0, or by an earlier version.
        """
        self.corpus, self.config, self.speakers = corpus, config, speakers
        shards = [shard for shard in corpus.shards("train") if shard.aligned_frames]
        utterances = sum(shard.utterances for shard in shards)
        self._order = training_order(
            corpus,
            segment_frames=max(1, sum(shard.frames for shard in shards) // max(1, utterances)),
            batch_size=BUCKET * config.batch_size,
            seed=config.seed,
            aligned=True,
        )
        if corpus.index.speech is None:
            raise CorpusError(
                f"{corpus.folder}: the index has no F0 statistics; prepare the corpus with --f0, "
                "align it, and write the shards again"
            )
        self.statistics: SpeechStatistics = corpus.index.speech
        self._group = functools.lru_cache(2)(self._make_group)

    def rows(self, step: int, rows: range) -> list[Row]:
        """Utterances of a group that are adjacent in length."""
        size = self.config.batch_size
        group, position = divmod(step, BUCKET)
        index = np.random.default_rng((self.config.seed, group)).permutation(BUCKET)[position]
        batch = self._group(group)[index * size : (index + 1) * size]
        return [self._read(utterance) for utterance in batch[rows.start : rows.stop]]

    def _make_group(self, group: int) -> list[PackedUtterance]:
        count = BUCKET * self.config.batch_size
        uniform = np.random.default_rng((self.config.seed, group, count)).random(count)
        picked = [self._order.pick(group, row, uniform[row]) for row in range(count)]
        return sorted(picked, key=lambda utterance: utterance.frames)

    def _read(self, utterance: PackedUtterance) -> Row:
        assert utterance.aligned is not None
        return read_row(self.corpus, utterance, utterance.aligned, self.speakers)
