"""Continuous batching: live streams share one running batch of an engine.

A stream joins at the next step and leaves when it is done or cancelled. A few threads, one per
core, always do the most urgent work: prepare a stream's next segment (text to features to
conditioning), or advance the most urgent rows by one step, filter their output and deliver it. The
earliest deadline comes first: each stream knows how long its delivered audio lasts. A stream whose
client stops reading is paused and costs the others nothing.

None of this affects the sound of a stream: its noise is a function of its seed, an engine's rows
are independent of each other, and each row's conditioning is prepared alone.
"""

import contextlib
import functools
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

from torch import Tensor

from vocoder.generation import dispatch
from vocoder.generation.dispatch import Engine
from vocoder.scheduling import priority
from vocoder.scheduling.batch import Batch
from vocoder.scheduling.segment import Segment, UtteranceStart
from vocoder.scheduling.stream import AMPLE_S, End, Sink, StepInput, Stream

STEP_FRAMES = 4
"""Frames of a step that has an urgent stream."""

LONG_STEP_FRAMES = 8
"""Frames of any other step: a frame then costs less, but a new stream waits longer."""

MAX_PREPARATION_DEBT_S = 0.1
"""An urgent stream waits at most this long while others are prepared."""

Work = Callable[[], None]

logger = logging.getLogger(__name__)


class StoppedError(Exception):
    """The scheduler was closed before the stream had ended."""


class Load(NamedTuple):
    """Load of a scheduler.

    Attributes:
        streams: number of streams.
        rows: number of streams that have a row of the batch.
    """

    streams: int
    rows: int


class _Step(NamedTuple):
    """Rows that are advanced together.

    Attributes:
        streams: one for each row.
        rows: of the batch.
        utterance_starts: set for the rows that start an utterance.
        inputs: conditioning of each row.
        blocks: to generate.
    """

    streams: list[Stream]
    rows: list[int]
    utterance_starts: list[UtteranceStart | None]
    inputs: list[StepInput]
    blocks: int


class Scheduler:
    """One engine's running batch. Thread-safe."""

    def __init__(
        self,
        engine: Engine,
        *,
        hop_length: int,
        hold: int,
        rate_hz: int,
        rows: int = 64,
        threads: int = 1,
        released: Callable[[float], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the threads.

        Args:
            engine: generates the audio.
            hop_length, hold: samples per frame and per block.
            rate_hz: sample rate.
            rows: streams that can have a row at once; others wait for one. Half of the rows are
                reserved for streams about to run out of audio.
            threads: worker threads; no more of them generate at once than the engine allows.
            released: called with the seconds it took to free a cancelled stream's row.
            clock: in seconds.
        """
        self.engine = engine
        self._rate_hz, self._hold, self._clock = rate_hz, hold, clock
        self._released = released
        self._blocks = STEP_FRAMES * hop_length // hold
        self._long_blocks = LONG_STEP_FRAMES * hop_length // hold
        self._batch = Batch(engine, rows, hold)
        self._reserved_rows = rows // 2
        self._max_concurrency = dispatch.max_concurrency(engine, threads)
        self._generating = 0
        self._debt_s = 0.0  # time for preparation to catch up, ahead of urgent streams
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._streams: list[Stream] = []
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"scheduler-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def add(
        self,
        source: Iterator[Segment | None],
        sink: Sink,
        *,
        offline: bool = False,
        ahead_s: float = 0.0,
    ) -> Stream:
        """Add a stream.

        Args:
            source: its segments; None if there is nothing until :meth:`wake` is called.
            sink: receives its chunks and its end.
            offline: whether nobody is listening: it then comes after streams with a listener.
            ahead_s: audio that the listener still has to play before it.
        """
        stream = Stream(
            source,
            sink,
            hold=self._hold,
            rate_hz=self._rate_hz,
            offline=offline,
            now=self._clock(),
            ahead_s=ahead_s,
        )
        with self._lock:
            assert not self._closed, "the scheduler is closed"
            self._streams.append(stream)
            self._changed.notify()
        return stream

    def wake(self, stream: Stream) -> None:
        """Report that a stream's source, which had nothing, may have something now."""
        with self._lock:
            stream.woken, stream.starved = True, False
            self._changed.notify()

    def consumed(self, stream: Stream, samples: int) -> None:
        """Report that the client has consumed another ``samples`` samples."""
        with self._lock:
            stream.consumed += samples
            self._changed.notify()

    def plays_in(self, stream: Stream, seconds: float) -> None:
        """Report that a stream's audio starts playing in ``seconds``; the last report counts."""
        with self._lock:
            stream.plays_in(seconds, self._clock())

    def cancel(self, stream: Stream) -> None:
        """End a stream: its row is free within one step, and its sink receives nothing more."""
        with self._lock:
            if stream.cancelled or stream.ended:
                return
            stream.cancelled, stream.cancelled_at = True, self._clock()
            if not stream.running:
                self._remove(stream)
            close = not stream.preparing
            self._changed.notify()  # Another stream may have its row now.
        if close:
            _close(stream.source)

    @property
    def load(self) -> Load:
        """The current load."""
        with self._lock:
            rows = sum(stream.row is not None for stream in self._streams)
            return Load(len(self._streams), rows)

    @property
    def alive(self) -> bool:
        """Whether all its threads are running."""
        return all(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """Stop; the remaining streams end with :class:`StoppedError`."""
        with self._lock:
            self._closed = True
            remaining = [stream for stream in self._streams if not stream.cancelled]
            for stream in remaining:
                stream.cancelled = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        for stream in remaining:
            _close(stream.source)
            with contextlib.suppress(Exception):  # The client may have disconnected.
                stream.sink(End(StoppedError("generation was stopped")))

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._closed and (work := self._next()) is None:
                    self._changed.wait()
                if self._closed:
                    return
                self._changed.notify()  # There may be work for another thread.
            assert work is not None
            work()

    def _next(self) -> Work | None:
        """The most urgent work, marked as started."""
        now = self._clock()
        if finished := [stream for stream in self._streams if stream.finished]:
            for stream in finished:
                self._end(stream)
            return functools.partial(_send_end, finished)
        may_generate = self._generating < self._max_concurrency
        ready = priority.ready_to_generate(self._streams, self._blocks, now) if may_generate else []
        unprepared = priority.next_to_prepare(self._streams, now)
        prepare = unprepared is not None and (
            not ready or self._preparation_first(unprepared, ready[0], now)
        )
        if not prepare and (step := self._step(ready, now)):
            return functools.partial(self._generate, step)
        if unprepared is None:
            return None
        unprepared.begin_preparing(now)
        return functools.partial(self._prepare, unprepared)

    def _preparation_first(self, unprepared: Stream, ready: Stream, now: float) -> bool:
        # Urgent streams get at most half the time. With all of it, few others would be prepared,
        # and the batches would become small.
        favour_urgent = self._debt_s <= 0 and not self._generating
        return priority.preparation_first(unprepared, ready, now, favour_urgent=favour_urgent)

    def _step(self, ready: list[Stream], now: float) -> _Step | None:
        """The next step, with some of the streams that are ready."""
        rows = self.engine.batch_rows
        candidates, short = priority.choose_batch(ready, rows, now)
        streams = self._with_rows(candidates, rows, now)
        if not streams:
            return None
        long = not short and all(s.available_blocks() >= self._long_blocks for s in streams)
        blocks = self._long_blocks if long else self._blocks
        self._generating += 1
        step = _Step(streams, [], [], [], blocks)
        for stream in streams:
            assert stream.row is not None
            stream.running = True
            step.rows.append(stream.row)
            step.utterance_starts.append(stream.next_utterance())
            step.inputs.append(stream.take(blocks))
        return step

    def _with_rows(self, streams: list[Stream], count: int, now: float) -> list[Stream]:
        """The first ``count`` streams that have a row of the batch, or get one now."""
        found: list[Stream] = []
        for stream in streams:
            entitled = self._batch.free > self._reserved_rows or stream.slack_s(now) < AMPLE_S
            if stream.row is None and entitled:
                stream.row = self._batch.acquire()
            if stream.row is not None:
                found.append(stream)
            if len(found) == count:
                break
        return found

    def _prepare(self, stream: Stream) -> None:
        started_at, segment, failure = self._clock(), None, None
        ended = False
        try:
            segment = next(stream.source)
        except StopIteration:
            ended = True
        except Exception as error:
            failure = error
        with self._lock:
            self._debt_s = max(0.0, self._debt_s - (self._clock() - started_at))
            stream.preparing = False
            if stream.cancelled or stream.ended:
                pass  # It ended meanwhile.
            elif failure is not None or ended:
                stream.exhausted, stream.failure = True, failure
            elif segment is None:
                stream.starved = not stream.woken
            else:
                stream.add(segment, self._clock())
            gone = stream.cancelled or stream.ended
        if gone:
            _close(stream.source)

    def _generate(self, step: _Step) -> None:
        started_at = self._clock()
        try:
            audio = self._batch.advance(step.rows, step.utterance_starts, step.inputs, step.blocks)
        except Exception as error:
            logger.exception("a step of %d rows failed", len(step.rows))
            self._fail(step.streams, error)
        else:
            self._deliver(step, audio)
        with self._lock:
            self._generating -= 1
            spent_s = self._clock() - started_at
            self._debt_s = min(MAX_PREPARATION_DEBT_S, self._debt_s + spent_s)
            for stream, taken in zip(step.streams, step.inputs, strict=True):
                stream.running = False
                if stream.cancelled or stream.ended:
                    self._remove(stream)
                elif taken.last and stream.empty:
                    # It may be idle for long, and its next utterance starts from silence anyway.
                    self._release_row(stream)

    def _deliver(self, step: _Step, audio: Tensor) -> None:
        for row, (stream, taken) in enumerate(zip(step.streams, step.inputs, strict=True)):
            if stream.cancelled:
                continue
            try:
                generated = audio[row, : taken.blocks * self._hold].numpy()
                samples = stream.post_process(taken, generated)
                with self._lock:
                    chunk = stream.deliver(samples, taken.last, self._clock())
                if chunk is not None and not stream.cancelled:
                    stream.sink(chunk)
            except Exception as error:
                logger.exception("a stream's audio could not be post-processed")
                self._fail([stream], error)

    def _fail(self, streams: list[Stream], error: Exception) -> None:
        """End streams with an error."""
        with self._lock:
            failed = [stream for stream in streams if not (stream.cancelled or stream.ended)]
            for stream in failed:
                stream.failure, stream.exhausted, stream.ended = error, True, True
        _send_end(failed)

    def _end(self, stream: Stream) -> None:
        stream.ended = True
        self._remove(stream)

    def _remove(self, stream: Stream) -> None:
        if stream in self._streams:
            self._streams.remove(stream)
        if self._release_row(stream) and stream.cancelled_at is not None:
            self._released(self._clock() - stream.cancelled_at)

    def _release_row(self, stream: Stream) -> bool:
        """Free a stream's row; returns whether it had one."""
        row, stream.row = stream.row, None
        if row is not None:
            self._batch.release(row)
        return row is not None


def _send_end(streams: list[Stream]) -> None:
    for stream in streams:
        try:
            stream.sink(End(stream.failure))
        except Exception:
            logger.exception("the sink of an ended stream failed")


def _close(source: Iterator[Segment | None]) -> None:
    if isinstance(source, Generator):
        source.close()
