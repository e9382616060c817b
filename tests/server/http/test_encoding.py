"""Encoding for a client that disconnects: no encoder is closed while a thread works with it."""

import asyncio
import threading

import numpy as np
import pytest

from vocoder.audio.io import Samples
from vocoder.server.http.encoding import AsyncEncoder


class Slow:
    """An encoder that works until the test lets it end."""

    def __init__(self) -> None:
        self.at_work, self.may_end = threading.Event(), threading.Event()
        self.ended = self.closed = False

    def push(self, samples: Samples) -> bytes:
        self.at_work.set()
        assert self.may_end.wait(10)
        assert not self.closed
        self.ended = True
        return b"audio"

    def finish(self) -> bytes:
        raise AssertionError

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("times", [1, 3])
def test_a_cancelled_encoding_ends_first(times: int) -> None:
    slow = Slow()

    async def encode() -> None:
        with AsyncEncoder(slow, quick=False) as encoder:
            await encoder.push(np.zeros(80, dtype=np.float32))

    async def scenario() -> None:
        work = asyncio.create_task(encode())
        await asyncio.to_thread(slow.at_work.wait)
        for _ in range(times):
            work.cancel()
            await asyncio.sleep(0.01)
            assert not work.done()
        slow.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert slow.ended
        assert slow.closed

    asyncio.run(scenario())
