"""Who is let in: as many streams as the engines hold in real time, and a short queue for files.

A stream of a voice that holds n of them costs 1/n of what there is. A live stream is let in at
once or not at all; a whole file may wait for its turn.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Self

from vocoder.voices.voice import Voice

from ..errors import Refusal
from ..metrics import Metrics, Rejection

LONGEST_WAIT_S = 60
SMOOTHING = 0.1
"""Weight of the newest stream in the mean of how long a stream takes."""


Capacity = Callable[[Voice, str | None], float]
"""Streams of a voice on an engine that are held in real time."""


class Slot:
    """One stream's place, to be left in the end; a context manager that does so."""

    def __init__(self, cost: float, leave: Callable[["Slot"], None]) -> None:
        self.cost = cost
        self.since = time.monotonic()
        self._leave: Callable[[Slot], None] | None = leave

    def leave(self) -> None:
        """Give the place back; again is no mistake."""
        leave, self._leave = self._leave, None
        if leave is not None:
            leave(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()


class Admission:
    """Gives out places. For use in one event loop."""

    def __init__(
        self, capacity: Capacity, metrics: Metrics, *, waiting: int, retry_after_s: int
    ) -> None:
        """Let in what ``capacity`` allows.

        Args:
            capacity: streams that a voice and engine hold.
            waiting: requests that may wait for a place.
            retry_after_s: what a refused client is told to wait while nothing better is known.
        """
        self._capacity, self._metrics = capacity, metrics
        self._most_waiting = waiting
        self._mean_s = float(retry_after_s)
        self._used = 0.0
        self._live = 0
        self._waiting: deque[tuple[float, asyncio.Future[Slot]]] = deque()

    @property
    def live(self) -> int:
        """Places that are taken."""
        return self._live

    @property
    def waiting(self) -> int:
        """Requests that wait for a place."""
        return len(self._waiting)

    def place(self, voice: Voice, engine: str | None = None) -> Slot:
        """A place, at once.

        Raises:
            Refusal: 429, there is none; says when there may be one.
        """
        cost = self._cost(voice, engine)
        if self._waiting or not self._fits(cost):
            raise self._refusal("capacity", f"{self._live} streams are all that this server holds")
        return self._take(cost)

    async def turn(self, voice: Voice, engine: str | None = None) -> Slot:
        """A place, when one is free; those who wait are served in the order in which they came.

        Raises:
            Refusal: 429, as many as may wait are waiting.
        """
        cost = self._cost(voice, engine)
        if not self._waiting and self._fits(cost):
            return self._take(cost)
        if len(self._waiting) >= self._most_waiting:
            reason = f"{self._live} requests are being served and {len(self._waiting)} wait"
            raise self._refusal("queue_full", reason)
        future: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        entry = cost, future
        self._waiting.append(entry)
        self._metrics.waiting.inc()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                future.result().leave()
            raise
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)
            self._metrics.waiting.dec()
            self._let_in()

    def _cost(self, voice: Voice, engine: str | None) -> float:
        return 1.0 / max(1.0, self._capacity(voice, engine))

    def _fits(self, cost: float) -> bool:
        # What is alone is let in, however slow its engine.
        return not self._live or self._used + cost <= 1.0 + 1e-6

    def _take(self, cost: float) -> Slot:
        self._used += cost
        self._live += 1
        return Slot(cost, self._left)

    def _left(self, place: Slot) -> None:
        self._used -= place.cost
        self._live -= 1
        if not self._live:
            self._used = 0.0
        seconds = time.monotonic() - place.since
        self._mean_s += SMOOTHING * (seconds - self._mean_s)
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            cost, future = self._waiting.popleft()
            if not future.done():
                future.set_result(self._take(cost))

    def _refusal(self, reason: Rejection, what: str) -> Refusal:
        self._metrics.rejected(reason)
        # With n streams under way one ends every (mean duration / n), on average.
        expected = self._mean_s * (len(self._waiting) + 1) / max(1, self._live)
        wait = min(LONGEST_WAIT_S, max(1, math.ceil(expected)))
        return Refusal(
            429,
            f"{what}: try again in {wait} s",
            code="overloaded",
            headers={"retry-after": str(wait)},
        )
