"""One stream of audio to one client: from the scheduler's threads to the event loop."""

import asyncio
import time
from collections.abc import Callable
from typing import Self

from vocoder.scheduling.stream import Chunk, End, Sink, Start
from vocoder.synthesis.speech import AudioChunk
from vocoder.synthesis.streaming import StreamHandle

from ..metrics import Kind, Metrics

MIN_LATENESS_S = 0.001
"""Anything less is within the clock's uncertainty."""


class Listener:
    """An iterator over a stream's audio; closing it stops the generation.

    A chunk counts as consumed when the next one is requested, so a stream whose client stops
    reading is paused.

    Attributes:
        start: how the time before the first audio was spent; None before it.
    """

    def __init__(
        self,
        start: Callable[[Sink], StreamHandle],
        rate_hz: int,
        *,
        kind: Kind,
        metrics: Metrics,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        """Listen from the running event loop; the stream starts when the first chunk is requested.

        Args:
            start: starts the stream; called in another thread, because it may read a long text.
            rate_hz: sample rate.
            kind: how the audio was requested, for the metrics.
            metrics: of the application.
            on_end: called once, when the stream has ended or is closed.
        """
        self.start: Start | None = None
        self._samples = 0
        self._requested_at = time.perf_counter()
        self._generated_at = self._played_until = self._requested_at
        self._start_stream, self._rate_hz = start, rate_hz
        self._kind, self._metrics, self._on_end = kind, metrics, on_end
        self._queue: asyncio.Queue[Chunk | End] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._starting: asyncio.Future[StreamHandle] | None = None
        self._stream: StreamHandle | None = None
        self._unreported = 0
        self._over = False
        metrics.streams.inc()

    @property
    def audio_s(self) -> float:
        """Audio received so far, in seconds."""
        return self._samples / self._rate_hz

    @property
    def played_until(self) -> float:
        """When all audio so far will have been played (``time.perf_counter``)."""
        return self._played_until

    @property
    def real_time_factor(self) -> float | None:
        """Seconds from the request on per second of audio; None without audio."""
        if not self._samples:
            return None
        return (self._generated_at - self._requested_at) / self.audio_s

    def start_now(self) -> None:
        """Start before the first chunk is requested; errors are raised when it is."""
        if self._starting is None and not self._over:
            starting = asyncio.to_thread(self._start_stream, self._receive)
            self._starting = asyncio.ensure_future(starting)

    def plays_at(self, moment: float) -> None:
        """Report when its audio starts playing (``time.perf_counter``)."""
        starting, stream = self._starting, self._stream
        if stream is None and starting and starting.done() and not starting.exception():
            stream = starting.result()
        if stream is not None:
            stream.plays_in(moment - time.perf_counter())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AudioChunk:
        """The next audio.

        Raises:
            UserError: the text or features cannot be spoken.
        """
        if self._over:
            raise StopAsyncIteration
        if self._stream is None:
            self._stream = await self._started()
        self._stream.consumed(self._unreported)
        self._unreported = 0
        event = await self._queue.get()
        if isinstance(event, End):
            if self.real_time_factor is not None:
                self._metrics.real_time_factor.observe(self.real_time_factor)
            self._finish()
            if event.error is not None:
                raise event.error
            raise StopAsyncIteration
        self._unreported = len(event.samples)
        return AudioChunk.of(event.samples, event.timings)

    async def aclose(self) -> None:
        """Stop: the stream's row is free within one step."""
        if not self._over:
            self._metrics.cancellations.inc()
            self._abandon()

    async def _started(self) -> StreamHandle:
        self.start_now()
        assert self._starting is not None
        try:
            return await asyncio.shield(self._starting)
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        if self._stream is not None:
            self._stream.cancel()
        elif self._starting is not None:
            # Its thread cannot be stopped; the stream that it starts is cancelled at once.
            self._starting.add_done_callback(_cancel)
        self._finish()

    def _receive(self, event: Chunk | End) -> None:
        """Called in a thread of the scheduler."""
        self._loop.call_soon_threadsafe(self._received, event)

    def _received(self, event: Chunk | End) -> None:
        if isinstance(event, Chunk):
            seconds = len(event.samples) / self._rate_hz
            self._generated_at = time.perf_counter()
            self._played_until = max(self._played_until, self._generated_at) + seconds
            self._samples += len(event.samples)
            self._metrics.audio_seconds.inc(seconds)
            self._metrics.chunk_lateness.observe(event.late_s)
            if event.late_s > MIN_LATENESS_S:
                self._metrics.late_chunks.inc()
            if event.start is not None and self.start is None:
                self.start = event.start
                self._metrics.first_audio.labels(self._kind).observe(sum(event.start))
        self._queue.put_nowait(event)

    def _finish(self) -> None:
        if not self._over:
            self._over = True
            # Breaks the reference cycle with the stream, which the garbage collector would have to.
            self._stream = self._starting = None
            self._metrics.streams.dec()
            self._on_end()


def _cancel(starting: asyncio.Future[StreamHandle]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().cancel()
