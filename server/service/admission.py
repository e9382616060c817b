"""Admission control: as many streams as the engines can serve in real time, and a queue for files.

A stream of a voice that can be served n times in real time costs 1/n of the machine. A live stream
is admitted at once or refused; a request for a whole file may wait for a slot.
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
"""Weight of the newest stream in the moving average of stream durations."""


Capacity = Callable[[Voice, str], float]
"""Streams of a voice that an engine, given by name, can serve in real time."""


class Slot:
    """Room for one stream. A context manager that releases itself."""

    def __init__(self, cost: float, release: Callable[["Slot"], None]) -> None:
        self.cost = cost
        self.since = time.monotonic()
        self._release: Callable[[Slot], None] | None = release

    def release(self) -> None:
        """Give the slot back; calling it again does nothing."""
        release, self._release = self._release, None
        if release is not None:
            release(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Admission:
    """Hands out slots. Must be used from one event loop."""

    def __init__(
        self, capacity: Capacity, metrics: Metrics, *, waiting: int, retry_after_s: int
    ) -> None:
        """Admit what ``capacity`` allows.

        Args:
            capacity: streams that a voice and engine can serve in real time.
            metrics: counts waiting and refused requests.
            waiting: how many requests may wait for a slot.
            retry_after_s: initial estimate of a stream's duration, in seconds.
        """
        self._capacity, self._metrics = capacity, metrics
        self._max_waiting = waiting
        self._mean_s = float(retry_after_s)
        self._used = 0.0
        self._streams = 0
        self._queue: deque[tuple[float, asyncio.Future[Slot]]] = deque()

    @property
    def streams(self) -> int:
        """Slots in use."""
        return self._streams

    @property
    def waiting(self) -> int:
        """Requests waiting for a slot."""
        return len(self._queue)

    def slot(self, voice: Voice, engine: str) -> Slot:
        """A slot at once.

        Raises:
            Refusal: 429, none is free; ``retry-after`` estimates when one will be.
        """
        cost = self._cost(voice, engine)
        if self._queue or not self._fits(cost):
            raise self._refusal("capacity", f"the server's limit is {self._streams} streams")
        return self._take(cost)

    async def wait_for_slot(self, voice: Voice, engine: str) -> Slot:
        """A slot as soon as one is free; requests are served first come, first served.

        Raises:
            Refusal: 429, the queue is full.
        """
        cost = self._cost(voice, engine)
        if not self._queue and self._fits(cost):
            return self._take(cost)
        if len(self._queue) >= self._max_waiting:
            reason = f"{self._streams} requests are being served and {len(self._queue)} are waiting"
            raise self._refusal("queue_full", reason)
        future: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        entry = cost, future
        self._queue.append(entry)
        self._metrics.waiting.inc()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                future.result().release()
            raise
        finally:
            if entry in self._queue:
                self._queue.remove(entry)
            self._metrics.waiting.dec()
            self._admit_waiting()

    def _cost(self, voice: Voice, engine: str) -> float:
        return 1.0 / max(1.0, self._capacity(voice, engine))

    def _fits(self, cost: float) -> bool:
        # A single stream is always admitted, however slow its engine.
        return not self._streams or self._used + cost <= 1.0 + 1e-6

    def _take(self, cost: float) -> Slot:
        self._used += cost
        self._streams += 1
        return Slot(cost, self._released)

    def _released(self, slot: Slot) -> None:
        self._used -= slot.cost
        self._streams -= 1
        if not self._streams:
            self._used = 0.0
        seconds = time.monotonic() - slot.since
        self._mean_s += SMOOTHING * (seconds - self._mean_s)
        self._admit_waiting()

    def _admit_waiting(self) -> None:
        while self._queue and self._fits(self._queue[0][0]):
            cost, future = self._queue.popleft()
            if not future.done():
                future.set_result(self._take(cost))

    def _refusal(self, reason: Rejection, message: str) -> Refusal:
        self._metrics.rejected(reason)
        # With n streams running, one ends every (mean duration / n) on average.
        expected = self._mean_s * (len(self._queue) + 1) / max(1, self._streams)
        wait = min(LONGEST_WAIT_S, max(1, math.ceil(expected)))
        return Refusal(
            429,
            f"{message}: try again in {wait} s",
            code="overloaded",
            headers={"retry-after": str(wait)},
        )
