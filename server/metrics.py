"""The server's Prometheus metrics, and their text for ``GET /metrics``.

Labels only take values from small fixed sets, never what a client sent. With several workers
(:mod:`vocoder.server.workers`) each writes its values to files in the folder named by
``PROMETHEUS_MULTIPROC_DIR``, and any of them can report the sums over all workers.
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

Kind = Literal["text", "features", "websocket"]
"""How a stream of audio was requested."""

Rejection = Literal["capacity", "queue_full", "key_limit", "unauthorized", "draining", "not_ready"]
"""Why a well-formed request was turned away."""

Limit = Literal[
    "connections",
    "connections_per_address",
    "head_too_large",
    "head_timeout",
    "body_timeout",
    "response_stalled",
    "body_too_large",
    "message_too_big",
    "too_many_values",
    "too_many_fragments",
    "text_too_long",
    "audio_too_long",
    "engine_not_allowed",
]
"""Limits on what one client may do; for those that are answered, the error's code."""

VoiceLoad = Literal["loaded", "replaced", "removed", "refused"]
"""What happened to a voice's folder: added, replaced by a newer one, deleted, or found damaged."""

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


class Metrics:
    """The metrics of one application; any number of applications can share a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.streams = self._gauge("vocoder_streams", "Streams being served now.")
        self.rows = self._gauge("vocoder_rows", "Rows in the running batch now.")
        self.capacity = self._gauge(
            "vocoder_capacity_streams", "Streams that can be served in real time."
        )
        self.waiting = self._gauge("vocoder_waiting", "Requests waiting for a slot now.")
        self.first_audio = self._histogram(
            "vocoder_first_audio_seconds",
            "Time from the request to its first audio.",
            FIRST_AUDIO_BUCKETS_S,
            "kind",
        )
        self.chunk_lateness = self._histogram(
            "vocoder_chunk_lateness_seconds",
            "How long after its play time a chunk was ready; 0 if it was in time.",
            LATENESS_BUCKETS_S,
        )
        self.late_chunks = self._counter(
            "vocoder_late_chunks_total", "Chunks that were ready after their play time."
        )
        self.real_time_factor = self._histogram(
            "vocoder_real_time_factor",
            "Generation time of a request per second of its audio.",
            REAL_TIME_FACTOR_BUCKETS,
        )
        self.audio_seconds = self._counter(
            "vocoder_audio_seconds_total", "Audio generated, in seconds."
        )
        self.rejections = self._counter(
            "vocoder_rejections_total", "Requests turned away.", "reason"
        )
        self.limits = self._counter(
            "vocoder_limits_total", "Connections and requests beyond a limit.", "limit"
        )
        self.cancellations = self._counter(
            "vocoder_cancellations_total", "Streams that ended before all their audio was sent."
        )
        self.requests = self._counter(
            "vocoder_requests_total", "Requests, by route template and status.", "path", "status"
        )
        self.cache_hits = self._counter(
            "vocoder_cache_hits_total", "Requests answered from the cache."
        )
        self.cache_misses = self._counter(
            "vocoder_cache_misses_total", "Cacheable requests that were not in the cache."
        )
        self.voice_loads = self._counter(
            "vocoder_voice_loads_total", "Voice folders that changed.", "result"
        )
        self.row_release = self._histogram(
            "vocoder_row_release_seconds",
            "Time from a stream's cancellation until its row is free.",
            ROW_RELEASE_BUCKETS_S,
        )
        # Labelled metrics are exposed from the start, so that rates over the first event are right.
        for kind in get_args(Kind):
            self.first_audio.labels(kind)
        for reason in get_args(Rejection):
            self.rejections.labels(reason)
        for limit in get_args(Limit):
            self.limits.labels(limit)
        for result in get_args(VoiceLoad):
            self.voice_loads.labels(result)
        ProcessCollector(registry=self.registry)

    def rejected(self, reason: Rejection) -> None:
        """Count a request that was turned away."""
        self.rejections.labels(reason).inc()

    def limited(self, code: str) -> None:
        """Count an error if its code is a limit's."""
        if code in get_args(Limit):
            self.limits.labels(code).inc()

    def text(self) -> bytes:
        """All metrics in Prometheus's text format, summed over all workers if there are several."""
        if FOLDER_VARIABLE not in os.environ:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(name, meaning, registry=self.registry, multiprocess_mode="livesum")

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self.registry)

    def _histogram(
        self, name: str, meaning: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(name, meaning, labels, buckets=buckets, registry=self.registry)
