"""Memory and time per batch do not grow with the corpus, on small corpora."""

import statistics
import time

import pytest

from vocoder.bench.streaming import BATCH_SIZE, DRAIN, stage, streamed, write_recordings
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.prepare import prepare
from vocoder.corpus.settings import PreparationConfig
from vocoder.corpus.sharding import shard

FEW, MANY = 50, 1000


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """Two corpora in shards of at most a megabyte, by number of files."""
    folders = {}
    for count in (FEW, MANY):
        root = tmp_path_factory.mktemp("corpus")
        write_recordings(root / "wav", count)
        prepare([root / "wav"], root / "prepared", PreparationConfig(), jobs=1)
        shard(Corpus.load(root / "prepared"), root / "shards", megabytes=1)
        folders[count] = str(root / "shards")
    return folders


def test_memory_does_not_grow_with_the_corpus(shards: dict[int, str]) -> None:
    few, many = (
        stage(count, ["-c", DRAIN.format(place), "stream"]) for count, place in shards.items()
    )
    # The corpora differ by 30 MB on disk, of which 10 MB are in the current and next window.
    assert many.peak_mb - few.peak_mb < 15


def test_time_per_batch_does_not_grow_with_the_corpus(shards: dict[int, str]) -> None:
    medians = []
    for place in shards.values():
        segments, steps = streamed(place)
        times = []
        for step in range(200):
            began = time.perf_counter()
            segments.batch(step % steps, range(BATCH_SIZE))
            times.append(time.perf_counter() - began)
        medians.append(statistics.median(times))
    assert medians[1] < 2.5 * medians[0]
