"""Prefetch the batches of the next steps in background threads."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

Batches = TypeVar("Batches")
STEPS_PER_THREAD = 2


class Prefetch(Generic[Batches]):
    """The results of ``draw`` for the steps ``first`` to ``last``, in order, computed ahead."""

    def __init__(
        self, draw: Callable[[int], Batches], first: int, last: int, *, threads: int
    ) -> None:
        """Set up the threads; with 0 threads, :meth:`take` draws each step itself."""
        self._draw, self._threads = draw, threads
        self._next, self._last = first, last
        self._pending: deque[Future[Batches]] = deque()
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
        """The result for the next step; re-raises an exception from ``draw``."""
        if not self._threads:
            self._next += 1
            return self._draw(self._next - 1)
        self._fill()
        batches = self._pending.popleft().result()
        self._fill()
        return batches

    def _fill(self) -> None:
        # Bounded, so that a slow model does not exhaust the memory.
        while self._next < self._last and len(self._pending) < STEPS_PER_THREAD * self._threads:
            self._pending.append(self._pool.submit(self._draw, self._next))
            self._next += 1
