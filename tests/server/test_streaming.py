"""Streamed audio is the whole audio, and comes before it is all there."""

import asyncio
import contextlib
import struct
import threading
import time
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from serving import FEATURES, features_of
from serving import VOCODE_URL as URL

from server.generations import Generations
from server.streaming import stream
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


@pytest.mark.parametrize(
    ("options", "param"),
    [({"response_format": "flac"}, "response_format"), ({"sample_rate": 48000}, "sample_rate")],
)
def test_what_needs_whole_audio_is_not_streamed(
    client: TestClient, options: dict[str, object], param: str
) -> None:
    answer = client.post(URL, content=BODY, params={"stream": True, **options})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_a_mistake_is_answered_before_the_stream_begins(client: TestClient) -> None:
    answer = client.post(URL, content=BODY, params={"stream": True, "speaker": "nobody"})
    assert answer.status_code == 404
    assert "speaker 'nobody'" in answer.json()["error"]["message"]


def test_a_part_arrives_before_the_next_is_made() -> None:
    heard = threading.Event()

    def parts() -> Iterator[bytes]:
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

    def parts() -> Iterator[bytes]:
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
