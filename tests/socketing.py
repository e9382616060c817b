"""Helpers of WebSocket tests: a client that uses the websockets library."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx2
from serving import FEATURES, features_of
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from vocoder.features.feature_file import Features, serialize

TEXT = "Hello there. It is 5:30, and Dr. Smith is late! Is he? He is... but\n\nnobody minds."
MEL = features_of(30)
BYTES = MEL.mel.T.contiguous().numpy().astype("<f4").tobytes()
FRAME_BYTES = 4 * FEATURES.n_mels


@contextlib.contextmanager
def socket(url: str, **query: object) -> Iterator[ClientConnection]:
    words = urlencode({"seed": 1, **query})
    with connect(f"ws://{url}/v1/audio/stream?{words}", proxy=None, max_size=None) as connection:
        yield connection


def send(connection: ClientConnection, kind: str, **fields: object) -> None:
    connection.send(json.dumps({"type": kind, **fields}))


@dataclass
class Heard:
    """Everything received until the server closed: messages, and the audio of each context."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    audio: dict[str | None, bytes] = field(default_factory=dict)
    code: int | None = None

    @property
    def kinds(self) -> list[str]:
        return [message["type"] for message in self.messages]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]


def hear(connection: ClientConnection, *, close: bool = True) -> Heard:
    """Receive everything until the server closes, after sending Close."""
    found, context = Heard(), None
    if close:
        send(connection, "Close")
    try:
        for message in connection:
            if isinstance(message, bytes):
                found.audio[context] = found.audio.get(context, b"") + message
            else:
                found.messages.append(json.loads(message))
                if found.messages[-1]["type"] == "Audio":
                    context = found.messages[-1].get("context_id")
    except ConnectionClosed:
        pass
    found.code = connection.close_code
    return found


def post(url: str, text: str = TEXT, **options: object) -> bytes:
    body = {"input": text, "seed": 1, "response_format": "pcm", "sample_rate": 8000, **options}
    return httpx2.post(f"http://{url}/v1/audio/speech", json=body, timeout=60).content


def speak(connection: ClientConnection, text: str, size: int = 10**6, **fields: object) -> None:
    for at in range(0, len(text), size):
        send(connection, "Speak", text=text[at : at + size], **fields)


def vocoded(url: str, features: Features = MEL, **query: object) -> bytes:
    answer = httpx2.post(
        f"http://{url}/v1/audio/vocode",
        params={"seed": 1, "response_format": "pcm", **query},  # type: ignore[arg-type]
        content=serialize(features),
        headers={"content-type": "application/octet-stream"},
        timeout=60,
    )
    assert answer.status_code == 200
    return answer.content
