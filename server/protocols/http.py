"""HTTP connections: uvicorn's protocol, which has no limits of its own, with limits.

The head of a request is limited in size and time; a body and a response must make progress; and
there are only so many connections.
"""

import asyncio
import contextlib
import json
import socket
import sys
from typing import Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from ..errors import error_body
from ..metrics import Limit
from .limits import SLOWEST_BYTES_PER_S, ConnectionLimits
from .watch import Deadline, WriteWatch

FED_BYTES = 2**14
"""How much of a head is parsed between two checks of its size."""

FRAMING = 8
"""Bytes on the wire per byte of a body in chunks of one byte, with a margin."""

SENT_AHEAD_BYTES = 2**16
"""Send buffer of a connection: by default the kernel takes minutes of audio from a stream whose
client does not read."""

LEFTOVER_S = 5.0
"""How long a client may go on sending a body after the response."""


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, limits: ConnectionLimits, **given: Any) -> None:
        """A connection with limits; ``given`` is what uvicorn gives."""
        super().__init__(**given)
        self._limits = limits
        self._head = Deadline(self.loop, self._head_expired)
        self._body = Deadline(self.loop, self._body_expired)
        self._writing: WriteWatch | None = None
        self._refused = False
        self._complete = True  # No request is being received.
        self._received = self._of_body = self._checked = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and refuse it beyond a limit."""
        super().connection_made(transport)
        limits = self._limits
        self._writing = WriteWatch(
            transport,
            self.loop,
            limits.stalled_s,
            lambda: limits.metrics.limited("response_stalled"),
        )
        connected = transport.get_extra_info("socket")
        if connected is not None:
            with contextlib.suppress(OSError):
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENT_AHEAD_BYTES)
        limit = limits.opened(self)
        if limit is not None:
            message = f"there are too many connections: try again in {limits.retry_after_s} s"
            self._refuse(503, message, limit, retry_after_s=limits.retry_after_s)
            return
        limits.idle(self)
        self._head.start(limits.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release everything."""
        self._stop()
        super().connection_lost(exc)

    def drop(self) -> None:
        """Close the connection at once."""
        self._stop()
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse, in pieces as long as it is the head of a request."""
        waiting = self._complete and (self.cycle is None or self.cycle.response_complete)
        if waiting and not self._head.running and not self._refused:
            self._head.start(self._limits.head_s)
        at = 0
        while at < len(data) and not self._refused:
            if self.transport.is_closing():
                return
            protocol = self.transport.get_protocol()
            if protocol is not self:  # Upgraded to a WebSocket.
                cast(asyncio.Protocol, protocol).data_received(data[at:])
                return
            piece = data[at : at + FED_BYTES] if self._of_body == 0 else data[at:]
            at += len(piece)
            self._received += len(piece)
            super().data_received(piece)
            if self._received - FRAMING * self._of_body > self._limits.head_bytes:
                limit = self._limits.head_bytes
                message = f"the head of the request is too large: the limit is {limit} bytes"
                self._refuse(431, message, "head_too_large")

    def on_headers_complete(self) -> None:
        """Begin the request, and watch its body."""
        self._head.stop()
        self._limits.busy(self)
        self._complete = False
        super().on_headers_complete()
        self._checked = 0
        self._body.start(self._limits.stalled_s)

    def on_body(self, body: bytes) -> None:
        """Count the body."""
        self._of_body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request has arrived in full."""
        self._body.stop()
        self._complete = True
        self._received = self._of_body = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, and for the client to read."""
        super().on_response_complete()
        if self._writing is not None and self.transport.get_write_buffer_size():
            self._writing.start()
        if self.pipeline:
            return
        if not self._complete:
            self._body.start(LEFTOVER_S)
        elif not self.transport.is_closing():
            self._limits.idle(self)

    def pause_writing(self) -> None:
        """The client does not read as fast as it is sent to."""
        super().pause_writing()
        if self._writing is not None:
            self._writing.start()

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        if self._writing is not None:
            self._writing.stop()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to the protocol of WebSockets, which counts it from then on."""
        self._stop()
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        self._refuse(400, "this is not a valid HTTP request", "invalid_http")

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if cycle.scope["http_version"] == "1.0":
            app = _until_close(app, cycle)
        super()._start_asgi_task(cycle, app)

    def _stop(self) -> None:
        self._head.stop()
        self._body.stop()
        if self._writing is not None:
            self._writing.stop()
        self._limits.closed(self)

    def _head_expired(self) -> None:
        if self._received:
            message = f"the head of the request took longer than {self._limits.head_s:g} s"
            self._refuse(408, message, "head_timeout")
        else:
            self._limits.metrics.limited("head_timeout")
            self.drop()

    def _body_expired(self) -> None:
        progress, self._checked = self._of_body - self._checked, self._of_body
        responded = self.cycle is None or self.cycle.response_complete
        if not responded and (
            self.flow.read_paused or progress >= SLOWEST_BYTES_PER_S * self._limits.stalled_s
        ):
            self._body.start(self._limits.stalled_s)
        elif responded or self.cycle.response_started:
            self._limits.metrics.limited("body_timeout")
            self.drop()
        else:
            message = f"no progress of the request's body in {self._limits.stalled_s:g} s"
            self._refuse(408, message, "body_timeout")

    def _refuse(
        self, status: int, message: str, code: Limit | str, *, retry_after_s: int | None = None
    ) -> None:
        """Answer with an error, unless a response has begun, and close."""
        self._limits.metrics.limited(code)
        self._refused = True
        begun = self.cycle is not None and (
            self.cycle.response_started and not self.cycle.response_complete
        )
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if begun or self.transport.is_closing():
            self.drop()
            return
        body = json.dumps(error_body(status, message, code=code, param=None)).encode()
        head = [
            STATUS_LINE[status],
            *(b"%b: %b\r\n" % header for header in self.server_state.default_headers),
            b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body),
            b"retry-after: %d\r\n" % retry_after_s if retry_after_s is not None else b"",
            b"connection: close\r\n\r\n",
        ]
        self.transport.write(b"".join([*head, body]))
        self.transport.close()
        if self._writing is not None:
            self._writing.start()


def _until_close(app: ASGIApp, cycle: RequestResponseCycle) -> ASGIApp:
    """The application for a client of HTTP/1.0, which knows no chunks: closing ends a body."""

    async def closing(scope: Scope, receive: Receive, send: Send) -> None:
        without_length = False

        async def unchunked(message: Message) -> None:
            nonlocal without_length
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message.get("headers", [])}
                without_length = b"content-length" not in names
                if without_length:
                    cycle.chunked_encoding = False
                    cycle.expected_content_length = sys.maxsize
            elif without_length and not message.get("more_body", False):
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, unchunked)

    return closing
