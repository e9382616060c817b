"""Request ids, the log line, unexpected exceptions, and bodies over the limit on a real socket."""

import json
import logging
import socket

import pytest
from conftest import Live, features_of
from fastapi.testclient import TestClient
from server import logs
from server.app import create_app
from server.settings import ServerSettings

from vocoder.features import serialize
from vocoder.synthesizer import Synthesizer

URL = "/v1/audio/vocode"


@pytest.mark.parametrize("path", ["/healthz", "/none", "/v1/models/none"])
def test_an_id_comes_back(client: TestClient, path: str) -> None:
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


def test_one_line_a_request(
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


def test_an_unexpected_exception_shows_nothing_of_itself(
    settings: ServerSettings,
    synthesizer: Synthesizer,
    feature_file: bytes,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*args: object, **kwargs: object) -> object:
        raise KeyError("an internal detail")

    monkeypatch.setattr(synthesizer, "vocode", broken)
    with TestClient(create_app(settings, synthesizer)) as client:
        answer = client.post(URL, content=feature_file, headers={"x-request-id": "this"})
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "this"
    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("server_error", "internal_error", None)
    assert "this" in error["message"] and "detail" not in answer.text
    (logged,) = [record for record in caplog.records if record.exc_info]
    assert logged.fields == {"request_id": "this"}  # type: ignore[attr-defined]
    assert "an internal detail" in logs.JsonLines().format(logged)


@pytest.mark.parametrize("formatter", [logs.JsonLines(), logs.TextLines()])
def test_a_line_stays_a_line(formatter: logging.Formatter) -> None:
    record = logging.LogRecord("server", logging.INFO, "", 0, "request", None, None)
    record.fields = {"path": "/a\nb", "status": 200}
    line = formatter.format(record)
    assert "\n" not in line
    if isinstance(formatter, logs.JsonLines):
        assert json.loads(line)["path"] == "/a\nb"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_cut_off_and_answered(
    settings: ServerSettings, synthesizer: Synthesizer, live: Live, chunked: bool
) -> None:
    """An upload of 64 MB by a client that reads only when it has sent, or cannot send more."""
    length = "transfer-encoding: chunked" if chunked else f"content-length: {2**26}"
    head = f"POST {URL} HTTP/1.1\r\nhost: x\r\ncontent-type: application/octet-stream\r\n{length}"
    block = bytes(2**16)
    sent = 0
    with (
        live(create_app(settings, synthesizer)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as client,
    ):
        client.sendall(head.encode() + b"\r\n\r\n")
        client.setblocking(False)
        answer = b""
        while sent < 2**26 and not answer:
            try:
                client.sendall(b"10000\r\n" + block + b"\r\n" if chunked else block)
                sent += len(block)
            except BlockingIOError:
                break
            try:
                answer = client.recv(65536)
            except BlockingIOError:
                continue
        client.settimeout(10)
        while more := client.recv(65536):
            answer += more
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"body_too_large"' in answer
    assert b"connection: close" in answer
    assert sent < 2**26


def test_a_body_without_length_below_the_limit_is_read(client: TestClient) -> None:
    data = serialize(features_of(2))
    blocks = (data[i : i + 100] for i in range(0, len(data), 100))
    assert client.post(URL, content=blocks).status_code == 200


def test_a_body_without_length_over_the_limit_is_not_read_to_its_end(client: TestClient) -> None:
    answer = client.post(URL, content=(bytes(10_000) for _ in range(1000)))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"
