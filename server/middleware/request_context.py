"""Request ids, one log line per request, and unexpected exceptions. Plain ASGI: no buffering."""

import contextlib
import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from ..errors import error_response
from ..metrics import Metrics

REQUEST_ID_HEADER = "x-request-id"
ACCEPTED_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,64}")
SWITCHING_PROTOCOLS = 101
FORBIDDEN = 403
CLIENT_CLOSED_REQUEST = 499
NO_CLOSE_CODE = 1005

logger = logging.getLogger(__name__)


class RequestContext:
    """Gives each request an id, logs one line about it, and answers unexpected exceptions.

    A request is an HTTP request or a WebSocket connection. The id is the client's ``x-request-id``
    if that is short and printable, otherwise random. It is stored as ``request.state.request_id``
    and returned in the same header. Routes add to the log line through ``request.state.log``.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; anything but HTTP and WebSockets passes through."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        start = time.perf_counter()
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.status = CLIENT_CLOSED_REQUEST
        except WebSocketDisconnect as error:
            exchange.close_code = exchange.close_code or error.code
        except Exception:
            fields = {"request_id": exchange.id}
            logger.exception("unexpected error", extra={"fields": fields})
            await exchange.fail()
        finally:
            # A task that was cancelled at shutdown has sent nothing.
            status = exchange.status or CLIENT_CLOSED_REQUEST
            exchange.line["status"] = status
            if exchange.close_code is not None:
                exchange.line["close_code"] = exchange.close_code
            exchange.line["duration_ms"] = round((time.perf_counter() - start) * 1000, 1)
            logger.info(exchange.name, extra={"fields": exchange.line})
            self.metrics.requests.labels(route_of(scope), status).inc()


class _Exchange:
    """One request seen from outside: its id, its log line, and how it is answered."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        self.id = given if ACCEPTED_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        self.name = "request" if scope["type"] == "http" else "websocket"
        self.line: dict[str, object] = {
            "request_id": self.id,
            "method": scope.get("method", "GET"),
            "path": scope["path"],
            "client": scope["client"][0] if scope.get("client") else None,
        }
        scope.setdefault("state", {}).update(log=self.line, request_id=self.id)
        self.status: int | None = None
        self.close_code: int | None = None
        self._scope, self._receive, self._send = scope, receive, send

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.disconnect" and self.close_code is None:
            self.close_code = message.get("code", NO_CLOSE_CODE)
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start", "websocket.accept"):
            self.status = message.get("status", SWITCHING_PROTOCOLS)
            message.setdefault("headers", [])
            MutableHeaders(scope=message)[REQUEST_ID_HEADER] = self.id
        elif kind == "websocket.close":
            if self.status is None:
                self.status = FORBIDDEN  # A close before the accept is sent as 403.
            else:
                self.close_code = message.get("code", 1000)
        await self._send(message)

    async def fail(self) -> None:
        """Answer an unexpected exception; to be called while it is being handled."""
        if self.status is None:
            message = f"internal error; the server's log has it under {self.id}"
            response = error_response(500, message, code="internal_error")
            await response(self._scope, self._receive, self.send)
        elif self._scope["type"] == "http":
            raise  # The answer has begun: break the connection, so that the client notices.
        elif self.status == SWITCHING_PROTOCOLS and self.close_code is None:
            # The client may be gone as well.
            with contextlib.suppress(OSError, RuntimeError):
                await self.send({"type": "websocket.close", "code": 1011})


def route_of(scope: Scope) -> str:
    """The template of the route that handled a request; ``unmatched`` if none did."""
    if route := getattr(scope.get("route"), "path", None):
        return str(route)
    if "app_root_path" in scope:  # Below a mounted application, such as static files.
        return str(scope["root_path"].removeprefix(scope["app_root_path"]))
    return str(scope["path"]) if "endpoint" in scope else "unmatched"
