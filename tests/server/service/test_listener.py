"""A listener of a stream, and what it leaves behind."""

import asyncio
import gc
import weakref
from typing import cast

import numpy as np
import pytest

from vocoder.scheduling.stream import Chunk, End, Sink
from vocoder.server.metrics import Metrics
from vocoder.server.service.listener import Listener
from vocoder.synthesis.streaming import StreamHandle


class Stream:
    """A handle of a stream with one chunk; it refers to its listener, as the scheduler's do."""

    def __init__(self, sink: Sink) -> None:
        self.sink, self.cancelled = sink, False
        sink(Chunk(np.zeros(800, np.float32)))

    def consumed(self, samples: int) -> None:
        pass

    def cancel(self) -> None:
        self.cancelled = True


@pytest.mark.parametrize("ending", ["cancelled", "cancelled before audio", "ended"])
def test_a_stream_is_released_as_soon_as_its_listener_is_over(ending: str) -> None:
    started: list[weakref.ref[Stream]] = []
    ended: list[None] = []

    def start(sink: Sink) -> StreamHandle:
        stream = Stream(sink)
        started.append(weakref.ref(stream))
        if ending == "ended":
            sink(End())
        return cast(StreamHandle, stream)

    async def listen() -> None:
        listener = Listener(
            start, 16000, kind="text", metrics=Metrics(), on_end=lambda: ended.append(None)
        )
        if ending == "ended":
            assert [len(chunk.samples) async for chunk in listener] == [800]
        elif ending == "cancelled":
            await anext(listener)
            await listener.aclose()
        else:
            listener.start_now()
            await asyncio.sleep(0.05)
            await listener.aclose()
            await asyncio.sleep(0)

    gc.disable()  # In a server, objects that need the collector stay for a long time.
    try:
        asyncio.run(listen())
        assert [reference() for reference in started] == [None]
    finally:
        gc.enable()
    assert len(ended) == 1
