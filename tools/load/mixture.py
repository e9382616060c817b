"""Short requests of every kind, each with its expected outcome."""

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2
from websockets.asyncio.client import ClientConnection, connect

from .server import Server
from .texts import SHORT

SPEECH, VOCODE, ANALYZE = "/v1/audio/speech", "/v1/audio/vocode", "/v1/audio/analyze"
RECORDING = Path(__file__).parents[2] / "tests" / "assets" / "speech" / "slt_arctic_a0090.flac"
FORMATS = ("mp3", "wav", "flac", "pcm")
BUSY = (429, 503)
STILL_S = 0.5
JSON, BINARY = "application/json", "application/octet-stream"

MISTAKES = (
    (400, "POST", SPEECH, JSON, b"{"),
    (415, "POST", SPEECH, "text/plain", b"text"),
    (422, "POST", SPEECH, JSON, b'{"input":""}'),
    (422, "POST", SPEECH, JSON, b'{"input":"?!"}'),
    (404, "POST", SPEECH, JSON, b'{"input":"Hello.","voice":"nobody"}'),
    (422, "POST", VOCODE, BINARY, b"\0" * 4096),
    (422, "POST", ANALYZE, "audio/wav", b"\0" * 4096),
    (404, "GET", "/v1/nothing", "", b""),
    (405, "DELETE", SPEECH, "", b""),
)
"""Expected status, method, path, content type, body."""


class Unexpected(Exception):
    """An unexpected response."""


class Busy(Exception):
    """The server is at its limit."""


@dataclass(frozen=True)
class Caller:
    """Sends requests of all kinds.

    Attributes:
        server: to send them to.
        client: for HTTP.
        draw: chooses among the variants of a kind.
        features: a feature file of the voice.
        recording: a short recording.
    """

    server: Server
    client: httpx2.AsyncClient
    draw: random.Random
    features: bytes
    recording: bytes

    async def speech(self) -> None:
        """Text in any format, streamed or whole."""
        await self._post(SPEECH, {**self._text(), "stream": self.draw.random() < 0.7})

    async def events(self) -> None:
        """Text as events, with timings."""
        body = {**self._text(), "stream_format": "sse", "timings": True}
        answer = await self._post(SPEECH, body)
        if "speech.audio.done" not in answer.text:
            raise Unexpected("the events have no end")

    async def plan(self) -> None:
        """A speech plan."""
        await self._post(f"{SPEECH}/plan", self._text())

    async def vocode(self) -> None:
        """A feature file."""
        query = {"response_format": self.draw.choice(FORMATS), "stream": "true"}
        await self._post(VOCODE, self.features, params=query)

    async def analyze(self) -> None:
        """A recording."""
        await self._post(ANALYZE, self.recording)

    async def lists(self) -> None:
        """Lists of voices, and the server's state."""
        paths = ("/v1/audio/voices", "/v1/models", "/healthz", "/readyz", "/metrics")
        await self._expect(200, await self.client.get(self.draw.choice(paths)))

    async def mistake(self) -> None:
        """One of many invalid requests, each with its status."""
        status, method, path, kind, body = self.draw.choice(MISTAKES)
        headers = {"content-type": kind} if kind else {}
        answer = await self.client.request(method, path, content=body, headers=headers)
        await self._expect(status, answer)

    async def cancelled(self) -> None:
        """Streamed text, with a disconnect in the middle."""
        body = {**self._text(), "input": " ".join(SHORT)}
        async with self.client.stream("POST", SPEECH, json=body) as answer:
            if answer.status_code != 200:
                await answer.aread()
            await self._expect(200, answer)
            async for _ in answer.aiter_raw():
                break

    async def socket(self) -> None:
        """Text over a WebSocket."""
        async with self.server.socket(seed=1) as socket:
            await _say(socket, self.draw.choice(SHORT))
            await _until(socket, "Flushed")
            await socket.send('{"type":"Close"}')
            async for _ in socket:
                pass

    async def contexts(self) -> None:
        """Two contexts on one WebSocket, one of which is cancelled."""
        async with self.server.socket() as socket:
            for context in ("one", "two"):
                await _say(socket, self.draw.choice(SHORT), context_id=context)
            await socket.send('{"type":"Cancel","context_id":"two"}')
            await _until(socket, "Flushed", context_id="one")

    async def cleared(self) -> None:
        """Text that is cleared."""
        async with self.server.socket() as socket:
            await _say(socket, " ".join(SHORT))
            await socket.send('{"type":"Clear"}')
            await _until(socket, "Cleared")

    async def hung_up(self) -> None:
        """A WebSocket that closes in the middle of a text."""
        async with self.server.socket() as socket:
            await _say(socket, " ".join(SHORT))
            async for message in socket:
                if isinstance(message, bytes):
                    break

    async def stalled(self) -> None:
        """A client that stands still in the middle of its request, or reads no response."""
        body = json.dumps({"input": " ".join(SHORT)}).encode()
        lines = [f"POST {SPEECH} HTTP/1.1", "Host: stalled", f"Content-Type: {JSON}"]
        lines += [f"{name}: {value}" for name, value in self.server.headers.items()]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode()
        _, writer = await asyncio.open_connection(*self.server.address, limit=2**10)
        try:
            writer.write((head + body)[: self.draw.choice((0, 20, len(head) + 5, None))])
            await writer.drain()
            await asyncio.sleep(STILL_S)
            if self.draw.random() < 0.5:
                writer.transport.abort()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def deepgram(self) -> None:
        """Text in Deepgram's protocol, over HTTP and a WebSocket."""
        text = self.draw.choice(SHORT)
        if self.draw.random() < 0.5:
            await self._post("/v1/speak", {"text": text})
            return
        url = f"ws{self.server.url.removeprefix('http')}/v1/speak"
        async with connect(
            url, additional_headers=self.server.headers, compression=None, proxy=None
        ) as socket:
            await _say(socket, text)
            await _until(socket, "Flushed")

    def _text(self) -> dict[str, object]:
        return {
            "input": self.draw.choice(SHORT),
            "response_format": self.draw.choice(FORMATS),
            "seed": self.draw.randrange(1000),
        }

    async def _post(
        self, path: str, body: Mapping[str, object] | bytes, params: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        if isinstance(body, bytes):
            headers = {"content-type": BINARY}
            answer = await self.client.post(
                path, content=body, headers=headers, params=params or {}
            )
        else:
            answer = await self.client.post(path, json=body)
        return await self._expect(200, answer)

    async def _expect(self, status: int, answer: httpx2.Response) -> httpx2.Response:
        if answer.status_code in BUSY:
            raise Busy
        if answer.status_code != status:
            asked = f"{answer.request.method} {answer.request.url.path}"
            raise Unexpected(f"{asked}: {answer.status_code}, not {status}: {answer.text[:200]}")
        return answer


Kind = Callable[[Caller], Awaitable[None]]

KINDS: dict[str, tuple[Kind, int]] = {
    "speech": (Caller.speech, 30),
    "events": (Caller.events, 6),
    "plan": (Caller.plan, 8),
    "vocode": (Caller.vocode, 4),
    "analyze": (Caller.analyze, 5),
    "lists": (Caller.lists, 8),
    "mistake": (Caller.mistake, 12),
    "cancelled": (Caller.cancelled, 7),
    "socket": (Caller.socket, 8),
    "contexts": (Caller.contexts, 3),
    "cleared": (Caller.cleared, 3),
    "hung_up": (Caller.hung_up, 3),
    "deepgram": (Caller.deepgram, 3),
    "stalled": (Caller.stalled, 4),
}
"""Each kind, with its relative frequency."""


async def _say(socket: ClientConnection, text: str, **more: str) -> None:
    await socket.send(json.dumps({"type": "Speak", "text": text, **more}))
    await socket.send(json.dumps({"type": "Flush", **more}))


async def _until(socket: ClientConnection, kind: str, **more: str) -> None:
    """Read until a message of this type arrives."""
    async for message in socket:
        if isinstance(message, bytes):
            continue
        event = json.loads(message)
        if event["type"] == "Error":
            if event["error"]["code"] == "overloaded":
                raise Busy
            raise Unexpected(f"WebSocket: {event['error']['message']}")
        if event["type"] == kind and more.items() <= event.items():
            return
    raise Unexpected(f"the WebSocket closed with {socket.close_code} before {kind}")
