"""Admission control: as many streams as the engines can serve in real time, and a queue for files.

A stream of a voice that can be served n times in real time costs 1/n of the machine. A live stream
is admitted at once or refused; a request for a whole file may wait for a slot. Requests of the same
cost are admitted in order; a cheaper one goes ahead of one for which there is no room yet.
"""

import asyncio
import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

from vocoder.voices.voice import Voice

from ..errors import Refusal
from ..metrics import Metrics, Rejection

LONGEST_WAIT_S = 60
"""Longest estimate, and longest wait of a request that others have overtaken."""

REMEMBERED = 16
"""Streams that the estimate of a stream's duration is based on."""


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


@dataclass(eq=False)
class _Waiting:
    """A request that waits for a slot."""

    cost: float
    future: "asyncio.Future[Slot]"
    overtaken: bool = False


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
        self._first_estimate_s = float(retry_after_s)
        self._durations_s: deque[float] = deque(maxlen=REMEMBERED)
        self._used = 0.0
        self._slots: set[Slot] = set()
        self._queue: list[_Waiting] = []

    @property
    def streams(self) -> int:
        """Slots in use."""
        return len(self._slots)

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
        if any(one.cost <= cost for one in self._queue) or not self._fits(cost):
            raise self._refusal("capacity", f"the server's limit is {self.streams} streams")
        self._overtake(self._queue)
        return self._take(cost)

    async def wait_for_slot(self, voice: Voice, engine: str) -> Slot:
        """A slot as soon as one is free; requests are served first come, first served.

        Raises:
            Refusal: 429, the queue is full.
        """
        cost = self._cost(voice, engine)
        if all(one.cost > cost for one in self._queue) and self._fits(cost):
            self._overtake(self._queue)
            return self._take(cost)
        if len(self._queue) >= self._max_waiting:
            reason = f"{self.streams} requests are being served and {len(self._queue)} are waiting"
            raise self._refusal("queue_full", reason)
        future: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        entry = _Waiting(cost, future)
        self._queue.append(entry)
        self._metrics.waiting.inc()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and not future.exception():
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
        return not self._slots or self._used + cost <= 1.0 + 1e-6

    def _take(self, cost: float) -> Slot:
        self._used += cost
        slot = Slot(cost, self._released)
        self._slots.add(slot)
        return slot

    def _released(self, slot: Slot) -> None:
        self._used -= slot.cost
        self._slots.discard(slot)
        if not self._slots:
            self._used = 0.0
        self._durations_s.append(time.monotonic() - slot.since)
        self._admit_waiting()

    def _admit_waiting(self) -> None:
        blocked: list[_Waiting] = []
        for one in [*self._queue]:
            if one.future.done():
                self._queue.remove(one)
            elif self._fits(one.cost) and all(other.cost > one.cost for other in blocked):
                self._queue.remove(one)
                self._overtake(blocked)
                one.future.set_result(self._take(one.cost))
            else:
                blocked.append(one)

    def _overtake(self, waiting: Iterable[_Waiting]) -> None:
        """Go ahead of requests, which then do not wait for ever."""
        for one in waiting:
            if not one.overtaken:
                one.overtaken = True
                asyncio.get_running_loop().call_later(LONGEST_WAIT_S, self._give_up, one)

    def _give_up(self, waiting: _Waiting) -> None:
        if not waiting.future.done():
            message = f"there has been no room for this request in {LONGEST_WAIT_S} s"
            waiting.future.set_exception(self._refusal("capacity", message))

    def _refusal(self, reason: Rejection, message: str) -> Refusal:
        self._metrics.rejected(reason)
        wait = min(LONGEST_WAIT_S, max(1, math.ceil(self._expected_wait_s())))
        return Refusal(
            429,
            f"{message}: try again in {wait} s",
            code="overloaded",
            headers={"retry-after": str(wait)},
        )

    def _expected_wait_s(self) -> float:
        """When there will be a slot beyond those for the requests that wait already.

        A stream is expected to last as long as the recent ones, by the median, so that a few very
        long ones do not count; one that has lasted longer, for as long again.
        """
        typical_s = self._first_estimate_s
        if self._durations_s:
            typical_s = statistics.median(self._durations_s)
        now = time.monotonic()
        ages = (now - slot.since for slot in self._slots)
        left_s = sorted(typical_s - age if age < typical_s else typical_s for age in ages)
        if not left_s:
            return typical_s
        rounds, position = divmod(len(self._queue), len(left_s))
        return left_s[position] + rounds * typical_s
