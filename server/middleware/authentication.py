"""Requests and sockets need a key where there are keys; plain ASGI: nothing is buffered."""

import contextlib
import re
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from .. import metrics
from ..errors import Refusal, error_response
from ..schemas import ErrorResponse
from .api_keys import Keyring
from .rate_limits import ANYONE

OPEN_PATHS = re.compile(r"/|/web(/.*)?|/healthz|/readyz|/docs(/.*)?|/openapi\.json")
"""Paths that need no key: the page, the reference, and what an orchestrator asks."""

METRICS_PATH = "/metrics"
SUBPROTOCOL = "token"
"""A browser cannot set headers of a WebSocket: it offers this subprotocol and the key as another,
as Deepgram's clients do. The handshake has to choose it, or the browser gives up."""

HOW = "send it as `Authorization: Bearer KEY` or `x-api-key: KEY`"
DENIAL = "websocket.http.response"
"""ASGI's extension by which a handshake can be answered like a request."""

REFUSALS = {
    "401": "No key, or one that is unknown.",
    "429": "The key's allowance is used up; see `retry-after`.",
}


class Authentication:
    """Refuses whoever has no key with 401, and counts what the others use.

    For what comes after it ``scope["state"]`` has ``key``, the :class:`.rate_limits.ApiClient`
    of who asks (``ANYONE`` where no key is needed), and ``subprotocol``, the one that a WebSocket's
    handshake has to choose, or None. A key is never looked for in the query, which is logged.

    Args:
        app: what is guarded.
        keyring: the keys; everything is open where None.
        metrics_open: whether the metrics need no key.
    """

    def __init__(self, app: ASGIApp, keyring: Keyring | None, *, metrics_open: bool) -> None:
        self.app = app
        self.keyring = keyring
        self.metrics_open = metrics_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a socket; anything else passes through."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        offered = scope.get("subprotocols") or []
        state["subprotocol"] = SUBPROTOCOL if SUBPROTOCOL in offered else None
        state["key"] = ANYONE
        if self.keyring is None or self._open(scope):
            await self.app(scope, receive, send)
            return
        secret = _secret(Headers(scope=scope), offered)
        identity = self.keyring.find(secret.encode("latin-1", "replace")) if secret else None
        if identity is None:
            await refuse(_unauthorized(secret), scope, receive, send)
            return
        state["key"] = identity
        state.setdefault("log", {})["key"] = identity.name
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(identity.hold())
                identity.count_request()
            except Refusal as refusal:
                await refuse(refusal, scope, receive, send)
                return
            await self.app(scope, receive, send)

    def _open(self, scope: Scope) -> bool:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        return scope["type"] == "http" and _needs_no_key(path, self.metrics_open)


def document(app: FastAPI, *, metrics_open: bool) -> None:
    """Have the OpenAPI document say which operations need a key, and what is said without one."""
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
    metrics.rejected("unauthorized")
    if secret is None:
        message, code, error = f"an API key is needed: {HOW}", "missing_api_key", ""
    else:
        message = "this API key is unknown here: ask whoever runs the server for one"
        code, error = "invalid_api_key", ', error="invalid_token"'
    headers = {"www-authenticate": f'Bearer realm="vocoder"{error}'}
    return Refusal(401, message, code=code, headers=headers)


async def refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request, or a WebSocket's handshake, with a refusal."""
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
