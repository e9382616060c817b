"""Continuous batching: live streams share one running batch of an engine.

A stream joins at the next step and leaves when it is done or cancelled. Three kinds of threads work
on it: preparation threads take pieces from its source (text to features to conditioning), one
generation thread advances the rows that are most urgent by a step, one finishing thread corrects
what was generated and delivers it. Order is by deadline: each stream knows how long the audio
lasts that it has delivered, and the one that runs out first comes first. A stream that is far ahead
of its player, or whose client does not take its audio, rests and costs the others nothing.

What a stream sounds like depends on none of this: its noise is a function of its seed, an engine's
rows do not see each other, and each row's conditioning is prepared alone.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

from vocoder.audio import Samples
from vocoder.generation.batch import Batch
from vocoder.generation.dispatch import Engine
from vocoder.generation.finishing import Finishing, Made
from vocoder.generation.pieces import Piece
from vocoder.generation.streams import Chunk, End, Sink, Stream

STEP_FRAMES = 4
"""Frames generated in one step."""

PREPARED_S = 1.0
"""Audio whose conditioning is made ahead of its generation."""

SAFE_S = 0.2
"""While all others have so much audio left, streams that start go ahead alone, in short steps."""

STARTING_ROWS = 16
"""Streams that start together, alone; more would make the first of them wait."""

STARTING_SLACK_S = 0.1
"""A stream that has no audio yet comes before those that have more than this left."""

logger = logging.getLogger(__name__)


class StoppedError(Exception):
    """The scheduler was closed before the stream's end."""


class Load(NamedTuple):
    """What a scheduler is doing.

    Attributes:
        streams: that it has.
        rows: of them that hold a row of the batch.
        steps: taken so far.
        busy_s: spent in the engine so far.
        samples: generated so far, all rows together.
    """

    streams: int
    rows: int
    steps: int
    busy_s: float
    samples: int


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
        preparing_threads: int = 1,
        released: Callable[[float], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the threads.

        Args:
            engine: what generates.
            hop_length, hold: samples a frame and a block.
            rate_hz: samples a second.
            rows: streams that may have a row at a time; others wait for one.
            preparing_threads: how many prepare.
            released: told in how many seconds a cancelled stream's row was free.
            clock: in seconds.
        """
        self.engine = engine
        self._rate_hz, self._hold, self._clock = rate_hz, hold, clock
        self._released = released
        self._blocks = STEP_FRAMES * hop_length // hold
        self._batch = Batch(engine, rows, hold)
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._to_prepare = threading.Condition(self._lock)
        self._streams: list[Stream] = []
        self._finishing = Finishing(self._deliver, self.cancel)
        self._closed = False
        self._steps, self._busy_s, self._samples = 0, 0.0, 0
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for target, name in (
                (self._generate, "generating"),
                (self._finishing.run, "finishing"),
                *((self._prepare, f"preparing-{i}") for i in range(preparing_threads)),
            )
        ]
        for thread in self._threads:
            thread.start()

    # What callers use.

    def add(
        self,
        source: Iterator[Piece | None],
        sink: Sink,
        *,
        lead_s: float = float("inf"),
        offline: bool = False,
    ) -> Stream:
        """Let a stream join.

        Args:
            source: its pieces; None where there is nothing yet, until :meth:`wake` is called.
            sink: takes its chunks and its end.
            lead_s: audio that may be delivered ahead of its being played.
            offline: whether nobody is listening: it comes after those that are listened to.
        """
        stream = Stream(
            source,
            sink,
            hold=self._hold,
            rate_hz=self._rate_hz,
            lead_s=lead_s,
            offline=offline,
            now=self._clock(),
        )
        with self._lock:
            assert not self._closed, "the scheduler is closed"
            self._streams.append(stream)
            self._to_prepare.notify()
        return stream

    def wake(self, stream: Stream) -> None:
        """Say that a source which had nothing may have something now."""
        with self._lock:
            stream.woken, stream.starved = True, False
            self._to_prepare.notify()

    def took(self, stream: Stream, samples: int) -> None:
        """Say that the client has taken so many more samples."""
        with self._lock:
            stream.taken += samples
            self._changed.notify()

    def cancel(self, stream: Stream) -> None:
        """End a stream: its row is free within a step, and its sink hears nothing more."""
        with self._lock:
            if stream.cancelled or stream.ended:
                return
            stream.cancelled, stream.cancelled_at = True, self._clock()
            if not stream.running:
                self._remove(stream)
            close = not stream.preparing
            self._changed.notify()
        if close:
            _close(stream.source)

    @property
    def load(self) -> Load:
        """What it is doing."""
        with self._lock:
            rows = sum(stream.row is not None for stream in self._streams)
            return Load(len(self._streams), rows, self._steps, self._busy_s, self._samples)

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
            self._to_prepare.notify_all()
        for thread in self._threads:
            thread.join()
        for stream in remaining:
            _close(stream.source)
            with contextlib.suppress(Exception):  # Whoever listened may be gone.
                stream.sink(End(StoppedError("generation was stopped")))

    # Preparation.

    def _prepare(self) -> None:
        while True:
            with self._lock:
                while not self._closed and (stream := self._neediest()) is None:
                    self._to_prepare.wait()
                if self._closed:
                    return
                assert stream is not None
                stream.begin(self._clock())
            self._prepare_piece(stream)

    def _neediest(self) -> Stream | None:
        """The stream whose next piece is wanted first."""
        now = self._clock()
        open_ones = [
            stream
            for stream in self._streams
            if not (stream.preparing or stream.starved or stream.exhausted or stream.cancelled)
            and stream.prepared_s < PREPARED_S
        ]

        def need(stream: Stream) -> float:
            return _urgency_s(stream, now) + stream.prepared_s

        return min(open_ones, key=need, default=None)

    def _prepare_piece(self, stream: Stream) -> None:
        piece, failure = None, None
        ended = False
        try:
            piece = next(stream.source)
        except StopIteration:
            ended = True
        except Exception as error:
            failure = error
        with self._lock:
            stream.preparing = False
            if stream.cancelled or stream.ended:
                pass  # It broke off meanwhile.
            elif failure is not None or ended:
                stream.exhausted, stream.failure = True, failure
            elif piece is None:
                stream.starved = not stream.woken
            else:
                stream.add(piece, self._clock())
            over = stream.cancelled or stream.ended
            self._changed.notify()
        if over:
            _close(stream.source)

    # Generation.

    def _generate(self) -> None:
        while True:
            with self._lock:
                chosen, ended = self._choose()
                while not (chosen or ended or self._closed):
                    self._changed.wait(timeout=0.02 if self._streams else None)
                    chosen, ended = self._choose()
                if self._closed:
                    break
                for stream in chosen:
                    stream.running = True
            if ended:
                self._finishing.put(list(ended))
            if chosen:
                self._step(chosen)
        self._finishing.put(None)

    def _choose(self) -> tuple[list[Stream], list[Stream]]:
        """Streams to advance, and streams that are over."""
        now = self._clock()
        ended = [s for s in self._streams if s.exhausted and s.empty and not s.ended]
        for stream in ended:
            stream.ended = True
            self._remove(stream)
        ready = [
            stream
            for stream in self._streams
            if not stream.empty and stream.reach() >= self._blocks and not stream.rests(now)
        ]
        ready.sort(key=lambda stream: _urgency_s(stream, now))
        starting = [stream for stream in ready if stream.starting]
        can_wait = all(s.slack_s(now) > SAFE_S for s in ready if not s.starting)
        if can_wait and (chosen := self._with_rows(starting)[:STARTING_ROWS]):
            return chosen, ended
        return self._with_rows(ready)[: self.engine.batch_rows], ended

    def _with_rows(self, streams: list[Stream]) -> list[Stream]:
        """Those that have a row of the batch, or get one now."""
        for stream in streams:
            if stream.row is None:
                stream.row = self._batch.acquire()
        return [stream for stream in streams if stream.row is not None]

    def _step(self, chosen: list[Stream]) -> None:
        start = self._clock()
        with self._lock:
            rows, beginnings = [], []
            for stream in chosen:
                assert stream.row is not None
                rows.append(stream.row)
                beginnings.append(stream.beginning())
            taken = [stream.take(self._blocks) for stream in chosen]
            self._to_prepare.notify_all()
        audio, failure = None, None
        try:
            audio = self._batch.advance(rows, beginnings, taken, self._blocks)
        except Exception as error:
            logger.exception("a step of %d rows failed", len(rows))
            failure = error
        made: list[Made | Stream] = []
        with self._lock:
            self._steps += 1
            self._busy_s += self._clock() - start
            for number, stream in enumerate(chosen):
                stream.running = False
                if audio is None:
                    stream.failure, stream.exhausted, stream.ended = failure, True, True
                    made.append(stream)
                elif not stream.cancelled:
                    samples = audio[number, : taken[number].blocks * self._hold]
                    self._samples += len(samples)
                    made.append(Made(stream, taken[number], samples))
                if stream.cancelled or stream.ended:
                    self._remove(stream)
                elif taken[number].last and stream.empty:
                    # It may be silent for long; its next utterance begins from nothing anyway.
                    self._leave_row(stream)
        self._finishing.put(made)

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

    def _deliver(self, stream: Stream, samples: Samples, last: bool) -> Chunk | None:
        with self._lock:
            return stream.deliver(samples, stream.label, last, self._clock())


def _urgency_s(stream: Stream, now: float) -> float:
    return stream.slack_s(now) if stream.playing or stream.offline else STARTING_SLACK_S


def _close(source: Iterator[Piece | None]) -> None:
    if isinstance(source, Generator):
        source.close()
