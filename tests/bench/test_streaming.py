"""Memory and time of a step do not grow with the corpus; on corpora small enough for a test."""

from pathlib import Path

import pytest

from vocoder.bench.streaming import measure


def test_memory_and_steps_do_not_grow_with_the_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    few, many = (list(measure(tmp_path, count, steps=30, megabytes=2)) for count in (50, 1000))
    trained = few[-1], many[-1]
    assert [stage.command for stage in many] == ["prepare", "shard", "stream", "train"]
    grown = [b.peak_mb - a.peak_mb for a, b in zip(few, many, strict=True)]
    # 1,000 files take 32 MB on the disk, their lists 4 in memory.
    assert max(grown) < 25
    assert trained[0].step_ms is not None
    assert trained[1].step_ms is not None
    assert trained[1].step_ms < 2.5 * trained[0].step_ms
