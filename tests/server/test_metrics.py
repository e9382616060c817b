"""Metrics: what is exposed, with which labels, and summed over processes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import multiprocess
from prometheus_client.parser import text_string_to_metric_families

from vocoder.server import metrics
from vocoder.server.routes import metrics as route

NAMES = {
    *("streams", "rows", "capacity_streams", "waiting", "first_audio_seconds"),
    *("chunk_lateness_seconds", "late_chunks", "real_time_factor", "audio_seconds"),
    *("rejections", "cancellations", "requests", "cache_hits", "cache_misses", "voice_loads"),
    "row_release_seconds",
}


def values(text: str) -> dict[str, float]:
    """Each sample's value, by its name and labels as they are written."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    app.include_router(route.router)
    return TestClient(app)


def test_all_metrics_are_exposed(client: TestClient) -> None:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert re.match(r"text/plain; version=[\d.]+; charset=utf-8", answer.headers["content-type"])
    families = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {f"vocoder_{name}" for name in NAMES} <= families


def test_labelled_metrics_begin_at_zero(client: TestClient) -> None:
    found = values(client.get("/metrics").text)
    for reason in ("capacity", "queue_full", "key_limit", "draining"):
        assert f"vocoder_rejections_total{{reason={reason}}}" in found
    for kind in ("text", "features", "websocket"):
        assert f"vocoder_first_audio_seconds_count{{kind={kind}}}" in found


def test_values_are_counted(client: TestClient) -> None:
    before = values(client.get("/metrics").text)
    metrics.rejected("key_limit")
    metrics.FIRST_AUDIO.labels("text").observe(0.04)
    metrics.CHUNK_LATENESS.observe(0.0)
    after = values(client.get("/metrics").text)
    risen = {name for name in after if after[name] > before.get(name, 0.0)}
    assert "vocoder_rejections_total{reason=key_limit}" in risen
    assert "vocoder_chunk_lateness_seconds_bucket{le=0.0}" in risen
    first = "vocoder_first_audio_seconds_bucket{kind=text,le=%s}"
    assert first % "0.05" in risen
    assert first % "0.03" not in risen


WORKER = """
import sys
from prometheus_client import values
index = int(sys.argv[1])
values.ValueClass = values.MultiProcessValue(lambda: index)
from server import metrics
metrics.STREAMS.set(int(sys.argv[2]))
metrics.CANCELLATIONS.inc(int(sys.argv[3]))
metrics.FIRST_AUDIO.labels("websocket").observe(0.1)
sys.stdout.buffer.write(metrics.text())
"""


def test_workers_are_summed_and_dead_ones_count_on(tmp_path: Path) -> None:
    def worker(index: int, streams: int, cancelled: int) -> dict[str, float]:
        run = subprocess.run(
            [sys.executable, "-c", WORKER, str(index), str(streams), str(cancelled)],
            env=os.environ | {metrics.FOLDER_VARIABLE: str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        return values(run.stdout)

    def found(answer: dict[str, float]) -> tuple[float, ...]:
        count = "vocoder_first_audio_seconds_count{kind=websocket}"
        names = ("vocoder_streams", "vocoder_cancellations_total", count)
        return tuple(answer[name] for name in names)

    assert found(worker(0, streams=3, cancelled=2)) == (3, 2, 1)
    assert found(worker(1, streams=4, cancelled=5)) == (7, 7, 2)
    multiprocess.mark_process_dead(0, str(tmp_path))  # type: ignore[no-untyped-call]
    files = len(list(tmp_path.iterdir()))
    # Its listeners are gone, what it has counted stays; and it goes on where it was.
    assert found(worker(1, streams=4, cancelled=0)) == (4, 7, 3)
    assert found(worker(0, streams=1, cancelled=1)) == (5, 8, 4)
    assert len(list(tmp_path.iterdir())) == files + 1
