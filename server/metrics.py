"""What Prometheus is told: every metric of the server, and their text for ``GET /metrics``.

Labels take values from small fixed sets only, never what a client sent. With several workers
(:mod:`vocoder.server.workers`) each writes its values to files in the folder that
``PROMETHEUS_MULTIPROC_DIR`` names, and whichever is asked gives the sum over all.
"""

import os
from typing import Literal, get_args

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
MEDIA_TYPE = CONTENT_TYPE_LATEST
REGISTRY = CollectorRegistry()

Kind = Literal["text", "features", "websocket"]
"""How a stream of audio was asked for."""

Rejection = Literal["capacity", "queue_full", "key_limit", "unauthorized", "draining", "not_ready"]
"""Why a request was turned away that was right in itself."""

VoiceLoad = Literal["loaded", "replaced", "removed", "refused"]
"""What became of a voice's folder: new, in place of an older one, gone, or damaged."""

FIRST_AUDIO_BUCKETS_S = (
    *(0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75),
    *(1.0, 1.5, 2.0, 3.0, 5.0, 10.0),
)
LATENESS_BUCKETS_S = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
REAL_TIME_FACTOR_BUCKETS = (
    *(0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5),
    *(0.6, 0.7, 0.8, 0.9, 0.95, 1.0, 1.1, 1.25, 1.5, 2.0),
)
ROW_RELEASE_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


def _gauge(name: str, meaning: str) -> Gauge:
    return Gauge(name, meaning, registry=REGISTRY, multiprocess_mode="livesum")


def _counter(name: str, meaning: str, *labels: str) -> Counter:
    return Counter(name, meaning, labels, registry=REGISTRY)


def _histogram(name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(name, meaning, labels, buckets=buckets, registry=REGISTRY)


STREAMS = _gauge("vocoder_streams", "Listeners now.")
ROWS = _gauge("vocoder_rows", "Rows in the running batch now.")
CAPACITY = _gauge("vocoder_capacity_streams", "Listeners that are held at real time.")
WAITING = _gauge("vocoder_waiting", "Requests that wait for a turn now.")
FIRST_AUDIO = _histogram(
    "vocoder_first_audio_seconds",
    "From the request to its first audio.",
    FIRST_AUDIO_BUCKETS_S,
    "kind",
)
CHUNK_LATENESS = _histogram(
    "vocoder_chunk_lateness_seconds",
    "By how much a chunk came after its play time; 0 for one in time.",
    LATENESS_BUCKETS_S,
)
LATE_CHUNKS = _counter("vocoder_late_chunks_total", "Chunks that came after their play time.")
REAL_TIME_FACTOR = _histogram(
    "vocoder_real_time_factor",
    "Time a request's generation took for each second of its audio.",
    REAL_TIME_FACTOR_BUCKETS,
)
AUDIO_SECONDS = _counter("vocoder_audio_seconds_total", "Audio that was made, in seconds.")
REJECTIONS = _counter("vocoder_rejections_total", "Requests turned away.", "reason")
CANCELLATIONS = _counter("vocoder_cancellations_total", "Streams that ended before their audio.")
REQUESTS = _counter("vocoder_requests_total", "Requests, by route template.", "path", "status")
CACHE_HITS = _counter("vocoder_cache_hits_total", "Requests answered from the cache.")
CACHE_MISSES = _counter("vocoder_cache_misses_total", "Requests that the cache did not hold.")
VOICE_LOADS = _counter("vocoder_voice_loads_total", "Folders of voices that changed.", "result")
ROW_RELEASE = _histogram(
    "vocoder_row_release_seconds",
    "From a stream's cancellation until its row is free.",
    ROW_RELEASE_BUCKETS_S,
)


def _start_at_zero() -> None:
    """Show each labelled metric from the start, so that rates over the first event are right."""
    for kind in get_args(Kind):
        FIRST_AUDIO.labels(kind)
    for reason in get_args(Rejection):
        REJECTIONS.labels(reason)
    for result in get_args(VoiceLoad):
        VOICE_LOADS.labels(result)


def rejected(reason: Rejection) -> None:
    """Count a request that was turned away."""
    REJECTIONS.labels(reason).inc()


def text() -> bytes:
    """All metrics in Prometheus's text format, of all workers where there are several."""
    if FOLDER_VARIABLE not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


_start_at_zero()
ProcessCollector(registry=REGISTRY)
