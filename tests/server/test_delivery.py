"""Audio for a client that goes away: no encoder is closed while a thread works with it."""

import asyncio
import threading
from typing import cast

import numpy as np
import pytest

from vocoder.audio.encoder import Encoder
from vocoder.audio.io import Samples
from vocoder.server.http.audio_response import AudioResponse
from vocoder.voices.voice import Voice


class Slow:
    """An encoder at work until the test lets it end."""

    def __init__(self) -> None:
        self.at_work, self.may_end = threading.Event(), threading.Event()
        self.ended = False

    def push(self, samples: Samples) -> bytes:
        self.at_work.set()
        assert self.may_end.wait(10)
        self.ended = True
        return b"audio"


@pytest.mark.parametrize("times", [1, 3])
def test_a_cancelled_encoding_ends_first(times: int) -> None:
    slow = Slow()
    delivery = AudioResponse(
        voice=cast(Voice, None),
        speaker="slt",
        seed=1,
        engine="cpu",
        audio_format="mp3",
        rate_hz=8000,
        whole=False,
        repeatable=False,
        log={},
    )

    async def scenario() -> None:
        samples = np.zeros(80, dtype=np.float32)
        work = asyncio.create_task(delivery.encode(cast(Encoder, slow), samples))
        await asyncio.to_thread(slow.at_work.wait)
        for _ in range(times):
            work.cancel()
            await asyncio.sleep(0.01)
            assert not work.done()
        slow.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert slow.ended

    asyncio.run(scenario())
