"""Request ids, one log line a request, and the limit on bodies; plain ASGI: nothing is buffered."""

import asyncio
import contextlib
import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import Refusal, error_response

REQUEST_ID_HEADER = "x-request-id"
ACCEPTED_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,64}")
CLIENT_CLOSED_REQUEST = 499
LINGER_S = 2.0

logger = logging.getLogger(__name__)


class RequestContext:
    """Gives each request an id, logs one line about it, and answers unexpected exceptions.

    The id is the client's ``x-request-id`` where that is short and printable, and comes back in
    the header of that name. Routes add to the log line through ``request.state.log``.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; what is no HTTP request passes through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        request_id = given if ACCEPTED_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        line: dict[str, object] = {
            "request_id": request_id,
            "method": scope["method"],
            "path": scope["path"],
            "client": scope["client"][0] if scope.get("client") else None,
        }
        scope.setdefault("state", {})["log"] = line
        status: int | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        start = time.perf_counter()
        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = CLIENT_CLOSED_REQUEST
        except Exception:
            logger.exception("unexpected error", extra={"fields": {"request_id": request_id}})
            if status is not None:
                raise  # Half an answer is out: the connection must break, so that the client knows.
            response = error_response(
                500, f"internal error; it is logged as {request_id}", code="internal_error"
            )
            await response(scope, receive, send_with_id)
        finally:
            # A task cancelled at shutdown has sent nothing.
            line["status"] = status if status is not None else CLIENT_CLOSED_REQUEST
            line["duration_ms"] = round((time.perf_counter() - start) * 1000, 1)
            logger.info("request", extra={"fields": line})


class BodyLimit:
    """Refuses bodies over a size with 413: by Content-Length at once, else while they are read.

    The answer goes out in full before the connection closes, and for a moment what still arrives
    is read and dropped: a client in the middle of its upload would otherwise see a reset instead.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; what is no HTTP request passes through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        received, over, more = 0, False, True

        async def counted() -> Message:
            nonlocal received, over, more
            message = await receive()
            more = message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                over = True
                raise self._refusal("too large")
            return message

        async def lingering(message: Message) -> None:
            last = message["type"] == "http.response.body" and not message.get("more_body")
            if over and more and last:
                await send({**message, "more_body": True})
                await _drop_rest(receive)
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > self.max_bytes:
            over = True
            refusal = self._refusal(f"{declared[:20]} bytes")
            response = error_response(
                refusal.status_code, refusal.detail, code=refusal.code, headers=refusal.headers
            )
            await response(scope, receive, lingering)
            return
        await self.app(scope, counted, lingering)

    def _refusal(self, size: str) -> Refusal:
        return Refusal(
            413,
            f"the body is {size}: this server takes at most {self.max_bytes} bytes",
            code="body_too_large",
            headers={"connection": "close"},
        )


async def _drop_rest(receive: Receive) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            while (message := await receive())["type"] == "http.request":
                if not message.get("more_body"):
                    break
