"""Generation off the event loop: so many at a time, so many waiting, and a way to stop each."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from server.errors import Refusal

Result = TypeVar("Result")


class Stopped(Exception):
    """Nobody waits for this generation any more. Raised by a job, seen by no client."""


class Generations:
    """Runs jobs in worker threads, in the order in which they came.

    Args:
        concurrent: jobs that run at a time.
        waiting: jobs that may wait for a turn; one more is refused.
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
        """Jobs that run or wait."""
        return self._live

    async def run(self, job: Callable[[threading.Event], Result]) -> Result:
        """The result of ``job``, which looks at the event it is given now and then.

        Cancelled while it waits, the job leaves the queue. Cancelled while it runs, the event is
        set; the job keeps its place until it has seen that and returned.

        Raises:
            Refusal: 503, as many jobs as may wait are waiting.
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
        stop = threading.Event()
        future = self._executor.submit(job, stop)
        future.add_done_callback(self._leave)
        try:
            return await asyncio.wrap_future(future)
        finally:
            stop.set()

    def _leave(self, future: Future[Result]) -> None:
        with self._lock:
            self._live -= 1


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
