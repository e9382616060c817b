"""Batches of coming steps, drawn in background threads while the model computes."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

Batches = TypeVar("Batches")
STEPS_A_THREAD = 2


class Prefetch(Generic[Batches]):
    """What ``draw`` gives for each step from ``first`` to ``last``, in order, some steps early."""

    def __init__(
        self, draw: Callable[[int], Batches], first: int, last: int, *, threads: int
    ) -> None:
        """Begin drawing; without threads each step is drawn when it is taken."""
        self._draw, self._threads = draw, threads
        self._next, self._last = first, last
        self._coming: deque[Future[Batches]] = deque()
        self._pool = ThreadPoolExecutor(max(1, threads), "batches")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def take(self) -> Batches:
        """The next step's; raises what drawing it raised."""
        if not self._threads:
            self._next += 1
            return self._draw(self._next - 1)
        self._fill()
        batches = self._coming.popleft().result()
        self._fill()
        return batches

    def _fill(self) -> None:
        # Bounded, so that a slow model does not fill the memory.
        while self._next < self._last and len(self._coming) < STEPS_A_THREAD * self._threads:
            self._coming.append(self._pool.submit(self._draw, self._next))
            self._next += 1
