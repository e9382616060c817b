"""What goes out over a WebSocket, in order, from several tasks."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from starlette.websockets import WebSocket, WebSocketDisconnect

from vocoder.errors import UserError

from ..errors import Refusal, error_body, status_of

STALLED_S = 60.0
"""A client that has taken nothing for so long is gone."""

CLOSING_S = 5.0
LONGEST_REASON_BYTES = 120

MessageOut = dict[str, Any]


class Figures(NamedTuple):
    """How a turn went.

    Attributes:
        audio_s: its length.
        first_audio_ms: from its first message to its first audio.
        queue_ms: until it began to be prepared.
        real_time_factor: seconds that a second of it took.
    """

    audio_s: float = 0.0
    first_audio_ms: float | None = None
    queue_ms: float | None = None
    real_time_factor: float | None = None


NO_FIGURES = Figures()

logger = logging.getLogger(__name__)


class Gone(Exception):
    """The client has left, or takes nothing."""


class Outgoing:
    """Sends messages and audio; whoever sends waits while the client does not take what is sent.

    Args:
        websocket: that was accepted.
        shape: gives a message the form that the client knows; None where it knows nothing of it.
    """

    def __init__(
        self, websocket: WebSocket, shape: Callable[[MessageOut], MessageOut | None]
    ) -> None:
        self._websocket, self._shape = websocket, shape
        self._lock = asyncio.Lock()
        self._audio_of: str | None = None
        self._sequence = 0

    async def message(self, kind: str, context_id: str | None = None, **fields: object) -> None:
        """Send a message.

        Raises:
            Gone: nobody takes it.
        """
        async with self._lock:
            await self._message(kind, context_id, fields)

    async def answer(self, kind: str, context_id: str | None, **fields: object) -> None:
        """Send a message that has the next sequence number."""
        async with self._lock:
            number, self._sequence = self._sequence, self._sequence + 1
            await self._message(kind, context_id, {"sequence_id": number, **fields})

    async def flushed(self, context_id: str | None, figures: Figures = NO_FIGURES) -> None:
        """Say that a turn has been sent to its end."""
        await self.answer("Flushed", context_id, **figures._asdict())

    async def audio(self, data: bytes, context_id: str | None) -> None:
        """Send audio, and before it whose it is, where the last was another's."""
        async with self._lock:
            if context_id != self._audio_of:
                await self._message("Audio", context_id, {})
                self._audio_of = context_id
            await self._send({"type": "websocket.send", "bytes": data})

    async def error(self, error: Refusal | UserError, context_id: str | None = None) -> None:
        """Say what was wrong."""
        fields: MessageOut = {}
        if isinstance(error, Refusal):
            body = error_body(error.status_code, error.detail, code=error.code, param=error.param)
            if retry_after := (error.headers or {}).get("retry-after"):
                fields["retry_after_s"] = int(retry_after)
        else:
            body = error_body(status_of(error), str(error), code=error.code, param=error.param)
        await self.message("Error", context_id, **body, **fields)

    async def close(self, code: int, reason: str = "") -> None:
        """Close; a client that takes nothing is not waited for."""
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
            async with asyncio.timeout(STALLED_S):
                await self._websocket.send(event)
        except (WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
            # A socket that is closing already says so by a RuntimeError.
            raise Gone from None
