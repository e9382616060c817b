"""Bodies over the limit on a real socket: the client always gets the answer."""

import socket
import time

import pytest
from fastapi.testclient import TestClient
from serving import VOCODE_URL as URL
from serving import features_of, live

from vocoder.features.feature_file import serialize
from vocoder.server.app import create_app
from vocoder.server.middleware import body_limit
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.synthesizer import Synthesizer

MEBIBYTE = 2**20


def ask(port: int, length: str) -> socket.socket:
    """A connection that has sent a request's headers."""
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    head = f"POST {URL} HTTP/1.1\r\nhost: x\r\ncontent-type: application/octet-stream\r\n{length}"
    client.sendall(head.encode() + b"\r\n\r\n")
    return client


def read_413(client: socket.socket) -> None:
    answer = b""
    while not answer.endswith(b"}}"):
        more = client.recv(65536)
        assert more, answer
        answer += more
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer
    assert b'"code":"body_too_large"' in answer


def test_a_length_over_the_limit_is_answered_before_the_body(
    settings: ServerSettings, synthesizer: Synthesizer
) -> None:
    app = create_app(settings, synthesizer)
    with live(app) as port, ask(port, f"content-length: {4 * MEBIBYTE}") as client:
        read_413(client)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_reads_only_after_its_upload_gets_the_answer(
    settings: ServerSettings, synthesizer: Synthesizer, chunked: bool
) -> None:
    length = "transfer-encoding: chunked" if chunked else f"content-length: {4 * MEBIBYTE}"
    app = create_app(settings, synthesizer)
    with live(app) as port, ask(port, length) as client:
        for _ in range(4):
            client.sendall(b"100000\r\n" * chunked + bytes(MEBIBYTE) + b"\r\n" * chunked)
        read_413(client)


def send_blocks(client: socket.socket, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        client.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")


def test_an_endless_upload_is_cut_off(
    settings: ServerSettings, synthesizer: Synthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_limit, "LINGER_S", 0.1)
    app = create_app(settings, synthesizer)
    cut_off = pytest.raises((BrokenPipeError, ConnectionResetError))
    with live(app) as port, ask(port, "transfer-encoding: chunked") as client, cut_off:
        send_blocks(client, seconds=10)


def test_a_body_without_length_below_the_limit_is_read(client: TestClient) -> None:
    data = serialize(features_of(2))
    blocks = (data[i : i + 100] for i in range(0, len(data), 100))
    assert client.post(URL, content=blocks).status_code == 200


def test_a_body_without_length_over_the_limit_is_not_read_to_its_end(client: TestClient) -> None:
    answer = client.post(URL, content=(bytes(10_000) for _ in range(1000)))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"
