"""Audio to a client while it is being generated."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator

from server.generations import Generations, Stopped


async def stream(
    generations: Generations, parts: Callable[[], Iterator[bytes]]
) -> AsyncGenerator[bytes, None]:
    """What ``parts`` gives in a worker thread, as it comes.

    Closing the iterator stops the work. It holds at most one request's audio, which is bounded.

    Raises:
        Refusal: before the first part, when no more work is taken.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    def job(stop: threading.Event) -> None:
        for part in parts():
            if stop.is_set():
                raise Stopped
            loop.call_soon_threadsafe(queue.put_nowait, part)

    work = asyncio.create_task(generations.run(job))
    work.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (part := await queue.get()) is not None:
            yield part
        await work
    finally:
        work.cancel()


async def begin(parts: AsyncGenerator[bytes, None]) -> bytes:
    """The first part, taken off to see that there is one."""
    return await anext(parts)


async def resume(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """The stream again whose first part was taken off; closing it closes the stream."""
    async with contextlib.aclosing(rest):
        yield first
        async for part in rest:
            yield part
