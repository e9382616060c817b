"""One WebSocket connection: its messages one after the other, and a clean close."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from starlette.websockets import WebSocket

from vocoder.errors import UserError

from ..errors import Refusal
from ..service.service import Service
from .contexts import Contexts
from .dialect import Dialect
from .feature_frames import NotStarted
from .messages import ClientMessage, Close
from .outgoing import Gone, Outgoing

MAX_MISTAKES = 100
"""Consecutive invalid messages after which the connection is closed."""

DONE, NOT_UNDERSTOOD, REFUSED, TOO_BIG, FAILED, STOPPING = 1000, 1003, 1008, 1009, 1011, 1012

logger = logging.getLogger(__name__)


class ClosingError(Exception):
    """An error after which the connection is closed."""

    def __init__(self, code: int, error: Refusal) -> None:
        super().__init__(error.detail)
        self.code, self.error = code, error


class Connection:
    """An accepted client.

    Args:
        websocket: accepted.
        service: of the application.
        dialect: the client's protocol.
        outgoing: to the client.
        contexts: of the connection.
        failed: gets the exception when a context fails.
    """

    def __init__(
        self,
        websocket: WebSocket,
        service: Service,
        dialect: Dialect,
        outgoing: Outgoing,
        contexts: Contexts,
        failed: "asyncio.Future[None]",
    ) -> None:
        self._websocket, self._service, self._dialect = websocket, service, dialect
        self._outgoing, self._contexts, self._failed = outgoing, contexts, failed
        self._mistakes = 0

    async def run(self) -> None:
        """Serve until the client closes or disconnects, or the server stops."""
        try:
            if self._dialect.greets:
                await self._contexts.begin()
            code = await self._first_of(self._until_close(), self._until_draining())
            await self._first_of(self._finished(), self._until_gone())
            await self._outgoing.close(code, "" if code == DONE else "the server is shutting down")
        except Gone:
            return
        except ClosingError as error:
            await self._close_with(error)
        except Exception:
            request_id = self._websocket.state.request_id
            logger.exception("unexpected error", extra={"fields": {"request_id": request_id}})
            message = f"internal error; the server's log has it under {request_id}"
            await self._close_with(
                ClosingError(FAILED, Refusal(500, message, code="internal_error"))
            )

    async def _first_of(self, *waits: Coroutine[Any, Any, int]) -> int:
        """The result of the first to end; the others are cancelled, as all are if one fails."""
        tasks = [asyncio.create_task(wait) for wait in waits]
        try:
            waited: set[asyncio.Future[Any]] = {*tasks, self._failed}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if self._failed.done():
                self._failed.result()
            return next(task.result() for task in tasks if task.done())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_draining(self) -> int:
        await self._service.draining.wait()
        return STOPPING

    async def _finished(self) -> int:
        await self._contexts.finish()
        return DONE

    async def _until_gone(self) -> int:
        while (await self._websocket.receive())["type"] != "websocket.disconnect":
            pass
        raise Gone

    async def _until_close(self) -> int:
        """Handle messages until Close.

        Raises:
            Gone: the client has disconnected.
            ClosingError: the client made a mistake that ends the connection.
        """
        while True:
            event = await self._websocket.receive()
            if event["type"] == "websocket.disconnect":
                raise Gone
            text: str | None = event.get("text")
            data: bytes = event.get("bytes") or b""
            self._check_size(len(data if text is None else text))
            context_id = None
            try:
                if text is None:
                    await self._contexts.handle_bytes(data)
                else:
                    message = await self._parsed(text)
                    if isinstance(message, Close):
                        return DONE
                    context_id = message.context_id
                    await self._contexts.handle(message)
            except NotStarted as error:
                if text is None:
                    raise ClosingError(NOT_UNDERSTOOD, error) from None
                await self._mistake(error, context_id)
            except (Refusal, UserError) as error:
                await self._mistake(error, context_id)
            else:
                self._mistakes = 0

    async def _parsed(self, text: str) -> ClientMessage:
        return await self._service.parse(lambda: self._dialect.parse(text), len(text))

    def _check_size(self, size: int) -> None:
        limit = self._service.settings.max_body_bytes
        if size > limit:
            message = f"the message is {size} bytes: the limit is {limit}"
            raise ClosingError(TOO_BIG, Refusal(413, message, code="message_too_big"))

    async def _mistake(self, error: Refusal | UserError, context_id: str | None) -> None:
        await self._outgoing.error(error, context_id)
        self._mistakes += 1
        if self._mistakes == MAX_MISTAKES:
            message = f"{MAX_MISTAKES} invalid messages in a row: see the errors before"
            raise ClosingError(REFUSED, Refusal(400, message, code="too_many_mistakes"))

    async def _close_with(self, error: ClosingError) -> None:
        try:
            await self._outgoing.error(error.error)
        except Gone:
            return
        await self._outgoing.close(error.code, error.error.detail)
