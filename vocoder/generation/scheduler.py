"""Continuous batching: live streams share one running batch of an engine.

A stream joins at the next step and leaves when it is done or cancelled. Three kinds of threads work
on it: preparation threads take pieces from its source (text to features to conditioning),
generation threads advance the rows that are most urgent by a step, one finishing thread corrects
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
from vocoder.generation.streams import AMPLE_S, Chunk, End, Sink, Stream

STEP_FRAMES = 4
"""Frames generated in one step, where somebody is in haste."""

LONG_STEP_FRAMES = 8
"""Frames generated in one step otherwise: it costs less, and a newcomer waits longer."""

HASTE_S = 0.1
"""Who has less audio than this left is in haste."""

HASTY_ROWS = 8
"""So many may go ahead in a short step; with more of them a full batch is soon the quicker way."""

PREPARED_S = 1.0
"""Audio whose conditioning is made ahead of its generation."""

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
        lanes: int = 1,
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
            lanes: threads that generate, each with rows of its own; one for an engine that cannot.
            preparing_threads: how many prepare.
            released: told in how many seconds a cancelled stream's row was free.
            clock: in seconds.
        """
        self.engine = engine
        self._rate_hz, self._hold, self._clock = rate_hz, hold, clock
        self._released = released
        self._blocks = STEP_FRAMES * hop_length // hold
        self._long_blocks = LONG_STEP_FRAMES * hop_length // hold
        self._batch = Batch(engine, rows, hold)
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._to_prepare = threading.Condition(self._lock)
        self._streams: list[Stream] = []
        self._finishing = Finishing(self._deliver, self.cancel)
        self._closed = False
        self._steps, self._busy_s, self._samples = 0, 0.0, 0
        lanes = lanes if engine.concurrent else 1
        self._workers = [
            *_threads(self._generate, "generating", lanes),
            *_threads(self._prepare, "preparing", preparing_threads),
        ]
        self._last = _threads(self._finishing.run, "finishing", 1)[0]
        for thread in (*self._workers, self._last):
            thread.start()

    # What callers use.

    def add(
        self,
        source: Iterator[Piece | None],
        sink: Sink,
        *,
        lead_s: float = float("inf"),
        offline: bool = False,
        ahead_s: float = 0.0,
    ) -> Stream:
        """Let a stream join.

        Args:
            source: its pieces; None where there is nothing yet, until :meth:`wake` is called.
            sink: takes its chunks and its end.
            lead_s: audio that may be delivered ahead of its being played.
            offline: whether nobody is listening: it comes after those that are listened to.
            ahead_s: audio that the listener still has to play before it.
        """
        stream = Stream(
            source,
            sink,
            hold=self._hold,
            rate_hz=self._rate_hz,
            lead_s=lead_s,
            offline=offline,
            now=self._clock(),
            ahead_s=ahead_s,
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

    def due(self, stream: Stream, ahead_s: float) -> None:
        """Say that a stream's audio begins to play in ``ahead_s``, whatever was said before."""
        with self._lock:
            stream.play_in(ahead_s, self._clock())
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
        return all(thread.is_alive() for thread in (*self._workers, self._last))

    def close(self) -> None:
        """Stop; streams that remain break off with :class:`StoppedError`."""
        with self._lock:
            self._closed = True
            remaining = [stream for stream in self._streams if not stream.cancelled]
            for stream in remaining:
                stream.cancelled = True
            self._changed.notify_all()
            self._to_prepare.notify_all()
        for thread in self._workers:
            thread.join()
        self._finishing.put(None)
        self._last.join()
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
                chosen, blocks, ended = self._choose()
                while not (chosen or ended or self._closed):
                    self._changed.wait(timeout=0.02 if self._streams else None)
                    chosen, blocks, ended = self._choose()
                if self._closed:
                    return
                for stream in chosen:
                    stream.running = True
            if ended:
                self._finishing.put(list(ended))
            if chosen:
                self._step(chosen, blocks)

    def _choose(self) -> tuple[list[Stream], int, list[Stream]]:
        """Streams to advance, by how many blocks, and streams that are over."""
        now = self._clock()
        ended = [
            stream
            for stream in self._streams
            if stream.exhausted and stream.empty and not (stream.ended or stream.running)
        ]
        for stream in ended:
            stream.ended = True
            self._remove(stream)
        ready = [
            stream
            for stream in self._streams
            if not (stream.running or stream.empty or stream.rests(now))
            and stream.reach() >= self._blocks
        ]
        ready.sort(key=lambda stream: _urgency_s(stream, now))
        hasty = [s for s in ready if s.starting or s.slack_s(now) < HASTE_S]
        if 0 < len(hasty) <= HASTY_ROWS:
            needy = [s for s in ready if s not in hasty and s.slack_s(now) < AMPLE_S]
            if chosen := self._with_rows([*hasty, *needy][:HASTY_ROWS]):
                return chosen, self._blocks, ended
        chosen = self._with_rows(ready[: self.engine.batch_rows])
        far = all(stream.reach() >= self._long_blocks for stream in chosen)
        return chosen, self._long_blocks if far else self._blocks, ended

    def _with_rows(self, streams: list[Stream]) -> list[Stream]:
        """Those that have a row of the batch, or get one now."""
        for stream in streams:
            if stream.row is None:
                stream.row = self._batch.acquire()
        return [stream for stream in streams if stream.row is not None]

    def _step(self, chosen: list[Stream], blocks: int) -> None:
        start = self._clock()
        with self._lock:
            rows, beginnings = [], []
            for stream in chosen:
                assert stream.row is not None
                rows.append(stream.row)
                beginnings.append(stream.beginning())
            taken = [stream.take(blocks) for stream in chosen]
            self._to_prepare.notify_all()
        audio, failure = None, None
        try:
            audio = self._batch.advance(rows, beginnings, taken, blocks)
        except Exception as error:
            logger.exception("a step of %d rows failed", len(rows))
            failure = error
        # Out before any other lane may go on with these streams: each is finished in order.
        self._finishing.put(
            [
                Made(stream, part, audio[number, : part.blocks * self._hold])
                for number, (stream, part) in enumerate(zip(chosen, taken, strict=True))
                if audio is not None and not stream.cancelled
            ]
        )
        failed: list[Stream] = []
        with self._lock:
            self._steps += 1
            self._busy_s += self._clock() - start
            for stream, part in zip(chosen, taken, strict=True):
                stream.running = False
                if audio is None and not stream.cancelled:
                    stream.failure, stream.exhausted, stream.ended = failure, True, True
                    failed.append(stream)
                elif audio is not None:
                    self._samples += part.blocks * self._hold
                if stream.cancelled or stream.ended:
                    self._remove(stream)
                elif part.last and stream.empty:
                    # It may be silent for long; its next utterance begins from nothing anyway.
                    self._leave_row(stream)
            self._changed.notify_all()
        self._finishing.put(failed)

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


def _threads(target: Callable[[], None], name: str, count: int) -> list[threading.Thread]:
    return [
        threading.Thread(target=target, name=f"{name}-{number}", daemon=True)
        for number in range(count)
    ]


def _urgency_s(stream: Stream, now: float) -> float:
    return stream.slack_s(now) if stream.playing or stream.offline else STARTING_SLACK_S


def _close(source: Iterator[Piece | None]) -> None:
    if isinstance(source, Generator):
        source.close()
