"""Request ids, log lines and unexpected exceptions, of requests and WebSocket connections."""

import contextlib
import json
import logging

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from fastapi.testclient import TestClient
from serving import VOCODE_URL as URL
from starlette.middleware import Middleware
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from vocoder.server import logs
from vocoder.server.app import create_app
from vocoder.server.errors import error_response
from vocoder.server.metrics import Metrics
from vocoder.server.middleware.request_context import RequestContext
from vocoder.server.service.service import Service
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.synthesizer import Synthesizer


@pytest.mark.parametrize("path", ["/healthz", "/none", "/v1/models/none"])
def test_a_clients_request_id_is_returned(client: TestClient, path: str) -> None:
    answer = client.get(path, headers={"x-request-id": "abc-123"})
    assert answer.headers["x-request-id"] == "abc-123"


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\tb", "\xe9"])
def test_an_id_that_is_long_or_unprintable_is_replaced(client: TestClient, given: str) -> None:
    headers = [(b"x-request-id", given.encode("latin-1"))]
    first, second = (client.get("/healthz", headers=headers).headers for _ in range(2))
    assert len(first["x-request-id"]) == 32
    assert first["x-request-id"] != second["x-request-id"]


def request_lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [record.fields for record in caplog.records if record.message == "request"]  # type: ignore[attr-defined]


def test_one_log_line_per_request(
    client: TestClient, feature_file: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client.post(f"{URL}?seed=5", content=feature_file, headers={"x-request-id": "this"})
    (line,) = request_lines(caplog)
    assert line["request_id"] == "this"
    assert (line["method"], line["path"], line["status"]) == ("POST", URL, 200)
    assert (line["voice"], line["speaker"], line["seed"]) == ("arctic", "slt", 5)
    assert line["audio_s"] == 0.015
    assert {"duration_ms", "queue_ms", "generation_ms"} <= set(line)


def test_an_unexpected_exception_reveals_no_details(
    settings: ServerSettings,
    synthesizer: Synthesizer,
    feature_file: bytes,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*args: object, **kwargs: object) -> object:
        raise KeyError("an internal detail")

    monkeypatch.setattr(Service, "listen", broken)
    monkeypatch.setattr(synthesizer, "warm_up", lambda voice: None)
    with TestClient(create_app(settings, synthesizer)) as client:
        answer = client.post(URL, content=feature_file, headers={"x-request-id": "this"})
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "this"
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("server_error", "internal_error")
    assert "this" in error["message"]
    assert "detail" not in answer.text
    (logged,) = [record for record in caplog.records if record.exc_info]
    assert logged.fields == {"request_id": "this"}  # type: ignore[attr-defined]
    assert "an internal detail" in logs.JsonLines().format(logged)


@pytest.mark.parametrize("formatter", [logs.JsonLines(), logs.TextLines()])
def test_newlines_in_values_do_not_break_log_lines(formatter: logging.Formatter) -> None:
    record = logging.LogRecord("vocoder.server", logging.INFO, "", 0, "request", None, None)
    record.fields = {"path": "/a\nb", "status": 200}
    line = formatter.format(record)
    assert "\n" not in line
    if isinstance(formatter, logs.JsonLines):
        assert json.loads(line)["path"] == "/a\nb"


def counted(metrics: Metrics, path: str, status: int) -> float:
    value = metrics.registry.get_sample_value(
        "vocoder_requests_total", {"path": path, "status": str(status)}
    )
    return value or 0.0


@pytest.mark.parametrize(
    ("method", "path", "template", "status"),
    [
        ("GET", "/v1/models/arctic", "/v1/models/{model}", 200),
        ("GET", "/v1/models/none", "/v1/models/{model}", 404),
        ("PUT", "/v1/models/none", "/v1/models/{model}", 405),
        ("GET", "/v1/../none/%00/x", "unmatched", 404),
        ("GET", "/docs", "/docs", 200),
        ("GET", "/docs/assets/none.js", "/docs/assets", 404),
        ("GET", "/openapi.json", "/openapi.json", 200),
    ],
)
def test_requests_are_counted_by_the_template_of_their_route(
    client: TestClient, method: str, path: str, template: str, status: int
) -> None:
    metrics = client.app.state.service.metrics  # type: ignore[attr-defined]
    before = counted(metrics, template, status)
    assert client.request(method, path).status_code == status
    assert counted(metrics, template, status) == before + 1


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def sockets(metrics: Metrics) -> TestClient:
    """Connections that end in every way; the path says how."""
    router = APIRouter(prefix="/ends")

    @router.websocket("/{how}")
    async def end(socket: WebSocket, how: str) -> None:
        socket.state.log["spoken"] = 3
        if how == "denied":
            await socket.send_denial_response(error_response(429, "full", code="overloaded"))
        elif how == "unaccepted":
            await socket.close(1008)
        elif how == "broken early":
            raise KeyError("an internal detail")
        else:
            await socket.accept(headers=[(b"x-own", b"1")])
            await socket.send_text(socket.state.request_id)
            if how == "closed":
                await socket.close(4000)
            elif how == "broken":
                raise KeyError("an internal detail")
            with contextlib.suppress(*(() if how == "left" else (WebSocketDisconnect,))):
                await socket.receive_text()

    app = FastAPI(middleware=[Middleware(RequestContext, metrics)])
    app.include_router(router)
    return TestClient(app)


@pytest.mark.parametrize("how", ["left", "left and noticed"])
def test_a_connection_has_an_id_and_one_line(
    sockets: TestClient, metrics: Metrics, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vocoder.server")
    before = counted(metrics, "/ends/{how}", 101)
    with sockets.websocket_connect(f"/ends/{how}", headers={"x-request-id": "this"}) as socket:
        headers = dict(socket.extra_headers or ())
        assert headers == {b"x-own": b"1", b"x-request-id": b"this"}
        assert socket.receive_text() == "this"
        assert not caplog.records
        socket.close(4001)
    (record,) = caplog.records
    assert record.message == "websocket"
    line = record.fields  # type: ignore[attr-defined]
    assert (line["request_id"], line["path"], line["spoken"]) == ("this", f"/ends/{how}", 3)
    assert (line["status"], line["close_code"]) == (101, 4001)
    assert line["duration_ms"] >= 0
    assert counted(metrics, "/ends/{how}", 101) == before + 1


def test_a_connection_closed_by_the_server(
    sockets: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vocoder.server")
    with sockets.websocket_connect("/ends/closed") as socket:
        assert len(socket.receive_text()) == 32
        with pytest.raises(WebSocketDisconnect):
            socket.receive_text()
    (line,) = (record.fields for record in caplog.records if record.message == "websocket")  # type: ignore[attr-defined]
    assert (line["status"], line["close_code"]) == (101, 4000)


@pytest.mark.parametrize(("how", "status"), [("denied", 429), ("broken early", 500)])
def test_a_denied_connection(
    sockets: TestClient, metrics: Metrics, how: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vocoder.server")
    before = counted(metrics, "/ends/{how}", status)
    with (
        pytest.raises(WebSocketDenialResponse) as denied,
        sockets.websocket_connect(f"/ends/{how}", headers={"x-request-id": "this"}),
    ):
        pass
    assert denied.value.status_code == status
    assert denied.value.headers["x-request-id"] == "this"
    assert "detail" not in denied.value.text
    assert counted(metrics, "/ends/{how}", status) == before + 1
    (line,) = (record.fields for record in caplog.records if record.message == "websocket")  # type: ignore[attr-defined]
    assert line["status"] == status
    assert "close_code" not in line


def test_a_connection_closed_before_the_accept(
    sockets: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vocoder.server")
    with pytest.raises(WebSocketDisconnect), sockets.websocket_connect("/ends/unaccepted"):
        pass
    (line,) = (record.fields for record in caplog.records if record.message == "websocket")  # type: ignore[attr-defined]
    assert line["status"] == 403


def test_an_unexpected_exception_closes_the_connection(
    sockets: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vocoder.server")
    with sockets.websocket_connect("/ends/broken") as socket:
        request_id = socket.receive_text()
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
    assert closed.value.code == 1011
    logged, line = caplog.records
    assert logged.exc_info
    assert logged.fields == {"request_id": request_id}  # type: ignore[attr-defined]
    assert (line.fields["status"], line.fields["close_code"]) == (101, 1011)  # type: ignore[attr-defined]
