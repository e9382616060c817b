"""Allowed origins: by CORS headers over HTTP, by refusal over WebSockets."""

from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from serving import error_of
from starlette.middleware import Middleware
from starlette.testclient import WebSocketDenialResponse

from vocoder.server import errors, openapi
from vocoder.server.metrics import Metrics
from vocoder.server.middleware import origins as cors
from vocoder.server.middleware.origins import SocketOrigins
from vocoder.server.middleware.request_context import RequestContext

ORIGIN = "https://app.example"


def application(*origins: str) -> FastAPI:
    app = FastAPI(
        middleware=[
            *cors.cross_origin(origins),
            Middleware(RequestContext, metrics=Metrics()),
            Middleware(SocketOrigins, origins=origins),
        ]
    )
    errors.install(app)

    @app.post("/v1/audio/speech")
    async def speech() -> None:
        return None

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError

    @app.websocket("/socket")
    async def socket(connection: WebSocket) -> None:
        await connection.accept()
        await connection.close()

    return app


def test_by_default_no_other_origin_may_read() -> None:
    client = TestClient(application())
    answer = client.post("/v1/audio/speech", headers={"origin": ORIGIN})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    preflight = {"origin": ORIGIN, "access-control-request-method": "POST"}
    assert client.options("/v1/audio/speech", headers=preflight).status_code == 405


@pytest.mark.parametrize("origins", [(ORIGIN,), ("http://localhost:3000", ORIGIN), ("*",)])
def test_pages_of_an_allowed_origin_may_read(origins: tuple[str, ...]) -> None:
    client = TestClient(application(*origins))
    headers = {"origin": ORIGIN}
    answer = client.post("/v1/audio/speech", headers=headers)
    assert answer.headers["access-control-allow-origin"] in (ORIGIN, "*")
    assert "access-control-allow-credentials" not in answer.headers
    exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
    assert {name.lower() for name in openapi.HEADERS} | {"retry-after"} <= set(exposed)
    assert all(error in exposed for error in ("x-seed", "x-request-id"))
    preflight = client.options(
        "/v1/audio/speech",
        headers={
            **headers,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type,x-stainless-os",
        },
    )
    assert preflight.status_code == 200
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert "POST" in preflight.headers["access-control-allow-methods"]


@pytest.mark.parametrize("path", ["/none", "/broken"])
def test_errors_can_be_read_too(path: str) -> None:
    client = TestClient(application(ORIGIN), raise_server_exceptions=False)
    answer = client.get(path, headers={"origin": ORIGIN})
    assert answer.status_code >= 400
    assert answer.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize("origin", ["https://app.example.evil", "http://app.example", "null"])
def test_pages_of_another_origin_may_not(origin: str) -> None:
    client = TestClient(application(ORIGIN))
    answer = client.post("/v1/audio/speech", headers={"origin": origin})
    assert "access-control-allow-origin" not in answer.headers
    with (
        pytest.raises(WebSocketDenialResponse) as denial,
        client.websocket_connect("/socket", headers={"origin": origin}),
    ):
        pass
    error = error_of(denial.value, 403)
    assert error["code"] == "origin_not_allowed"
    assert "cors_origins" in error["message"]


@pytest.mark.parametrize(
    ("origin", "origins"),
    [
        (ORIGIN, (ORIGIN,)),
        (ORIGIN, ("*",)),
        (ORIGIN, ()),
        ("null", ()),
        ("http://testserver", (ORIGIN,)),
        ("https://testserver", (ORIGIN,)),
        (None, (ORIGIN,)),
    ],
)
def test_allowed_origins_of_websockets(origin: str | None, origins: tuple[str, ...]) -> None:
    client = TestClient(application(*origins))
    headers = {"origin": origin} if origin else {}
    with client.websocket_connect("/socket", headers=headers):
        pass


@pytest.mark.parametrize("origin", ["http://[", "", "testserver", "http://testserver:81", "\xe9"])
def test_malformed_origins_are_refused(origin: str) -> None:
    client = TestClient(application(ORIGIN))
    headers: Any = {"origin": origin.encode("latin-1")}
    with (
        pytest.raises(WebSocketDenialResponse) as denial,
        client.websocket_connect("/socket", headers=headers),
    ):
        pass
    error_of(denial.value, 403)
