"""One listener of a stream, and what it leaves behind."""

import asyncio
import gc
import weakref
from typing import cast

import numpy as np
import pytest

from vocoder.scheduling.stream import Chunk, End, Sink
from vocoder.server.service.admission import Slot
from vocoder.server.service.listener import Listener
from vocoder.synthesis.streaming import StreamHandle


class Stream:
    """A ticket of a stream that says one chunk, and knows its listener as the scheduler's do."""

    def __init__(self, sink: Sink) -> None:
        self.sink, self.cancelled = sink, False
        sink(Chunk(np.zeros(800, np.float32)))

    def consumed(self, samples: int) -> None:
        pass

    def cancel(self) -> None:
        self.cancelled = True


@pytest.mark.parametrize("ending", ["cancelled", "cancelled before audio", "ended"])
def test_a_stream_is_let_go_as_soon_as_its_listener_is_over(ending: str) -> None:
    begun: list[weakref.ref[Stream]] = []
    left: list[Slot] = []

    def begin(sink: Sink) -> StreamHandle:
        stream = Stream(sink)
        begun.append(weakref.ref(stream))
        if ending == "ended":
            sink(End())
        return cast(StreamHandle, stream)

    async def listen() -> None:
        listener = Listener(begin, "text", Slot(1.0, left.append), 16000)
        if ending == "ended":
            assert [len(spoken.samples) async for spoken in listener] == [800]
        elif ending == "cancelled":
            await anext(listener)
            await listener.aclose()
        else:
            listener.begin_now()
            await asyncio.sleep(0.05)
            await listener.aclose()
            await asyncio.sleep(0)

    gc.disable()  # Who needs the collector to go stays for long in a server.
    try:
        asyncio.run(listen())
        assert [reference() for reference in begun] == [None]
    finally:
        gc.enable()
    assert len(left) == 1
