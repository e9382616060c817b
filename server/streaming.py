"""Audio to a client while it is being generated."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator

from server.generations import Generations, Stopped

TURN_S = 0.25
"""After so long a generation lets those that wait have a turn."""

LARGEST_LEAD_BYTES = 2**20
"""A generation rests once it is so far ahead of its client, until that has taken half of it."""


async def stream(
    generations: Generations,
    parts: Callable[[], Generator[bytes, None, None]],
    *,
    largest_lead_bytes: int = LARGEST_LEAD_BYTES,
) -> AsyncGenerator[bytes, None]:
    """What ``parts`` gives in worker threads, as it comes; empty parts are left out.

    The work takes turns with others: a long text does not keep a short one waiting, and one whose
    client reads slowly holds neither a thread nor more than ``largest_lead_bytes`` and a part.
    Closing the iterator stops the work and closes what ``parts`` gave.

    Raises:
        Refusal: before the first part, when no more work is taken.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()
    room = asyncio.Event()
    made = taken = 0
    source: Generator[bytes, None, None] | None = None

    def turn(stop: threading.Event) -> bool:
        """Work for a while; whether there may be more to do."""
        nonlocal made, source
        if source is None:
            source = parts()
        end = time.monotonic() + TURN_S
        for part in source:
            if stop.is_set():
                raise Stopped
            if part:
                made += len(part)
                loop.call_soon_threadsafe(queue.put_nowait, part)
            if made - taken >= largest_lead_bytes or time.monotonic() > end:
                return True
        return False

    def close() -> None:
        if source is not None:
            source.close()

    async def produce() -> None:
        place = generations.place()
        try:
            while await place.run(turn):
                while made - taken > largest_lead_bytes // 2:
                    room.clear()
                    await room.wait()
        finally:
            place.leave(close)

    work = asyncio.create_task(produce())
    work.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (part := await queue.get()) is not None:
            yield part
            taken += len(part)
            room.set()
        await work
    finally:
        work.cancel()


async def begin(parts: AsyncGenerator[bytes, None]) -> bytes:
    """The first part, taken off to see that there is one."""
    return await anext(parts)


async def resume(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The stream again whose first part was taken off; closing it closes the stream."""
    async with contextlib.aclosing(rest):
        yield first
        async for part in rest:
            yield part
