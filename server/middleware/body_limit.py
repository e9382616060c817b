"""Limits on the size of request bodies and queries. Plain ASGI: nothing is buffered."""

import asyncio
import contextlib
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import Refusal, error_response
from ..metrics import Metrics
from .authentication import refuse
from .proxies import path_of

LINGER_S = 2.0
MOST_PARAMETERS = 100
"""Parameters of a query. Each unknown one is an error, and all errors are collected."""


class BodyLimit:
    """Refuses bodies over the limit with 413: by Content-Length at once, or while reading.

    The answer is sent in full before the connection closes, and what still arrives in the meantime
    is read and dropped: a client in the middle of its upload would otherwise see a reset.

    Args:
        app: the application.
        max_bytes: of a body.
        by_path: of bodies that are sent to these paths.
        metrics: counts the refusals.
    """

    def __init__(
        self, app: ASGIApp, max_bytes: int, by_path: Mapping[str, int], metrics: Metrics
    ) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.by_path = by_path
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a WebSocket; anything else passes through."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        if scope["query_string"].count(b"&") >= MOST_PARAMETERS:
            refusal = Refusal(
                400,
                f"the query has more than {MOST_PARAMETERS} parameters",
                code="too_many_values",
            )
            self.metrics.limited(refusal.code)
            await refuse(refusal, scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
            return
        received, over, more = 0, False, True
        most = self.by_path.get(path_of(scope), self.max_bytes)

        async def counted() -> Message:
            nonlocal received, over, more
            message = await receive()
            more = message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > most:
                over = True
                raise _refusal("too large", most)
            return message

        async def lingering(message: Message) -> None:
            last = message["type"] == "http.response.body" and not message.get("more_body")
            if over and more and last:
                await send({**message, "more_body": True})
                await _drop_rest(receive)
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > most:
            over = True
            refusal = _refusal(f"{declared[:20]} bytes", most)
            self.metrics.limited(refusal.code)
            response = error_response(
                refusal.status_code, refusal.detail, code=refusal.code, headers=refusal.headers
            )
            await response(scope, receive, lingering)
            return
        await self.app(scope, counted, lingering)


def _refusal(size: str, most: int) -> Refusal:
    return Refusal(
        413,
        f"the body is {size}: the limit is {most} bytes",
        code="body_too_large",
        headers={"connection": "close"},
    )


async def _drop_rest(receive: Receive) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            while (message := await receive())["type"] == "http.request":
                if not message.get("more_body"):
                    break
