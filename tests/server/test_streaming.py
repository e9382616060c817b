"""Streamed audio is the whole audio, and comes before it is all there."""

import asyncio
import contextlib
import io
import struct
import threading
import time
from collections.abc import Generator

import pytest
import soundfile
from fastapi.testclient import TestClient
from serving import FEATURES, features_of
from serving import VOCODE_URL as URL

from server import streaming
from server.generations import Generations
from server.streaming import stream
from vocoder import audio
from vocoder.features import serialize

BODY = serialize(features_of(40))


def test_streamed_bytes_are_the_whole_bytes(client: TestClient) -> None:
    whole = client.post(URL, content=BODY, params={"seed": 3, "response_format": "pcm"})
    options = {"seed": 3, "stream": True}
    pcm = client.post(URL, content=BODY, params={**options, "response_format": "pcm"})
    wav = client.post(URL, content=BODY, params={**options, "response_format": "wav"})
    assert whole.status_code == pcm.status_code == wav.status_code == 200
    assert pcm.content == whole.content
    assert wav.content[44:] == whole.content
    assert "content-length" not in pcm.headers
    assert pcm.headers["x-voice-hash"] == whole.headers["x-voice-hash"]
    json = {"mel": features_of(40).mel.tolist(), **options, "response_format": "pcm"}
    assert client.post(URL, json=json).content == whole.content


def test_a_streamed_wav_has_the_sizes_of_an_unknown_end(client: TestClient) -> None:
    wav = client.post(URL, content=BODY, params={"stream": True}).content
    assert struct.unpack("<4sI4s", wav[:12]) == (b"RIFF", 0xFFFFFFFF, b"WAVE")
    assert struct.unpack("<HHIIHH", wav[20:36]) == (
        1, 1, FEATURES.sample_rate_hz, 2 * FEATURES.sample_rate_hz, 2, 16,
    )  # fmt: skip
    assert struct.unpack("<4sI", wav[36:44]) == (b"data", 0xFFFFFFFF)


@pytest.mark.parametrize("name", ["mp3", "flac", "wav", "pcm"])
def test_any_format_and_rate_is_streamed(client: TestClient, name: str) -> None:
    options = {"seed": 3, "sample_rate": 48000, "response_format": name}
    whole = client.post(URL, content=BODY, params=options).content
    answer = client.post(URL, content=BODY, params={"stream": True, **options})
    assert answer.headers["x-sample-rate"] == "48000"
    assert answer.headers["content-type"] == audio.MEDIA_TYPES[name]  # type: ignore[index]
    if name == "mp3":
        # All but the frame that says how to play without gaps.
        assert 0 < len(whole) - len(answer.content) < 600
        assert whole.endswith(answer.content)
    elif name == "flac":
        assert decoded(answer.content, len(decoded(whole))) == decoded(whole)
    else:
        assert answer.content[-4000:] == whole[-4000:]
        assert len(answer.content) == len(whole)


def decoded(flac: bytes, length: int = 0) -> bytes:
    """Samples of a FLAC, whose length is put into it where it is not known."""
    if length:
        flac = flac[:22] + (length // 2).to_bytes(4, "big") + flac[26:]
    return bytes(soundfile.read(io.BytesIO(flac), dtype="int16")[0].tobytes())


def test_a_mistake_is_answered_before_the_stream_begins(client: TestClient) -> None:
    answer = client.post(URL, content=BODY, params={"stream": True, "speaker": "nobody"})
    assert answer.status_code == 404
    assert "speaker 'nobody'" in answer.json()["error"]["message"]


def test_a_part_arrives_before_the_next_is_made() -> None:
    heard = threading.Event()

    def parts() -> Generator[bytes, None, None]:
        yield b"first"
        assert heard.wait(10)
        yield b"last"

    async def listen() -> list[bytes]:
        found = []
        async for part in stream(Generations(1, 0, 1), parts):
            found.append(part)
            heard.set()
        return found

    assert asyncio.run(listen()) == [b"first", b"last"]


def test_who_stops_listening_stops_the_work() -> None:
    made = 0

    def parts() -> Generator[bytes, None, None]:
        nonlocal made
        while True:
            made += 1
            time.sleep(0.001)
            yield b"sound"

    async def leave() -> None:
        generations = Generations(1, 0, 1)
        live = stream(generations, parts)
        async with contextlib.aclosing(live):
            await anext(live)
        while generations.live:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(leave(), 10))
    assert made


def test_a_slow_listener_is_waited_for_without_a_thread() -> None:
    made = 0

    def endless() -> Generator[bytes, None, None]:
        nonlocal made
        while True:
            made += 1
            yield bytes(10)

    async def scenario() -> None:
        generations = Generations(1, 1, 1)
        slow = stream(generations, endless, largest_lead_bytes=100)
        async with contextlib.aclosing(slow):
            await anext(slow)
            # The only thread is free, and runs another's job.
            assert await generations.run(lambda stop: "done") == "done"
            assert made <= 12
            for _ in range(100):
                await anext(slow)
            assert 101 <= made <= 112
        await gone(generations)

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_a_long_stream_lets_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "TURN_S", 0.01)
    closed = []

    def endless() -> Generator[bytes, None, None]:
        try:
            while True:
                time.sleep(0.001)
                yield b""
        finally:
            closed.append(True)

    async def scenario() -> None:
        generations = Generations(1, 4, 1)
        long = [asyncio.create_task(anext(stream(generations, endless))) for _ in range(2)]
        while generations.live < 2:
            await asyncio.sleep(0.001)
        for _ in range(3):
            assert await generations.run(lambda stop: "done") == "done"
        for task in long:
            task.cancel()
        await gone(generations)
        assert closed == [True, True]

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_a_stream_that_rests_is_closed_with_its_listener() -> None:
    closed = []

    def endless() -> Generator[bytes, None, None]:
        try:
            while True:
                yield bytes(10)
        finally:
            closed.append(True)

    async def scenario() -> None:
        generations = Generations(1, 1, 1)
        live = stream(generations, endless, largest_lead_bytes=100)
        await anext(live)
        await asyncio.sleep(0.05)
        assert not closed
        await live.aclose()
        await gone(generations)
        assert closed == [True]

    asyncio.run(asyncio.wait_for(scenario(), 10))


async def gone(generations: Generations) -> None:
    while generations.live:
        await asyncio.sleep(0.001)
