"""Helpers of API key tests: a key file, a stopped clock, and a guarded application."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request, WebSocket
from starlette.middleware import Middleware

from vocoder.server import errors
from vocoder.server.metrics import Metrics
from vocoder.server.middleware import api_keys as keys
from vocoder.server.middleware import rate_limits as limits
from vocoder.server.middleware.api_keys import Keyring
from vocoder.server.middleware.authentication import Authentication
from vocoder.server.middleware.request_context import RequestContext


class KeyFile:
    """A key file that entries can be added to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, str] = {}

    def add(self, name: str, **limits: int) -> str:
        secret, entry = keys.new(name, **limits)
        self.entries[name] = entry.to_toml()
        self.write()
        return secret

    def write(self) -> None:
        self.path.write_text("\n".join(self.entries.values()))


def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock for limits and file checks; its single element is the time."""
    now = [1000.0]
    for module in (limits, keys):
        monkeypatch.setattr(module, "monotonic", lambda: now[0])
    return now


def application(keyring: Keyring | None, *, metrics_open: bool = False) -> FastAPI:
    """An application that returns the key's name, and charges for characters."""
    metrics = Metrics()
    app = FastAPI(
        middleware=[
            Middleware(RequestContext, metrics=metrics),
            Middleware(Authentication, keyring=keyring, metrics=metrics, metrics_open=metrics_open),
        ],
        docs_url=None,
    )
    errors.install(app)

    @app.get("/")
    @app.get("/web/{name}")
    @app.get("/healthz")
    @app.get("/readyz")
    @app.get("/docs")
    @app.get("/docs/assets/a.js")
    @app.get("/metrics")
    @app.get("/v1/models")
    @app.get("/webs")
    @app.get("/docsx")
    async def ask(request: Request) -> dict[str, Any]:
        return {"name": request.state.key.name}

    @app.post("/v1/speak")
    async def speak(request: Request, characters: int) -> None:
        request.state.key.charge(characters)

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError

    @app.websocket("/socket")
    @app.websocket("/")
    async def socket(connection: WebSocket) -> None:
        await connection.accept(connection.state.subprotocol)
        await connection.send_text(str(connection.state.key.name))
        await connection.receive_text()

    return app


def bearer(secret: str) -> dict[str, str]:
    """The header with a key."""
    return {"authorization": f"Bearer {secret}"}
