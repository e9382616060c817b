"""WebSocket connections: uvicorn's protocol with limits."""

from asyncio.transports import BaseTransport
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from .limits import ConnectionLimits
from .watch import WriteWatch

PARSED_BYTES = 2**12
"""Bytes that are parsed at once: they can be hundreds of frames."""

MOST_FRAGMENTS = 2**10
"""Frames of one message."""

LINGER_S = 2.0
"""How long a client may go on sending after a mistake, so that it gets to read the close code."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """One connection."""

    def __init__(self, limits: ConnectionLimits, **given: Any) -> None:
        """A connection with limits; ``given`` is what uvicorn gives."""
        super().__init__(**given)
        self._limits = limits
        self._writing: WriteWatch | None = None
        self._unparsed = bytearray()
        self._failed = False

    def connection_made(self, transport: BaseTransport) -> None:
        """Count the connection, which has been let in as one of HTTP."""
        super().connection_made(transport)
        limits = self._limits
        self._writing = WriteWatch(
            self.transport,
            self.loop,
            limits.stalled_s,
            lambda: limits.metrics.limited("response_stalled"),
        )
        limits.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release everything."""
        if self._writing is not None:
            self._writing.stop()
        self._limits.closed(self)
        self._unparsed.clear()
        super().connection_lost(exc)

    def drop(self) -> None:
        """Close the connection at once."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse a piece, and the rest when others have had their turn."""
        if self._failed:
            return
        first = not self._unparsed
        self._unparsed += data
        if first:
            self._parse()

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

    def handle_cont(self, event: Frame) -> None:
        """A further fragment of a message."""
        if len(self.frames) >= MOST_FRAGMENTS:
            self._limits.metrics.limited("too_many_fragments")
            self._fail(CloseCode.MESSAGE_TOO_BIG, f"more than {MOST_FRAGMENTS} fragments")
        else:
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Hand over a message."""
        if self.curr_msg_data_type == "text" and not _is_text(b"".join(self.frames)):
            self._fail(CloseCode.INVALID_DATA, "the text is not UTF-8")
        else:
            super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """Close after a mistake, once the client has stopped sending."""
        assert self.conn.close_sent is not None
        if self.conn.close_sent.code == CloseCode.MESSAGE_TOO_BIG:
            self._limits.metrics.limited("message_too_big")
        self._close_failed()

    async def run_asgi(self) -> None:
        """Run the application, and close, even if the client does not read what it is sent."""
        await super().run_asgi()
        if self._writing is not None and self.transport.get_write_buffer_size():
            self._writing.start()

    def _parse(self) -> None:
        if self._failed or self.disconnected:
            self._unparsed.clear()
            return
        piece = bytes(self._unparsed[:PARSED_BYTES])
        super().data_received(piece)
        del self._unparsed[:PARSED_BYTES]
        if self._unparsed and not self._failed:
            self.transport.pause_reading()
            self.loop.call_soon(self._parse)
        elif not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def _fail(self, code: CloseCode, reason: str) -> None:
        self.frames = []
        self.conn.fail(code, reason)
        self._close_failed()

    def _close_failed(self) -> None:
        """Tell the application, send the close frame, and close a little later.

        A connection that is closed while the client is sending is reset, and the client does not
        get to read why.
        """
        if self._failed:
            return
        self._failed = True
        close = self.conn.close_sent
        code, reason = (close.code, close.reason) if close else (CloseCode.ABNORMAL_CLOSURE, "")
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.stop_keepalive()
        self.transport.resume_reading()
        # The application's end does not close a connection with a timer.
        self.close_timer = self.loop.call_later(LINGER_S, self.transport.close)

    def eof_received(self) -> None:
        """The client has stopped sending."""
        if self._failed:
            self.transport.close()


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
