"""Work off the event loop: a limited number of jobs at once, and a bounded queue for the rest."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ..errors import Refusal

Result = TypeVar("Result")


class Stopped(Exception):
    """Raised by a job whose result nobody is waiting for any more; clients never see it."""


class JobQueue:
    """Runs jobs in worker threads, in order of arrival.

    A thread pool and not anyio's limiter: that one would give a cancelled job's place away while
    its thread still runs.

    Args:
        concurrent: jobs that run at once.
        waiting: jobs that may wait; one more is refused.
        retry_after_s: wait suggested to refused clients.
    """

    def __init__(self, concurrent: int, waiting: int, retry_after_s: int) -> None:
        self._executor = ThreadPoolExecutor(concurrent, thread_name_prefix="job")
        self._limit = concurrent + waiting
        self._retry_after_s = retry_after_s
        self._count = 0
        self._lock = threading.Lock()

    async def run(self, job: Callable[[threading.Event], Result]) -> Result:
        """The result of ``job``, which must check the event it gets from time to time.

        When this is cancelled, a waiting job leaves the queue and a running one has its event set;
        its place is free once it has returned.

        Raises:
            Refusal: 503, the queue is full.
        """
        with self._lock:
            if self._count >= self._limit:
                raise self._refusal()
            self._count += 1
        stop = threading.Event()
        future = self._executor.submit(job, stop)
        future.add_done_callback(self._ended)
        try:
            return await asyncio.wrap_future(future)
        finally:
            stop.set()

    def _ended(self, _: "Future[Result]") -> None:
        with self._lock:
            self._count -= 1

    def _refusal(self) -> Refusal:
        return Refusal(
            503,
            f"{self._count} requests are running or waiting, which is the server's limit: "
            f"try again in {self._retry_after_s} s",
            code="overloaded",
            headers={"retry-after": str(self._retry_after_s)},
        )
