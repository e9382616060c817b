"""One stream of a running batch: what is prepared for it, made of it, and when it is due."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vocoder.audio.io import Samples
from vocoder.scheduling.segment import PostFilter, Segment, UtteranceStart


class Start(NamedTuple):
    """Where the time before a stream's first audio went.

    Attributes:
        queue_s: until its preparation began.
        preparation_s: until it could be generated: text to features to conditioning.
        generation_s: until the first audio was finished, other rows included.
    """

    queue_s: float
    preparation_s: float
    generation_s: float


@dataclass(frozen=True)
class Chunk:
    """Finished audio of a stream.

    Attributes:
        samples: float32 (T,), never empty.
        label: of the utterance that begins with this chunk, else None.
        late_s: how much later it is there than the audio before it has been played; 0 in time.
        start: of the first chunk since the stream began, or began again after it had nothing to
            say; else None.
    """

    samples: Samples
    label: object = None
    late_s: float = 0.0
    start: Start | None = None


@dataclass(frozen=True)
class End:
    """Nothing follows: the stream is over, or broke off with an error."""

    error: BaseException | None = None


FIRST_CHUNK_S = 0.05
"""Least audio of a listener's first chunk: a player that begins with less soon runs dry."""

SETTLED_S = 0.2
"""A listener with so much audio ahead needs no more haste."""

LARGE_CHUNK_S = 0.4
"""Least audio of a chunk for who has much ahead: a small one costs as much to send."""

AMPLE_S = 1.0
"""A listener with so much audio ahead is in no haste for the next chunk."""

UNTAKEN_S = 4.0
"""Audio that may wait for a client to take it."""

OFFLINE_PATIENCE_S = 5.0
"""By so much a stream that nobody listens to comes after those that are listened to."""

Sink = Callable[[Chunk | End], None]
"""Takes what a stream gives, in the scheduler's thread: it must not wait."""


class Stream:
    """A stream as the scheduler sees it.

    Time is counted in seconds of the scheduler's clock, audio in samples. The scheduler's lock
    guards all of it, but for the finisher, which belongs to whoever has the stream running.

    Attributes:
        row: of the batch, while it has one.
        failure: what the stream breaks off with, once all that was prepared has been delivered.
        preparing: whether its source is at work.
        starved: whether its source had nothing, and it has not been woken since.
        woken: whether it was, since its source was last asked.
        exhausted: whether its source has ended.
        running: whether it is part of the step in progress.
        cancelled, ended: whether it was ended from outside, or by itself.
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
        """A stream that is asked for now; see :meth:`Scheduler.add`."""
        self.source, self.sink = source, sink
        self.row: int | None = None
        self.failure: BaseException | None = None
        self.preparing = self.starved = self.woken = self.exhausted = False
        self.running = self.cancelled = self.ended = False
        self.consumed = 0
        self.cancelled_at: float | None = None
        self.offline = offline
        self._asked_at = now
        self._begun_at: float | None = None
        self._prepared_at: float | None = None
        self._pieces: deque[Segment] = deque()
        self._blocks = 0  # prepared and not yet generated
        self._block = 0  # within the first piece
        self._ends = 0  # pieces that end an utterance
        self._hold, self._rate_hz = hold, rate_hz
        self._delivered = 0
        # The play clock: audio from sample `_origin` on plays from `_playing_since` on.
        self._origin = 0
        self._playing_since = now + ahead_s if ahead_s > 0 else None
        self._settled = ahead_s > SETTLED_S
        self._finisher: PostFilter | None = None
        self._label: object = None  # of the utterance that begins with the next chunk
        self._unheard = True  # Its first chunk is awaited.
        self._kept: list[Samples] = []  # too little for a first chunk

    @property
    def prepared_s(self) -> float:
        """Audio that could be generated at once."""
        return self._blocks * self._hold / self._rate_hz

    def begin(self, now: float) -> None:
        """Its source is asked for a piece."""
        self.preparing, self.woken = True, False
        if self._begun_at is None:
            self._begun_at = now

    def add(self, piece: Segment, now: float) -> None:
        """Take a prepared piece."""
        if self.empty and self._playing_since is not None and self._ahead_s(now) < 0:
            # There was nothing to say and all was played: play begins anew.
            self._playing_since, self._settled = None, False
            if not self._unheard:
                self._asked_at, self._begun_at, self._unheard = now, now, True
        if self._unheard and self._prepared_at is None:
            self._prepared_at = now
        self._pieces.append(piece)
        self._blocks += piece.conditioning.blocks
        self._ends += piece.last

    def reach(self) -> float:
        """Blocks that can be generated in one go: infinite where the utterance's end is known."""
        return math.inf if self._ends else self._blocks

    @property
    def empty(self) -> bool:
        """Whether nothing is prepared."""
        return not self._pieces

    def beginning(self) -> UtteranceStart | None:
        """How the next sample begins an utterance; None in the middle of one."""
        return self._pieces[0].beginning if not self._block else None

    @property
    def starting(self) -> bool:
        """Whether somebody waits for its first audio, or has hardly any yet."""
        return not (self._settled or self.offline)

    @property
    def playing(self) -> bool:
        """Whether its audio plays."""
        return self._playing_since is not None

    def slack_s(self, now: float) -> float:
        """How long the delivered audio lasts; negative where the listener waits."""
        patience = OFFLINE_PATIENCE_S if self.offline else 0.0
        return self._ahead_s(now) + patience

    def _ahead_s(self, now: float) -> float:
        if self._playing_since is None:
            return 0.0
        return (self._delivered - self._origin) / self._rate_hz - (now - self._playing_since)

    def plays_in(self, seconds: float, now: float) -> None:
        """Record that its audio plays from the first sample on, in ``seconds``."""
        self._playing_since = now + seconds if seconds > 0 or self._delivered else None
        self._origin = 0
        self._settled = self._ahead_s(now) > SETTLED_S

    @property
    def over(self) -> bool:
        """Whether it has come to its end, and nobody has been told."""
        return self.exhausted and self.empty and not (self.running or self.ended)

    @property
    def rests(self) -> bool:
        """Whether so much audio waits for its client that it must wait itself."""
        return self._delivered - self.consumed > UNTAKEN_S * self._rate_hz

    def wants(self, prepared_s: float) -> bool:
        """Whether its source can be asked, and less than this is prepared."""
        idle = not (self.preparing or self.starved or self.exhausted or self.cancelled)
        return idle and self.prepared_s < prepared_s

    def ready(self, blocks: int) -> bool:
        """Whether so many blocks of it can be generated now."""
        return not (self.running or self.empty or self.rests) and self.reach() >= blocks

    def take(self, blocks: int) -> "Taken":
        """Take up to ``blocks`` off what is prepared, within one utterance."""
        taken = Taken([], [], False)
        while blocks and not taken.last:
            piece = self._pieces[0]
            length = piece.conditioning.blocks
            count = min(blocks, length - self._block)
            if not self._block:
                taken.begun.append(piece)
            taken.parts.append((piece, self._block, count))
            blocks -= count
            self._block += count
            self._blocks -= count
            if self._block == length:
                taken.last = piece.last
                self._ends -= piece.last
                self._pieces.popleft()
                self._block = 0
        return taken

    def _least_s(self, now: float) -> float:
        """Least audio that is worth a chunk."""
        if self.offline:
            return LARGE_CHUNK_S
        if self._playing_since is None:
            return FIRST_CHUNK_S
        return min(LARGE_CHUNK_S, (self._ahead_s(now) - SETTLED_S) / 2)

    def finish(self, taken: "Taken", samples: Samples) -> Samples:
        """What is heard of the samples (T,) that were generated; some may be held back."""
        for piece in taken.begun:
            if piece.beginning is not None:
                self._finisher, self._label = piece.beginning.finisher, piece.beginning.label
            assert self._finisher is not None, "an utterance without a beginning"
            self._finisher.extend(piece.mel)
        assert self._finisher is not None
        finished = self._finisher.push(samples)
        return np.concatenate((finished, self._finisher.flush())) if taken.last else finished

    def deliver(self, samples: Samples, last: bool, now: float) -> Chunk | None:
        """Count a chunk that goes out now; None where it is kept, too short to be sent.

        Args:
            samples: that are finished (T,).
            last: whether the utterance ends with them.
            now: the time.
        """
        self._kept.append(samples)
        length = sum(map(len, self._kept))
        complete = last or self.starved
        if not length or not (complete or length >= self._least_s(now) * self._rate_hz):
            return None
        samples, self._kept = np.concatenate(self._kept), []
        label, self._label = self._label, None
        start, late = None, 0.0
        if self._unheard:
            self._unheard = False
            begun = now if self._begun_at is None else self._begun_at
            prepared = begun if self._prepared_at is None else self._prepared_at
            start = Start(begun - self._asked_at, prepared - begun, now - prepared)
            self._prepared_at = None
        if self._playing_since is None:
            self._playing_since, self._origin = now, self._delivered
        elif not self.offline and (behind := -self._ahead_s(now)) > 0:
            late = behind
            self._playing_since += behind  # The player waited, and plays so much later.
        self._delivered += len(samples)
        self._settled = self._settled or self._ahead_s(now) > SETTLED_S
        return Chunk(samples, label, late, start)


@dataclass
class Taken:
    """What a row generates in one step.

    Attributes:
        begun: pieces that begin in it.
        parts: (piece, first block within it, count).
        last: whether the utterance ends.
    """

    begun: list[Segment]
    parts: list[tuple[Segment, int, int]]
    last: bool

    @property
    def blocks(self) -> int:
        """Blocks in all."""
        return sum(count for _, _, count in self.parts)
