"""One WebSocket connection: who is let in, messages one after the other, and an orderly end."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from vocoder.errors import UserError

from ..errors import Refusal
from ..service.service import Service
from .contexts import Contexts
from .dialect import Dialect
from .feature_frames import NothingStarted
from .lease import SlotLease
from .messages import ClientMessage, Close, Options
from .outgoing import Gone, Outgoing
from .voice_settings import decide

MOST_MISTAKES = 100
"""Mistakes in a row after which a client is not listened to any more."""

LARGE_MESSAGE = 2**16
"""Characters from which on a message is read in another thread."""

DONE, NOT_UNDERSTOOD, REFUSED, TOO_BIG, FAILED, STOPPING = 1000, 1003, 1008, 1009, 1011, 1012

logger = logging.getLogger(__name__)


class Ending(Exception):
    """The connection is to be closed, after an error that says why."""

    def __init__(self, code: int, error: Refusal) -> None:
        super().__init__(error.detail)
        self.code, self.error = code, error


async def serve(websocket: WebSocket, service: Service, dialect: Dialect, options: Options) -> None:
    """Let a client in, and serve it to its end.

    Raises:
        Refusal, UserError: it is not let in; nothing was answered yet.
    """
    voicing = await decide(service, options)
    idle_s = service.settings.idle_place_s
    seat = SlotLease(service.admission, voicing.voice, voicing.engine, idle_s=idle_s)
    seat.take()
    try:
        headers = [(b"dg-request-id", websocket.state.request_id.encode())] * dialect.greets
        await websocket.accept(websocket.state.subprotocol, headers)
    except OSError:
        seat.leave()
        raise WebSocketDisconnect(1006) from None  # It was gone before it was let in.
    except BaseException:
        seat.leave()
        raise
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def broken(error: BaseException) -> None:
        if not failed.done():
            failed.set_exception(error)

    outgoing = Outgoing(websocket, dialect.shape)
    contexts = Contexts(websocket, service, outgoing, options, voicing, seat, broken)
    try:
        await Connection(websocket, service, dialect, outgoing, contexts, failed).run()
    finally:
        await contexts.leave()
        if failed.done():
            failed.exception()  # It was seen to.


class Connection:
    """A client that was let in.

    Args:
        websocket: accepted.
        service: of the application.
        dialect: in which the client speaks.
        outgoing: to the client.
        contexts: of the connection.
        failed: is set when a context breaks.
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
        """Serve until the client closes or vanishes, or the server is to stop."""
        try:
            if self._dialect.greets:
                await self._contexts.begin()
            code = await self._listened()
            await self._first_of(self._finished(), self._until_gone())
            await self._outgoing.close(code, "" if code == DONE else "the server stops")
        except Gone:
            return
        except Ending as ending:
            await self._end(ending)
        except Exception:
            request_id = self._websocket.state.request_id
            logger.exception("unexpected error", extra={"fields": {"request_id": request_id}})
            message = f"internal error; it is logged as {request_id}"
            await self._end(Ending(FAILED, Refusal(500, message, code="internal_error")))

    async def _listened(self) -> int:
        """Do what messages ask for until Close, or until the server stops: the code to close with.

        Raises:
            Gone: the client has left.
            Ending: the client did what ends a connection.
        """
        return await self._first_of(self._until_close(), self._until_draining())

    async def _first_of(self, *waits: Coroutine[Any, Any, int]) -> int:
        """What the first gives that ends; the others are cancelled, as all are when one breaks."""
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
                    await self._contexts.take_bytes(data)
                else:
                    message = await self._parsed(text)
                    if isinstance(message, Close):
                        return DONE
                    context_id = message.context_id
                    await self._contexts.take(message)
            except NothingStarted as error:
                if text is None:
                    raise Ending(NOT_UNDERSTOOD, error) from None
                await self._mistake(error, context_id)
            except (Refusal, UserError) as error:
                await self._mistake(error, context_id)
            else:
                self._mistakes = 0

    async def _parsed(self, text: str) -> ClientMessage:
        if len(text) < LARGE_MESSAGE:
            return self._dialect.parse(text)
        return await asyncio.to_thread(self._dialect.parse, text)

    def _check_size(self, size: int) -> None:
        most = self._service.settings.max_body_bytes
        if size > most:
            message = f"the message is {size} bytes: this server takes at most {most}"
            raise Ending(TOO_BIG, Refusal(413, message, code="message_too_big"))

    async def _mistake(self, error: Refusal | UserError, context_id: str | None) -> None:
        await self._outgoing.error(error, context_id)
        self._mistakes += 1
        if self._mistakes == MOST_MISTAKES:
            message = f"{MOST_MISTAKES} messages in a row were wrong: the errors before say why"
            raise Ending(REFUSED, Refusal(400, message, code="too_many_mistakes"))

    async def _end(self, ending: Ending) -> None:
        try:
            await self._outgoing.error(ending.error)
        except Gone:
            return
        await self._outgoing.close(ending.code, ending.error.detail)
