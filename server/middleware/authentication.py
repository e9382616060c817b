"""Checks API keys on requests and sockets. Plain ASGI: nothing is buffered."""

import contextlib
import re
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import Refusal, error_response
from ..metrics import Metrics
from ..schemas import ErrorResponse
from .api_keys import Keyring
from .proxies import path_of
from .rate_limits import ApiClient, Limits

OPEN_PATHS = re.compile(r"/|/web(/.*)?|/healthz|/readyz|/docs(/.*)?|/openapi\.json")
"""Paths that need no key: the page, the API reference, and health checks."""

METRICS_PATH = "/metrics"
SUBPROTOCOL = "token"
"""Browsers cannot set headers on a WebSocket. They offer this subprotocol followed by the key, as
Deepgram's clients do. The handshake must accept it, or the browser closes the connection."""

HOW = "send it as `Authorization: Bearer KEY` or `x-api-key: KEY`"
DENIAL = "websocket.http.response"
"""The ASGI extension for answering a handshake with an HTTP response."""

REFUSALS = {
    "401": "The API key is missing or unknown.",
    "429": "The key's allowance is used up; see `retry-after`.",
}


class Authentication:
    """Refuses requests without a valid key with 401, and counts the others against their limits.

    Sets ``scope["state"]["key"]``, the :class:`.rate_limits.ApiClient` behind the request (an
    unlimited one where no key is needed), and ``["subprotocol"]``, which a WebSocket's handshake
    has to accept, or None. Keys are never read from the query, because the query is logged.

    Args:
        app: the application to guard.
        keyring: the keys; None leaves everything open.
        metrics: counts what is refused.
        metrics_open: whether ``/metrics`` needs no key.
    """

    def __init__(
        self, app: ASGIApp, keyring: Keyring | None, metrics: Metrics, *, metrics_open: bool
    ) -> None:
        self.app = app
        self.keyring = keyring
        self.metrics = metrics
        self.metrics_open = metrics_open
        self._anyone = ApiClient(None, Limits())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an HTTP request or a WebSocket; anything else passes through."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        offered = scope.get("subprotocols") or []
        state["subprotocol"] = SUBPROTOCOL if SUBPROTOCOL in offered else None
        state["key"] = self._anyone
        if self.keyring is None or self._open(scope):
            await self.app(scope, receive, send)
            return
        secret = _secret(Headers(scope=scope), offered)
        client = self.keyring.find(secret.encode("latin-1", "replace")) if secret else None
        if client is None:
            self.metrics.rejected("unauthorized")
            await refuse(_unauthorized(secret), scope, receive, send)
            return
        state["key"] = client
        state.setdefault("log", {})["key"] = client.name
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(client.hold())
                client.count_request()
            except Refusal as refusal:
                await refuse(refusal, scope, receive, send)
                return
            await self.app(scope, receive, send)

    def _open(self, scope: Scope) -> bool:
        return scope["type"] == "http" and _needs_no_key(path_of(scope), self.metrics_open)


def document(app: FastAPI, *, metrics_open: bool) -> None:
    """Add to the OpenAPI document which operations need a key, and how they refuse requests."""
    original = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema:
            return app.openapi_schema
        found = original()
        schemes = found.setdefault("components", {}).setdefault("securitySchemes", {})
        schemes["key"] = {"type": "http", "scheme": "bearer", "description": "an API key"}
        for path, operations in found["paths"].items():
            if _needs_no_key(path, metrics_open):
                continue
            for operation in operations.values():
                operation["security"] = [{"key": []}]
                for status, description in REFUSALS.items():
                    operation["responses"].setdefault(status, _refused(description))
        return found

    app.openapi = openapi  # type: ignore[method-assign]


def _refused(description: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{ErrorResponse.__name__}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _needs_no_key(path: str, metrics_open: bool) -> bool:
    return metrics_open if path == METRICS_PATH else OPEN_PATHS.fullmatch(path) is not None


def _secret(headers: Headers, subprotocols: Sequence[str]) -> str | None:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() in ("bearer", "token") and given.strip():
        return given.strip()
    if given := headers.get("x-api-key", ""):
        return given
    if SUBPROTOCOL in subprotocols[:-1]:
        return subprotocols[subprotocols.index(SUBPROTOCOL) + 1]
    return None


def _unauthorized(secret: str | None) -> Refusal:
    if secret is None:
        message, code, error = f"an API key is required: {HOW}", "missing_api_key", ""
    else:
        message = "this API key is unknown: ask the server's operator for a valid one"
        code, error = "invalid_api_key", ', error="invalid_token"'
    headers = {"www-authenticate": f'Bearer realm="vocoder"{error}'}
    return Refusal(401, message, code=code, headers=headers)


async def refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request or a WebSocket handshake with a refusal."""
    if scope["type"] == "websocket" and DENIAL not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.code})
        return
    response = error_response(
        refusal.status_code,
        refusal.detail,
        code=refusal.code,
        param=refusal.param,
        headers=refusal.headers,
    )
    await response(scope, receive, send)
