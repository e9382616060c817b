"""Memory and time of a step do not grow with the corpus; on corpora small enough for a test."""

from pathlib import Path

import pytest

from vocoder.bench.streaming import measure


def test_memory_and_steps_do_not_grow_with_the_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    few, many = (measure(tmp_path, count, steps=60, megabytes=2) for count in (100, 1500))
    trained = few[-1], many[-1]
    assert [stage.command for stage in many] == ["prepare", "shard", "train"]
    grown = [b.peak_mb - a.peak_mb for a, b in zip(few, many, strict=True)]
    # What is prepared takes 50 MB, what is listed of it 5.
    assert max(grown) < 40
    assert trained[0].step_ms is not None
    assert trained[1].step_ms is not None
    assert trained[1].step_ms < 2.5 * trained[0].step_ms
