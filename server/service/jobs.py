"""Generation off the event loop: so many at a time, so many waiting, and a way to stop each."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from ..errors import Refusal

Result = TypeVar("Result")


class Stopped(Exception):
    """Nobody waits for this generation any more. Raised by a job, seen by no client."""


class JobQueue:
    """Runs jobs in worker threads, in the order in which they came.

    Args:
        concurrent: jobs that run at a time.
        waiting: clients that may wait for a turn; one more is refused.
        retry_after_s: what the refused client is told to wait.
    """

    def __init__(self, concurrent: int, waiting: int, retry_after_s: int) -> None:
        self._executor = ThreadPoolExecutor(concurrent, thread_name_prefix="generation")
        self._most = concurrent + waiting
        self._retry_after_s = retry_after_s
        self._live = 0
        self._lock = threading.Lock()

    @property
    def live(self) -> int:
        """Clients whose jobs run or wait."""
        return self._live

    def place(self) -> "Slot":
        """A place among the clients, to be left in the end.

        Raises:
            Refusal: 503, as many as may wait are waiting.
        """
        with self._lock:
            if self._live >= self._most:
                raise Refusal(
                    503,
                    f"{self._live} requests are being served or wait, this server takes no more "
                    f"than {self._most}: try again in {self._retry_after_s} s",
                    code="overloaded",
                    headers={"retry-after": str(self._retry_after_s)},
                )
            self._live += 1
        return Slot(self._executor, self._leave)

    async def run(self, job: Callable[[threading.Event], Result]) -> Result:
        """The result of one job; see :meth:`Slot.run`.

        Raises:
            Refusal: 503, as many as may wait are waiting.
        """
        place = self.place()
        try:
            return await place.run(job)
        finally:
            place.leave()

    def _leave(self) -> None:
        with self._lock:
            self._live -= 1


class Slot:
    """One client's place: its jobs run one after the other, each when its turn comes."""

    def __init__(self, executor: Executor, left: Callable[[], None]) -> None:
        self._executor = executor
        self._left = left
        self._stop = threading.Event()
        self._last: Future[Any] | None = None

    async def run(self, job: Callable[[threading.Event], Result]) -> Result:
        """The result of ``job``, which looks at the event it is given now and then.

        Cancelled while it waits, the job leaves the queue.
        """
        future = self._executor.submit(job, self._stop)
        self._last = future
        return await asyncio.wrap_future(future)

    def leave(self, then: Callable[[], None] = lambda: None) -> None:
        """Stop the job that may be running; the place is free when it has seen that and returned.

        Args:
            then: to be called when no job runs any more.
        """

        def end(_: object = None) -> None:
            then()
            self._left()

        self._stop.set()
        if self._last is None:
            end()
        else:
            self._last.add_done_callback(end)


async def while_connected(request: Request, work: "asyncio.Task[Result]") -> Result:
    """The result of ``work``, which is cancelled if the client disconnects first.

    To be called when the body has been read: what is received after it is the disconnection.

    Raises:
        ClientDisconnect: the client is gone.
    """
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientDisconnect
        return work.result()
    finally:
        gone.cancel()
        work.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
