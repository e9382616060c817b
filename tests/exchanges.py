"""Helpers of WebSocket tests: raw bytes to the server, and everything that it answers."""

import contextlib
import json
import threading
from dataclasses import dataclass, field
from typing import Any

from load.raw import Opcode, RawSocket, frame
from load.server import SOCKET_PATH as PATH
from serving import features_of

PATIENCE_S = 20.0
CLOSE_CODES = {1000, 1002, 1003, 1007, 1008, 1009}
TEXT = "Hello there. It works."


@dataclass
class Exchange:
    """Everything the server sent: messages, audio, close code."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    audio: bytes = b""
    pongs: int = 0
    close_code: int | None = None

    @property
    def kinds(self) -> list[str]:
        return [message["type"] for message in self.messages]

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [message["error"] for message in self.messages if message["type"] == "Error"]


def read_all(raw: RawSocket, found: Exchange) -> None:
    """Read until the connection ends, checking that the frames are valid."""
    try:
        while True:
            one = raw.read_frame()
            assert one.final
            if one.opcode == Opcode.TEXT:
                found.messages.append(json.loads(one.payload))
            elif one.opcode == Opcode.BINARY:
                found.audio += one.payload
            elif one.opcode == Opcode.PONG:
                found.pongs += 1
            elif one.opcode == Opcode.CLOSE:
                found.close_code = one.close_code
                # The server waits for the answer, unless it has disconnected already.
                with contextlib.suppress(OSError):
                    raw.send(frame(Opcode.CLOSE, one.payload[:2]))
    except EOFError:
        return


def exchange(port: int, sent: bytes, *, close: bool = True, query: str = "?seed=1") -> Exchange:
    """Send bytes and a Close after the handshake, and read until the server disconnects."""
    found = Exchange()
    with RawSocket(("127.0.0.1", port), PATIENCE_S) as raw:
        assert raw.upgrade(f"{PATH}{query}") == 101
        # Read at the same time, or a server that answers everything would block.
        reader = threading.Thread(target=read_all, args=(raw, found))
        reader.start()
        with contextlib.suppress(ConnectionError):  # The server closed; the reader has the reason.
            raw.send(sent + (text({"type": "Close"}) if close else b""))
        reader.join(PATIENCE_S)
        assert not reader.is_alive(), "the server neither answered nor closed"
    return found


def text(message: object) -> bytes:
    """A text frame with JSON, or with a string as it is."""
    data = message if isinstance(message, str) else json.dumps(message)
    return frame(Opcode.TEXT, data.encode())


def speak(words: str = TEXT, **more: object) -> bytes:
    return text({"type": "Speak", "text": words, **more})


FLUSH, CLEAR = text({"type": "Flush"}), text({"type": "Clear"})
START = text({"type": "Start", "input": "features"})
MEL = features_of(6).mel.T.contiguous().numpy().astype("<f4").tobytes()


def right(port: int) -> bytes:
    found = exchange(port, speak() + FLUSH)
    assert found.kinds == ["Metadata", "Flushed"]
    assert found.close_code == 1000
    assert found.audio
    return found.audio


def check_errors(found: Exchange) -> None:
    """Check that errors have the common format, and say what was wrong."""
    for error in found.errors:
        assert list(error) == ["message", "type", "param", "code"]
        assert 10 < len(error["message"]) < 1000
        assert "\n" not in error["message"]
        assert error["code"]
        assert error["code"] != "internal_error"
