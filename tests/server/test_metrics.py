"""Metrics: what is exposed, with which labels, per application and summed over workers."""

import os
import re
import subprocess
import sys
from pathlib import Path

from fastapi.testclient import TestClient
from prometheus_client import multiprocess
from prometheus_client.parser import text_string_to_metric_families
from serving import say

from vocoder.server.app import create_app
from vocoder.server.metrics import FOLDER_VARIABLE, Metrics
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.synthesizer import Synthesizer

NAMES = {
    *("streams", "rows", "capacity_streams", "waiting", "first_audio_seconds"),
    *("chunk_lateness_seconds", "late_chunks", "real_time_factor", "audio_seconds"),
    *("rejections", "cancellations", "requests", "cache_hits", "cache_misses", "voice_loads"),
    "row_release_seconds",
}


def values(text: str) -> dict[str, float]:
    """Each sample's value, by its name and labels."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def values_of(metrics: Metrics) -> dict[str, float]:
    return values(metrics.text().decode())


def test_all_metrics_are_exposed(client: TestClient) -> None:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert re.match(r"text/plain; version=[\d.]+; charset=utf-8", answer.headers["content-type"])
    families = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {f"vocoder_{name}" for name in NAMES} <= families


def test_labelled_metrics_start_at_zero() -> None:
    found = values_of(Metrics())
    for reason in ("capacity", "queue_full", "key_limit", "draining"):
        assert found[f"vocoder_rejections_total{{reason={reason}}}"] == 0
    for kind in ("text", "features", "websocket"):
        assert found[f"vocoder_first_audio_seconds_count{{kind={kind}}}"] == 0


def test_values_are_counted() -> None:
    metrics = Metrics()
    before = values_of(metrics)
    metrics.rejected("key_limit")
    metrics.first_audio.labels("text").observe(0.04)
    metrics.chunk_lateness.observe(0.0)
    after = values_of(metrics)
    risen = {name for name in after if after[name] > before.get(name, 0.0)}
    assert "vocoder_rejections_total{reason=key_limit}" in risen
    assert "vocoder_chunk_lateness_seconds_bucket{le=0.0}" in risen
    first = "vocoder_first_audio_seconds_bucket{kind=text,le=%s}"
    assert first % "0.05" in risen
    assert first % "0.03" not in risen


def test_applications_in_one_process_count_separately(
    settings: ServerSettings, synthesizer: Synthesizer
) -> None:
    apps = [create_app(settings, synthesizer) for _ in range(2)]
    with TestClient(apps[0]) as busy, TestClient(apps[1]) as idle:
        assert say(busy, "Hello.").status_code == 200
        audio_s = [
            values(client.get("/metrics").text)["vocoder_audio_seconds_total"]
            for client in (busy, idle)
        ]
    assert audio_s[0] > 0
    assert audio_s[1] == 0


def test_importing_the_module_makes_no_metrics() -> None:
    program = (
        "import prometheus_client\n"
        "made = []\n"
        "prometheus_client.CollectorRegistry.register = lambda self, one: made.append(one)\n"
        "import vocoder.server.metrics\n"
        "import vocoder.server.app\n"
        "assert made == [], made\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


WORKER = """
import sys
from prometheus_client import values
index = int(sys.argv[1])
values.ValueClass = values.MultiProcessValue(lambda: index)
from vocoder.server.metrics import Metrics
metrics = Metrics()
metrics.streams.set(int(sys.argv[2]))
metrics.cancellations.inc(int(sys.argv[3]))
metrics.first_audio.labels("websocket").observe(0.1)
sys.stdout.buffer.write(metrics.text())
"""


def test_workers_are_summed_and_counts_survive_a_dead_worker(tmp_path: Path) -> None:
    def worker(index: int, streams: int, cancelled: int) -> dict[str, float]:
        run = subprocess.run(
            [sys.executable, "-c", WORKER, str(index), str(streams), str(cancelled)],
            env=os.environ | {FOLDER_VARIABLE: str(tmp_path)},
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
    # Its streams are gone, its counts stay; restarted, it continues from them.
    assert found(worker(1, streams=4, cancelled=0)) == (4, 7, 3)
    assert found(worker(0, streams=1, cancelled=1)) == (5, 8, 4)
    assert len(list(tmp_path.iterdir())) == files + 1
