"""One stream of a running batch: its prepared segments, its delivered audio and its deadline."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vocoder.audio.io import Samples
from vocoder.scheduling.segment import PostFilter, Segment, UtteranceStart
from vocoder.text.timings import SentenceTimings


class Start(NamedTuple):
    """How the time before a stream's first audio was spent.

    Attributes:
        queue_s: until its preparation began.
        preparation_s: until it could be generated: text to features to conditioning.
        generation_s: until the first audio was finished, waiting for other rows included.
    """

    queue_s: float
    preparation_s: float
    generation_s: float


@dataclass(frozen=True)
class Chunk:
    """Finished audio of a stream.

    Attributes:
        samples: float32 (T,), never empty.
        timings: of the sentence that starts with this chunk, else None.
        late_s: how long after the previous audio ran out it was ready; 0 if in time.
        start: set on the first chunk of the stream, and on the first one after a pause in its
            input; else None.
    """

    samples: Samples
    timings: SentenceTimings | None = None
    late_s: float = 0.0
    start: Start | None = None


@dataclass(frozen=True)
class End:
    """The end of a stream, or the error that ended it."""

    error: BaseException | None = None


FIRST_CHUNK_S = 0.05
"""Minimum audio of a listener's first chunk: a player that starts with less soon runs dry."""

SETTLED_S = 0.2
"""With this much audio buffered, a listener no longer counts as starting."""

LARGE_CHUNK_S = 0.4
"""Minimum audio of a chunk for a listener with a full buffer: small chunks cost as much to send."""

AMPLE_S = 1.0
"""With this much audio buffered, a listener's next chunk is not urgent."""

MAX_UNCONSUMED_S = 4.0
"""A stream is paused while its client has more audio than this to consume."""

OFFLINE_SLACK_S = 5.0
"""Extra slack of a stream without a listener, which puts it behind those with one."""

Sink = Callable[[Chunk | End], None]
"""Receives a stream's events, in a scheduler thread: it must not block."""


class Stream:
    """A stream as the scheduler sees it.

    Time is in seconds of the scheduler's clock, audio in samples. The scheduler's lock guards
    everything except the post-filter, which belongs to the thread that has the stream running.

    Attributes:
        row: of the batch, while it has one.
        failure: the error that ends the stream once all prepared segments have been delivered.
        preparing: whether a thread is running its source.
        starved: whether its source had nothing, and has not been woken since.
        woken: whether its source was woken since it was last asked.
        exhausted: whether its source has ended.
        running: whether it is part of a step in progress.
        cancelled, ended: whether it was cancelled, or ended by itself.
        consumed: samples that the client has consumed.
        cancelled_at: when it was cancelled.
    """

    def __init__(
        self,
        source: Iterator[Segment | None],
        sink: Sink,
        *,
        hold: int,
        rate_hz: int,
        offline: bool,
        now: float,
        ahead_s: float = 0.0,
    ) -> None:
        """A stream requested now; see :meth:`Scheduler.add`."""
        self.source, self.sink = source, sink
        self.row: int | None = None
        self.failure: BaseException | None = None
        self.preparing = self.starved = self.woken = self.exhausted = False
        self.running = self.cancelled = self.ended = False
        self.consumed = 0
        self.cancelled_at: float | None = None
        self.offline = offline
        self._requested_at = now
        self._preparing_at: float | None = None
        self._prepared_at: float | None = None
        self._segments: deque[Segment] = deque()
        self._blocks = 0  # prepared and not yet generated
        self._block = 0  # position within the first segment
        self._ends = 0  # segments that end an utterance
        self._hold, self._rate_hz = hold, rate_hz
        self._delivered = 0
        # The play clock: audio from sample `_origin` on plays from `_playing_since` on.
        self._origin = 0
        self._playing_since = now + ahead_s if ahead_s > 0 else None
        self._settled = ahead_s > SETTLED_S
        self._post_filter: PostFilter | None = None
        self._timings: SentenceTimings | None = None  # of the sentence the next chunk starts
        self._awaiting_audio = True
        self._held: list[Samples] = []  # too short for a chunk of their own

    @property
    def prepared_s(self) -> float:
        """Audio that could be generated now."""
        return self._blocks * self._hold / self._rate_hz

    def begin_preparing(self, now: float) -> None:
        """Record that its source is asked for a segment."""
        self.preparing, self.woken = True, False
        if self._preparing_at is None:
            self._preparing_at = now

    def add(self, segment: Segment, now: float) -> None:
        """Append a prepared segment."""
        if self.empty and self._playing_since is not None and self._ahead_s(now) < 0:
            # Its input paused and everything was played: playback starts again.
            self._playing_since, self._settled = None, False
            if not self._awaiting_audio:
                self._requested_at, self._preparing_at, self._awaiting_audio = now, now, True
        if self._awaiting_audio and self._prepared_at is None:
            self._prepared_at = now
        self._segments.append(segment)
        self._blocks += segment.conditioning.blocks
        self._ends += segment.last

    def available_blocks(self) -> float:
        """Blocks that can be generated in one step: infinite once the utterance's end is known."""
        return math.inf if self._ends else self._blocks

    @property
    def empty(self) -> bool:
        """Whether nothing is prepared."""
        return not self._segments

    def next_utterance(self) -> UtteranceStart | None:
        """The utterance that starts with the next sample; None in the middle of one."""
        return self._segments[0].utterance_start if not self._block else None

    @property
    def starting(self) -> bool:
        """Whether a listener is waiting for its first audio, or has hardly any yet."""
        return not (self._settled or self.offline)

    @property
    def playing(self) -> bool:
        """Whether its audio is playing."""
        return self._playing_since is not None

    def slack_s(self, now: float) -> float:
        """Time until the delivered audio has been played; negative if the listener is waiting."""
        return self._ahead_s(now) + (OFFLINE_SLACK_S if self.offline else 0.0)

    def _ahead_s(self, now: float) -> float:
        if self._playing_since is None:
            return 0.0
        return (self._delivered - self._origin) / self._rate_hz - (now - self._playing_since)

    def plays_in(self, seconds: float, now: float) -> None:
        """Record that its audio starts playing, from the first sample, in ``seconds``."""
        self._playing_since = now + seconds if seconds > 0 or self._delivered else None
        self._origin = 0
        self._settled = self._ahead_s(now) > SETTLED_S

    @property
    def finished(self) -> bool:
        """Whether all of it was delivered, and its sink has yet to be told."""
        return self.exhausted and self.empty and not (self.running or self.ended)

    @property
    def paused(self) -> bool:
        """Whether its client has fallen too far behind in consuming its audio."""
        return self._delivered - self.consumed > MAX_UNCONSUMED_S * self._rate_hz

    def wants_preparation(self, prepared_s: float) -> bool:
        """Whether its source can be asked, and less than ``prepared_s`` is prepared."""
        idle = not (self.preparing or self.starved or self.exhausted or self.cancelled)
        return idle and self.prepared_s < prepared_s

    def ready(self, blocks: int) -> bool:
        """Whether ``blocks`` blocks of it can be generated now."""
        if self.running or self.empty or self.paused:
            return False
        return self.available_blocks() >= blocks

    def take(self, blocks: int) -> "StepInput":
        """Remove up to ``blocks`` prepared blocks, all of one utterance."""
        taken = StepInput([], [], False)
        while blocks and not taken.last:
            segment = self._segments[0]
            length = segment.conditioning.blocks
            count = min(blocks, length - self._block)
            if not self._block:
                taken.segments.append(segment)
            taken.slices.append((segment, self._block, count))
            blocks -= count
            self._block += count
            self._blocks -= count
            if self._block == length:
                taken.last = segment.last
                self._ends -= segment.last
                self._segments.popleft()
                self._block = 0
        return taken

    def post_process(self, taken: "StepInput", samples: Samples) -> Samples:
        """Filter the generated samples (T,); some may be held back."""
        for segment in taken.segments:
            if (start := segment.utterance_start) is not None:
                self._post_filter, self._timings = start.post_filter, start.timings
            assert self._post_filter is not None, "an utterance without a start"
            self._post_filter.extend(segment.mel)
        assert self._post_filter is not None
        finished = self._post_filter.push(samples)
        return np.concatenate((finished, self._post_filter.flush())) if taken.last else finished

    def _min_chunk_s(self, now: float) -> float:
        if self.offline:
            return LARGE_CHUNK_S
        if self._playing_since is None:
            return FIRST_CHUNK_S
        return min(LARGE_CHUNK_S, (self._ahead_s(now) - SETTLED_S) / 2)

    def deliver(self, samples: Samples, last: bool, now: float) -> Chunk | None:
        """The chunk to send now; None while the samples are held, too short to be sent.

        Args:
            samples: finished samples (T,).
            last: whether the utterance ends with them.
            now: the time.
        """
        self._held.append(samples)
        length = sum(map(len, self._held))
        complete = last or self.starved
        if not length or not (complete or length >= self._min_chunk_s(now) * self._rate_hz):
            return None
        samples, self._held = np.concatenate(self._held), []
        timings, self._timings = self._timings, None
        start, late_s = None, 0.0
        if self._awaiting_audio:
            self._awaiting_audio = False
            begun = now if self._preparing_at is None else self._preparing_at
            prepared = begun if self._prepared_at is None else self._prepared_at
            start = Start(begun - self._requested_at, prepared - begun, now - prepared)
            self._prepared_at = None
        if self._playing_since is None:
            self._playing_since, self._origin = now, self._delivered
        elif not self.offline and (behind_s := -self._ahead_s(now)) > 0:
            late_s = behind_s
            self._playing_since += behind_s  # The player stalled, and plays this much later.
        self._delivered += len(samples)
        self._settled = self._settled or self._ahead_s(now) > SETTLED_S
        return Chunk(samples, timings, late_s, start)


@dataclass
class StepInput:
    """What one row generates in one step.

    Attributes:
        segments: those that start in it.
        slices: (segment, first block within it, number of blocks).
        last: whether the utterance ends with it.
    """

    segments: list[Segment]
    slices: list[tuple[Segment, int, int]]
    last: bool

    @property
    def blocks(self) -> int:
        """Number of blocks in all."""
        return sum(count for _, _, count in self.slices)
