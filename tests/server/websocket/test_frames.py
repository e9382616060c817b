"""Broken frames and floods over a WebSocket: a clear close, and the server survives."""

import json
import random
import struct

import pytest
from exchanges import (
    CLEAR,
    CLOSE_CODES,
    FLUSH,
    MEL,
    PATH,
    START,
    TEXT,
    check_errors,
    exchange,
    speak,
    text,
)
from load.raw import Opcode, RawSocket, frame

pytestmark = pytest.mark.usefixtures("lives_on")

WRONG_FRAMES = {
    "not masked": (frame(1, b"{}", masked=False), {1002}),
    "reserved bits": (frame(1, b"{}", reserved=7), {1002}),
    "compressed, not agreed": (frame(1, b"{}", reserved=4), {1002}),
    "reserved opcode": (frame(3, b"{}"), {1002}),
    "reserved control opcode": (frame(11, b""), {1002}),
    "continuation of nothing": (frame(Opcode.CONTINUATION, b"{}"), {1002}),
    "text within a text": (frame(1, b"{", final=False) + frame(1, b"}"), {1002}),
    "ping in pieces": (frame(Opcode.PING, b"", final=False), {1002}),
    "long ping": (frame(Opcode.PING, b"x" * 126), {1002}),
    "close of one byte": (frame(Opcode.CLOSE, b"\3"), {1002}),
    "close with no such code": (frame(Opcode.CLOSE, struct.pack("!H", 1005)), {1002}),
    "close with bad words": (frame(Opcode.CLOSE, struct.pack("!H", 1000) + b"\xff"), {1002, 1007}),
    "not UTF-8": (frame(1, b'{"type":"\xff\xfe"}'), {1007}),
    "half a character": (frame(1, b"\xe2\x82"), {1007}),
    "2^62 bytes": (b"\x81\xff" + struct.pack("!Q", 2**62) + b"mask", {1009, 1002}),
    "2^63 bytes": (b"\x81\xff" + struct.pack("!Q", 2**63) + b"mask", {1009, 1002}),
    "1 GiB in 2 frames": (
        frame(1, b"{", final=False) + b"\x80\xff" + struct.pack("!Q", 2**30) + b"mask",
        {1009},
    ),
    "17 MiB": (frame(1, b" " * (17 * 2**20)), {1009}),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n" * 10, {1002}),
    "noise": (random.Random(5).randbytes(4096), {1002, 1007, 1009}),
    "zeros": (b"\0" * 4096, {1002}),
    "ones": (b"\xff" * 4096, {1002}),
}


@pytest.mark.parametrize("name", WRONG_FRAMES)
def test_an_invalid_frame_closes_with_its_code(port: int, name: str) -> None:
    sent, codes = WRONG_FRAMES[name]
    assert exchange(port, sent, close=False).close_code in codes


HALVES = {
    "nothing": b"",
    "a byte": b"\x81",
    "no length": b"\x81\xfe\x00",
    "a message less three bytes": speak()[:-3],
    "a message and the next one's head": speak() + b"\x81\xff",
    "speech and half a message": speak() + FLUSH + frame(1, b"{", final=False),
    "pieces without an end": frame(1, b'{"type":', final=False) * 3,
    "half a frame of features": START + frame(Opcode.BINARY, MEL)[:100],
}


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("reset", [False, True])
def test_a_truncated_frame(port: int, name: str, reset: bool) -> None:
    with RawSocket(("127.0.0.1", port)) as raw:
        assert raw.upgrade(PATH) == 101
        raw.send(HALVES[name])
        if reset:
            raw.reset()


def test_a_message_in_a_thousand_fragments_is_one_message(port: int, sound: bytes) -> None:
    data = json.dumps({"type": "Speak", "text": TEXT}).encode()
    pieces = [frame(1, data[:1], final=False)]
    for at in range(1, len(data)):
        pieces += [frame(0, data[at : at + 1], final=False), frame(Opcode.PING, b"x")]
        pieces += [frame(0, b"", final=False)] * 9
    found = exchange(port, b"".join([*pieces, frame(0, b"", final=True), FLUSH]))
    assert (found.audio, found.pongs, found.errors) == (sound, len(data) - 1, [])


def test_text_character_by_character_is_the_same_text(port: int, sound: bytes) -> None:
    found = exchange(port, b"".join(speak(letter) for letter in TEXT) + FLUSH)
    assert (found.audio, found.errors) == (sound, [])


def test_ten_thousand_tiny_messages(port: int) -> None:
    sent = b"".join(speak("a ") if at % 500 else speak("word. ") + CLEAR for at in range(10_000))
    found = exchange(port, sent + CLEAR)
    check_errors(found)
    assert found.close_code in CLOSE_CODES


@pytest.mark.parametrize("message", ["Flush", "Clear", "Cancel", "Nonsense"])
def test_floods_of_one_message(port: int, message: str) -> None:
    found = exchange(port, text({"type": message}) * 2000)
    check_errors(found)
    assert found.close_code in CLOSE_CODES
    if message in ("Flush", "Clear") and found.close_code == 1000:
        answers = [m["sequence_id"] for m in found.messages if m["type"].startswith(message)]
        assert answers == sorted(set(answers))


def test_alternating_speak_and_clear(port: int) -> None:
    found = exchange(port, (speak() + FLUSH + CLEAR) * 100)
    check_errors(found)
    assert found.close_code == 1000
    assert found.kinds.count("Cleared") == 100


def test_hundreds_of_contexts(port: int) -> None:
    names = [f"context {number}" for number in range(300)]
    sent = b"".join(
        speak("One.", context_id=name) + text({"type": "Flush", "context_id": name})
        for name in names
    )
    found = exchange(port, sent)
    check_errors(found)
    assert found.close_code in CLOSE_CODES
    spoken = {m["context_id"] for m in found.messages if m["type"] == "Flushed"}
    refused = {m["context_id"] for m in found.messages if m["type"] == "Error"}
    assert spoken
    assert spoken | refused == set(names)


def test_a_flood_of_pings(port: int) -> None:
    found = exchange(port, frame(Opcode.PING, b"x" * 125) * 5000 + speak() + FLUSH)
    assert "Flushed" in found.kinds
    assert found.pongs > 0
