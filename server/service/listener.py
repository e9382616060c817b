"""One stream of audio to one client: from the scheduler's threads into the event loop."""

import asyncio
import time
from collections.abc import Callable
from typing import Self

from vocoder.scheduling.stream import Chunk, End, Sink, Start
from vocoder.synthesis.segments import SentenceTimings
from vocoder.synthesis.speech import AudioChunk
from vocoder.synthesis.streaming import StreamHandle

from .. import metrics
from .admission import Slot

MEANT_LATE_S = 0.001
"""Less than this is the clock's own uncertainty."""


class Listener:
    """An iterator over a stream's audio; closing it stops its generation.

    The next chunk is only asked for when the one before it has been dealt with: a client that takes
    nothing makes its stream rest.

    Attributes:
        start: where the time before the first audio went, once there is any.
        audio_s: audio that was delivered, in seconds.
    """

    def __init__(
        self, begin: Callable[[Sink], StreamHandle], kind: metrics.Kind, place: Slot, rate_hz: int
    ) -> None:
        """Listen in the running event loop; the stream begins with the first chunk asked for.

        Args:
            begin: starts the stream; called in another thread, as it may read a long text.
            kind: what was asked for.
            place: left when the stream ends or is closed.
            rate_hz: samples a second.
        """
        self.start: Start | None = None
        self._samples = 0
        self._asked = time.perf_counter()
        self._made_at = self._played_until = self._asked
        self._begin, self._kind, self._place, self._rate_hz = begin, kind, place, rate_hz
        self._queue: asyncio.Queue[Chunk | End] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._work: asyncio.Future[StreamHandle] | None = None
        self._ticket: StreamHandle | None = None
        self._taken = 0
        self._over = False
        metrics.STREAMS.inc()

    @property
    def audio_s(self) -> float:
        """Audio delivered so far, in seconds."""
        return self._samples / self._rate_hz

    @property
    def played_until(self) -> float:
        """When all audio so far will have been played (``time.perf_counter``)."""
        return self._played_until

    @property
    def real_time_factor(self) -> float | None:
        """Seconds that a second of audio took, from the request on; None without audio."""
        return (self._made_at - self._asked) / self.audio_s if self._samples else None

    def begin_now(self) -> None:
        """Begin before the first chunk is asked for; what goes wrong is raised then."""
        if self._work is None and not self._over:
            self._work = asyncio.ensure_future(asyncio.to_thread(self._begin, self._hear))

    def due(self, played_until: float) -> None:
        """Say when its audio begins to play (``time.perf_counter``)."""
        if self._ticket is not None:
            self._ticket.plays_in(played_until - time.perf_counter())
        elif self._work is not None and self._work.done() and self._work.exception() is None:
            self._work.result().plays_in(played_until - time.perf_counter())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AudioChunk:
        """The next audio.

        Raises:
            UserError: the text or features cannot be spoken.
        """
        if self._over:
            raise StopAsyncIteration
        if self._ticket is None:
            self._ticket = await self._begun()
        self._ticket.consumed(self._taken)
        self._taken = 0
        event = await self._queue.get()
        if isinstance(event, End):
            self._end()
            if event.error is not None:
                raise event.error
            raise StopAsyncIteration
        self._taken = len(event.samples)
        said = event.label if isinstance(event.label, SentenceTimings) else SentenceTimings("", ())
        return AudioChunk(event.samples, said.text, said.words)

    async def aclose(self) -> None:
        """Stop: the stream's row is free within a step."""
        if not self._over:
            metrics.CANCELLATIONS.inc()
            self._abandon()

    async def _begun(self) -> StreamHandle:
        self.begin_now()
        assert self._work is not None
        try:
            return await asyncio.shield(self._work)
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        if self._ticket is not None:
            self._ticket.cancel()
        elif self._work is not None:
            # Its thread goes on; what it begins ends at once.
            self._work.add_done_callback(_cancel)
        self._finish()

    def _hear(self, event: Chunk | End) -> None:
        """Called in a thread of the scheduler."""
        self._loop.call_soon_threadsafe(self._heard, event)

    def _heard(self, event: Chunk | End) -> None:
        if isinstance(event, Chunk):
            self._made_at = time.perf_counter()
            self._played_until = max(self._played_until, self._made_at)
            self._played_until += len(event.samples) / self._rate_hz
            self._samples += len(event.samples)
            metrics.AUDIO_SECONDS.inc(len(event.samples) / self._rate_hz)
            metrics.CHUNK_LATENESS.observe(event.late_s)
            if event.late_s > MEANT_LATE_S:
                metrics.LATE_CHUNKS.inc()
            if event.start is not None and self.start is None:
                self.start = event.start
                metrics.FIRST_AUDIO.labels(self._kind).observe(sum(event.start))
        self._queue.put_nowait(event)

    def _end(self) -> None:
        if self.real_time_factor is not None:
            metrics.REAL_TIME_FACTOR.observe(self.real_time_factor)
        self._finish()

    def _finish(self) -> None:
        if not self._over:
            self._over = True
            # The stream knows its listener: else both would wait for the collector.
            self._ticket = self._work = None
            metrics.STREAMS.dec()
            self._place.leave()


def _cancel(begun: asyncio.Future[StreamHandle]) -> None:
    if not begun.cancelled() and begun.exception() is None:
        begun.result().cancel()
