"""Encoding the audio of a response, off the event loop where it takes time."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from vocoder.audio.io import Samples


class ChunkEncoder(Protocol):
    """Encodes one signal that arrives in chunks."""

    def push(self, samples: Samples) -> bytes:
        """Encode a chunk (T,); returns the bytes that are ready, possibly none."""

    def finish(self) -> bytes:
        """The remaining bytes."""

    def close(self) -> None:
        """Release its resources."""


class AsyncEncoder:
    """Runs an encoder from the event loop. To be used in a ``with``."""

    def __init__(self, encoder: ChunkEncoder, *, quick: bool) -> None:
        """Encode in place if it is ``quick``: then a thread would cost more than the work."""
        self._encoder, self._quick = encoder, quick

    async def push(self, samples: Samples) -> bytes:
        """Encode a chunk (T,); returns the bytes that are ready, possibly none."""
        return await self._run(lambda: self._encoder.push(samples))

    async def finish(self) -> bytes:
        """The remaining bytes."""
        return await self._run(self._encoder.finish)

    def __enter__(self) -> "AsyncEncoder":
        return self

    def __exit__(self, *_: object) -> None:
        self._encoder.close()

    async def _run(self, work: Callable[[], bytes]) -> bytes:
        if self._quick:
            return work()
        running = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            return await asyncio.shield(running)
        finally:
            # If the client is gone the thread is still working, and libsndfile crashes the process
            # when its file is closed meanwhile.
            while not running.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([running])
            if not running.cancelled():
                running.exception()  # Marks it as retrieved, in case nobody is waiting any more.
