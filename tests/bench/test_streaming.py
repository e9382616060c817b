"""Memory and time of a batch do not grow with the corpus; on corpora small enough for a test."""

import statistics
import time

import pytest

from vocoder.bench.streaming import BATCH_SIZE, DRAIN, stage, streamed, write_recordings
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.prepare import PreparationConfig, prepare
from vocoder.corpus.sharding import shard

FEW, MANY = 50, 1000


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """Two corpora in shards of at most a megabyte, by the number of their files."""
    folders = {}
    for count in (FEW, MANY):
        root = tmp_path_factory.mktemp("corpus")
        write_recordings(root / "wav", count)
        prepare([root / "wav"], root / "prepared", PreparationConfig(), jobs=1)
        shard(Corpus.load(root / "prepared"), root / "shards", megabytes=1)
        folders[count] = str(root / "shards")
    return folders


def test_an_epoch_takes_no_more_memory(shards: dict[int, str]) -> None:
    few, many = (
        stage(count, ["-c", DRAIN.format(place), "stream"]) for count, place in shards.items()
    )
    # What differs are 30 MB on the disk, 10 of which would be shuffled and to come.
    assert many.peak_mb - few.peak_mb < 15


def test_a_batch_takes_no_more_time(shards: dict[int, str]) -> None:
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
