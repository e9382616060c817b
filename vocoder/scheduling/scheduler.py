"""Continuous batching: live streams share one running batch of an engine.

A stream joins at the next step and leaves when it is done or cancelled. A few threads, one for each
core, do whatever is most urgent: take the next piece from a stream's source (text to features to
conditioning), or advance the rows that are most urgent by a step, correct what was generated and
deliver it. Order is by deadline: each stream knows how long the audio lasts that it has delivered,
and the one that runs out first comes first. A stream whose client does not take its audio rests
and costs the others nothing.

What a stream sounds like depends on none of this: its noise is a function of its seed, an engine's
rows do not see each other, and each row's conditioning is prepared alone.
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
from vocoder.scheduling.stream import AMPLE_S, End, Sink, Stream, Taken

STEP_FRAMES = 4
"""Frames generated in one step, where somebody is in haste."""

LONG_STEP_FRAMES = 8
"""Frames generated in one step otherwise: it costs less, and a newcomer waits longer."""

LONGEST_OWED_S = 0.1
"""Who is in haste waits no longer than this for the preparation of others."""

Work = Callable[[], None]

logger = logging.getLogger(__name__)


class StoppedError(Exception):
    """The scheduler was closed before the stream's end."""


class Load(NamedTuple):
    """What a scheduler is doing.

    Attributes:
        streams: that it has.
        rows: of them that hold a row of the batch.
    """

    streams: int
    rows: int


class _Step(NamedTuple):
    """Rows that are advanced together.

    Attributes:
        streams: whose rows they are.
        rows: of the batch.
        beginnings: of the utterances that begin in it.
        taken: what each is conditioned on.
        blocks: by how many.
    """

    streams: list[Stream]
    rows: list[int]
    beginnings: list[UtteranceStart | None]
    taken: list[Taken]
    blocks: int


class Scheduler:
    """One engine's running batch. Safe to use from several threads."""

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
            engine: what generates.
            hop_length, hold: samples a frame and a block.
            rate_hz: samples a second.
            rows: streams that may have a row at a time; others wait for one. Half of them are for
                those that soon run out of audio.
            threads: that work; as many of them as the engine has lanes may generate at a time.
            released: told in how many seconds a cancelled stream's row was free.
            clock: in seconds.
        """
        self.engine = engine
        self._rate_hz, self._hold, self._clock = rate_hz, hold, clock
        self._released = released
        self._blocks = STEP_FRAMES * hop_length // hold
        self._long_blocks = LONG_STEP_FRAMES * hop_length // hold
        self._batch = Batch(engine, rows, hold)
        self._kept_rows = rows // 2
        self._lanes = dispatch.lanes(engine, threads)
        self._generating = 0
        self._owed_s = 0.0  # time that preparation may take before those in haste
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

    # What callers use.

    def add(
        self,
        source: Iterator[Segment | None],
        sink: Sink,
        *,
        offline: bool = False,
        ahead_s: float = 0.0,
    ) -> Stream:
        """Let a stream join.

        Args:
            source: its pieces; None where there is nothing yet, until :meth:`wake` is called.
            sink: takes its chunks and its end.
            offline: whether nobody is listening: it comes after those that are listened to.
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
        """Say that a source which had nothing may have something now."""
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
        """End a stream: its row is free within a step, and its sink hears nothing more."""
        with self._lock:
            if stream.cancelled or stream.ended:
                return
            stream.cancelled, stream.cancelled_at = True, self._clock()
            if not stream.running:
                self._remove(stream)
            close = not stream.preparing
            self._changed.notify()  # Its row may be another's now.
        if close:
            _close(stream.source)

    @property
    def load(self) -> Load:
        """What it is doing."""
        with self._lock:
            rows = sum(stream.row is not None for stream in self._streams)
            return Load(len(self._streams), rows)

    @property
    def alive(self) -> bool:
        """Whether all its threads run."""
        return all(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """Stop; streams that remain break off with :class:`StoppedError`."""
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
            with contextlib.suppress(Exception):  # Whoever listened may be gone.
                stream.sink(End(StoppedError("generation was stopped")))

    # What is done next.

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._closed and (work := self._next()) is None:
                    self._changed.wait()
                if self._closed:
                    return
                self._changed.notify()  # Where there was work there may be more.
            assert work is not None
            work()

    def _next(self) -> Work | None:
        """The most urgent work that is to be done, marked as begun."""
        now = self._clock()
        if over := [stream for stream in self._streams if stream.over]:
            for stream in over:
                self._end(stream)
            return functools.partial(_tell_the_end, over)
        may_generate = self._generating < self._lanes
        ready = priority.most_urgent(self._streams, self._blocks, now) if may_generate else []
        needy = priority.neediest(self._streams, now)
        first = needy is not None and (not ready or self._first(needy, ready[0], now))
        if not first and (step := self._step(ready, now)):
            return functools.partial(self._generate, step)
        if needy is None:
            return None
        needy.begin(now)
        return functools.partial(self._prepare, needy)

    def _first(self, needy: Stream, ready: Stream, now: float) -> bool:
        # Half the time is theirs who are in haste: if it were all, few others would be prepared,
        # and batches would become small.
        theirs = self._owed_s <= 0 and not self._generating
        return priority.preparation_first(needy, ready, now, haste_counts=theirs)

    def _step(self, ready: list[Stream], now: float) -> _Step | None:
        """Of the streams that are ready those that are to be advanced now."""
        most = self.engine.batch_rows
        candidates, short = priority.together(ready, most, now)
        streams = self._with_rows(candidates, most, now)
        if not streams:
            return None
        far = all(stream.reach() >= self._long_blocks for stream in streams)
        blocks = self._long_blocks if far and not short else self._blocks
        self._generating += 1
        step = _Step(streams, [], [], [], blocks)
        for stream in streams:
            assert stream.row is not None
            stream.running = True
            step.rows.append(stream.row)
            step.beginnings.append(stream.beginning())
            step.taken.append(stream.take(blocks))
        return step

    def _with_rows(self, streams: list[Stream], most: int, now: float) -> list[Stream]:
        """The first of those that have a row of the batch, or get one now."""
        found: list[Stream] = []
        for stream in streams:
            may = self._batch.free > self._kept_rows or stream.slack_s(now) < AMPLE_S
            if stream.row is None and may:
                stream.row = self._batch.acquire()
            if stream.row is not None:
                found.append(stream)
            if len(found) == most:
                break
        return found

    # Doing it.

    def _prepare(self, stream: Stream) -> None:
        begun, piece, failure = self._clock(), None, None
        ended = False
        try:
            piece = next(stream.source)
        except StopIteration:
            ended = True
        except Exception as error:
            failure = error
        with self._lock:
            self._owed_s = max(0.0, self._owed_s - (self._clock() - begun))
            stream.preparing = False
            if stream.cancelled or stream.ended:
                pass  # It broke off meanwhile.
            elif failure is not None or ended:
                stream.exhausted, stream.failure = True, failure
            elif piece is None:
                stream.starved = not stream.woken
            else:
                stream.add(piece, self._clock())
            gone = stream.cancelled or stream.ended
        if gone:
            _close(stream.source)

    def _generate(self, step: _Step) -> None:
        begun = self._clock()
        try:
            audio = self._batch.advance(step.rows, step.beginnings, step.taken, step.blocks)
        except Exception as error:
            logger.exception("a step of %d rows failed", len(step.rows))
            self._fail(step.streams, error)
        else:
            self._deliver(step, audio)
        with self._lock:
            self._generating -= 1
            self._owed_s = min(LONGEST_OWED_S, self._owed_s + self._clock() - begun)
            for stream, taken in zip(step.streams, step.taken, strict=True):
                stream.running = False
                if stream.cancelled or stream.ended:
                    self._remove(stream)
                elif taken.last and stream.empty:
                    # It may be silent for long; its next utterance begins from nothing anyway.
                    self._leave_row(stream)

    def _deliver(self, step: _Step, audio: Tensor) -> None:
        for row, (stream, taken) in enumerate(zip(step.streams, step.taken, strict=True)):
            if stream.cancelled:
                continue
            try:
                samples = stream.finish(taken, audio[row, : taken.blocks * self._hold].numpy())
                with self._lock:
                    chunk = stream.deliver(samples, taken.last, self._clock())
                if chunk is not None and not stream.cancelled:
                    stream.sink(chunk)
            except Exception as error:
                logger.exception("a stream's audio could not be finished")
                self._fail([stream], error)

    def _fail(self, streams: list[Stream], error: Exception) -> None:
        """End streams with an error."""
        with self._lock:
            failed = [stream for stream in streams if not (stream.cancelled or stream.ended)]
            for stream in failed:
                stream.failure, stream.exhausted, stream.ended = error, True, True
        _tell_the_end(failed)

    def _end(self, stream: Stream) -> None:
        stream.ended = True
        self._remove(stream)

    def _remove(self, stream: Stream) -> None:
        if stream in self._streams:
            self._streams.remove(stream)
        if self._leave_row(stream) and stream.cancelled_at is not None:
            self._released(self._clock() - stream.cancelled_at)

    def _leave_row(self, stream: Stream) -> bool:
        """Give back a stream's row; whether it had one."""
        row, stream.row = stream.row, None
        if row is not None:
            self._batch.release(row)
        return row is not None


def _tell_the_end(streams: list[Stream]) -> None:
    for stream in streams:
        try:
            stream.sink(End(stream.failure))
        except Exception:
            logger.exception("a stream's end could not be told")


def _close(source: Iterator[Segment | None]) -> None:
    if isinstance(source, Generator):
        source.close()
