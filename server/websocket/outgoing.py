"""Messages and audio sent over a WebSocket, in order, from several tasks."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from starlette.websockets import WebSocket, WebSocketDisconnect

from vocoder.errors import UserError

from ..errors import Refusal, error_body, status_of

CLOSING_S = 5.0
LONGEST_REASON_BYTES = 120

MessageOut = dict[str, Any]


class Figures(NamedTuple):
    """Timing of an utterance.

    Attributes:
        audio_s: length of its audio.
        first_audio_ms: time from its first message to its first audio.
        queue_ms: time until its preparation began.
        real_time_factor: seconds it took per second of audio.
    """

    audio_s: float = 0.0
    first_audio_ms: float | None = None
    queue_ms: float | None = None
    real_time_factor: float | None = None


NO_FIGURES = Figures()

logger = logging.getLogger(__name__)


class Gone(Exception):
    """The client has disconnected, or stopped reading."""


class Outgoing:
    """Sends messages and audio; senders wait while the client is not reading.

    Args:
        websocket: accepted.
        shape: converts a message to the client's protocol; None if it has no such message.
        stalled_s: a client that has read nothing for this long is considered gone.
        reported: called with the code of each error.
    """

    def __init__(
        self,
        websocket: WebSocket,
        shape: Callable[[MessageOut], MessageOut | None],
        *,
        stalled_s: float,
        reported: Callable[[str], None],
    ) -> None:
        self._websocket, self._shape = websocket, shape
        self._stalled_s, self._reported = stalled_s, reported
        self._lock = asyncio.Lock()
        self._audio_of: str | None = None
        self._sequence = 0

    async def message(self, kind: str, context_id: str | None = None, **fields: object) -> None:
        """Send a message.

        Raises:
            Gone: the client has disconnected.
        """
        async with self._lock:
            await self._message(kind, context_id, fields)

    async def answer(self, kind: str, context_id: str | None, **fields: object) -> None:
        """Send a message with the next sequence number."""
        async with self._lock:
            number, self._sequence = self._sequence, self._sequence + 1
            await self._message(kind, context_id, {"sequence_id": number, **fields})

    async def flushed(self, context_id: str | None, figures: Figures = NO_FIGURES) -> None:
        """Report that all audio of an utterance has been sent."""
        await self.answer("Flushed", context_id, **figures._asdict())

    async def audio(self, data: bytes, context_id: str | None) -> None:
        """Send audio, announcing its context if the last audio was of another one."""
        async with self._lock:
            if context_id != self._audio_of:
                await self._message("Audio", context_id, {})
                self._audio_of = context_id
            await self._send({"type": "websocket.send", "bytes": data})

    async def error(self, error: Refusal | UserError, context_id: str | None = None) -> None:
        """Report an error."""
        self._reported(error.code)
        fields: MessageOut = {}
        if isinstance(error, Refusal):
            body = error_body(error.status_code, error.detail, code=error.code, param=error.param)
            if retry_after := (error.headers or {}).get("retry-after"):
                fields["retry_after_s"] = int(retry_after)
        else:
            body = error_body(status_of(error), str(error), code=error.code, param=error.param)
        await self.message("Error", context_id, **body, **fields)

    async def close(self, code: int, reason: str = "") -> None:
        """Close, without waiting for a client that has stopped reading."""
        cut = reason.encode()[:LONGEST_REASON_BYTES].decode(errors="ignore")
        try:
            async with asyncio.timeout(CLOSING_S):
                await self._websocket.close(code, cut)
        except (WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
            return

    async def _message(self, kind: str, context_id: str | None, fields: MessageOut) -> None:
        message = self._shape({"type": kind, "context_id": context_id, **fields})
        if message is None:
            return
        if message.get("context_id") is None:
            message.pop("context_id", None)
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        await self._send({"type": "websocket.send", "text": text})

    async def _send(self, event: MessageOut) -> None:
        try:
            async with asyncio.timeout(self._stalled_s):
                await self._websocket.send(event)
        except (WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
            # Starlette raises RuntimeError for a socket that is closing already.
            raise Gone from None
