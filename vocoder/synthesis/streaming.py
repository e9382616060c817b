"""Many streams at once: a running batch for each voice and engine, and its capacity."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from vocoder.features.feature_file import Features
from vocoder.generation import dispatch
from vocoder.generation.dispatch import Engine
from vocoder.scheduling.scheduler import Load, Scheduler
from vocoder.scheduling.stream import Chunk, End, Sink, Stream
from vocoder.synthesis.request import SynthesisRequest, Vocoding
from vocoder.synthesis.speech import Speech
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.voices.voice import Voice

ROWS_PER_ACTIVE_ROW = 4
"""Rows of a running batch per row advanced at once; the rest are waiting, or belong to files."""

HEADROOM = 0.9
"""Share of the measured capacity that is promised.

A machine is not always as fast as during the measurement, and rejected requests cost time too.
"""

MEASURED_TEXT = "The quick brown fox jumps over the lazy old dog."
MEASURED_FRAMES = 160

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StreamHandle:
    """A running stream."""

    scheduler: Scheduler
    stream: Stream

    def consumed(self, samples: int) -> None:
        """Report that the client has consumed another ``samples`` samples."""
        self.scheduler.consumed(self.stream, samples)

    def plays_in(self, seconds: float) -> None:
        """Report that the audio starts playing in ``seconds``."""
        self.scheduler.plays_in(self.stream, seconds)

    def cancel(self) -> None:
        """End the stream; its sink receives nothing more."""
        self.scheduler.cancel(self.stream)


class StreamingSynthesizer:
    """Generates many streams at once. Thread-safe.

    A running batch is started when its voice is first used, and closed once the voice is retired
    and its last stream has ended.
    """

    def __init__(
        self,
        synthesizer: Synthesizer,
        *,
        threads: int = 1,
        released: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Stream what ``synthesizer`` prepares.

        Args:
            synthesizer: prepares the segments and provides the engines.
            threads: worker threads of each batch; see :class:`Scheduler`.
            released: called with the seconds it took to free a cancelled stream's row.
        """
        self.synthesizer = synthesizer
        self._released = released
        self._threads = threads
        self._lock = threading.Lock()
        self._schedulers: dict[tuple[str, str], Scheduler] = {}
        self._retired: list[Scheduler] = []
        self._capacities: dict[tuple[str, str], float] = {}

    def start(self, request: SynthesisRequest, sink: Sink) -> StreamHandle:
        """Start a stream that delivers its audio to ``sink``; see :meth:`Scheduler.add`.

        Raises:
            UserError: as :meth:`Synthesizer.segments` does, or for an engine that cannot run.
        """
        segments = self.synthesizer.segments(request)
        scheduler = self._scheduler(request.voice, request.engine)
        stream = scheduler.add(segments, sink, offline=request.offline, ahead_s=request.ahead_s)
        if request.input is not None:
            request.input.on_change(lambda: scheduler.wake(stream))
            scheduler.wake(stream)
        self._close_idle()
        return StreamHandle(scheduler, stream)

    def capacity(self, voice: Voice, engine: str | None = None) -> float:
        """How many streams of a voice the machine can sustain in real time, end to end.

        Measured when first asked for, which takes a few seconds.
        """
        key = self._key(voice, engine)
        if key not in self._capacities:
            measured = self._measured(voice, engine)
            self._capacities[key] = HEADROOM * measured
            logger.info(
                "voice %s: %.1f streams in real time on engine %s", voice.id, measured, key[1]
            )
        return self._capacities[key]

    def known_capacity(self, voice: Voice, engine: str) -> float:
        """The capacity as far as it is known, without measuring or creating an engine.

        For a voice that was not measured, it is the least of those measured on the same engine; on
        another engine, or before any measurement, one stream.

        Args:
            voice: that speaks.
            engine: the engine's own name, not ``auto``.
        """
        known = self._capacities.get((voice.digest, engine))
        if known is None:
            others = [found for (_, other), found in self._capacities.items() if other == engine]
            known = min(others, default=1.0)
        return known

    def load(self) -> Load:
        """The total load of all batches."""
        with self._lock:
            loads = [s.load for s in (*self._schedulers.values(), *self._retired)]
        return Load(*map(sum, zip(*loads, strict=True))) if loads else Load(0, 0)

    @property
    def alive(self) -> bool:
        """Whether every batch is running."""
        with self._lock:
            return all(scheduler.alive for scheduler in self._schedulers.values())

    def retire(self, voice: Voice) -> None:
        """Close a voice's batches once their current streams have ended."""
        with self._lock:
            for key in [key for key in self._schedulers if key[0] == voice.digest]:
                self._retired.append(self._schedulers.pop(key))
        self.synthesizer.forget(voice)
        self._close_idle()

    def close(self) -> None:
        """Stop all streams."""
        with self._lock:
            schedulers = [*self._schedulers.values(), *self._retired]
            self._schedulers.clear()
            self._retired.clear()
        for scheduler in schedulers:
            scheduler.close()

    def _key(self, voice: Voice, engine: str | None) -> tuple[str, str]:
        return voice.digest, self.synthesizer.engine_name(voice, engine)

    def _scheduler(self, voice: Voice, engine: str | None) -> Scheduler:
        key, runner = self._key(voice, engine), self.synthesizer.engine(voice, engine)
        features = voice.config.features
        with self._lock:
            if key not in self._schedulers:
                self._schedulers[key] = Scheduler(
                    runner,
                    hop_length=features.hop_length,
                    hold=voice.config.hold,
                    rate_hz=features.sample_rate_hz,
                    rows=ROWS_PER_ACTIVE_ROW * self._active_rows(voice, runner),
                    threads=self._threads_of(voice, runner),
                    released=self._released,
                )
            return self._schedulers[key]

    def _active_rows(self, voice: Voice, engine: Engine) -> int:
        """Rows that are advanced at once."""
        return engine.batch_rows * dispatch.max_concurrency(engine, self._threads_of(voice, engine))

    def _threads_of(self, voice: Voice, engine: Engine) -> int:
        """Threads of a batch; those that only wait for a GPU come on top."""
        waiting = 0 if voice.model.device.type == "cpu" else engine.max_concurrency or 0
        return self._threads + waiting

    def _close_idle(self) -> None:
        with self._lock:
            idle = [scheduler for scheduler in self._retired if not scheduler.load.streams]
            self._retired = [s for s in self._retired if s not in idle]
        for scheduler in idle:
            scheduler.close()

    def _measured(self, voice: Voice, engine: str | None) -> float:
        rows = self._active_rows(voice, self.synthesizer.engine(voice, engine))
        ended, samples = threading.Semaphore(0), [0] * rows

        def sink_of(row: int) -> Sink:
            def sink(event: Chunk | End) -> None:
                if isinstance(event, End):
                    ended.release()
                else:
                    samples[row] += len(event.samples)

            return sink

        start = time.perf_counter()
        for row in range(rows):
            self._example(voice, engine, row, sink_of(row))
        for _ in range(rows):
            ended.acquire()
        seconds = time.perf_counter() - start
        return sum(samples) / voice.config.features.sample_rate_hz / seconds

    def _example(self, voice: Voice, engine: str | None, seed: int, sink: Sink) -> None:
        """Start a stream short enough to finish without a client."""
        content: Speech | Vocoding = Speech(MEASURED_TEXT, seed=seed)
        if voice.acoustic is None:
            config = voice.config.features
            mel = Tensor(config.n_mels, MEASURED_FRAMES).fill_(-10.0)
            content = Vocoding(Features(mel, config), seed=seed)
        self.start(SynthesisRequest(voice, content, engine=engine, offline=True), sink)
