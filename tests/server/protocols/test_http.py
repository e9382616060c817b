"""HTTP connections of hostile and careless clients, on real sockets."""

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import SPEECH_URL, live

from vocoder.server.app import create_app
from vocoder.server.protocols.limits import SAFE_S
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.voices.registry import VoiceRegistry

PATIENCE_S = 10.0
HEAD = b"GET /healthz HTTP/1.1\r\nhost: x\r\n"

Serve = Callable[..., "Server"]


class Server:
    """A running server and its metrics."""

    def __init__(self, port: int, service: Any) -> None:
        self.port, self.service = port, service

    def connect(self, sent: bytes = b"", *, buffer: int | None = None) -> socket.socket:
        client = socket.socket()
        if buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        client.settimeout(PATIENCE_S)
        client.connect(("127.0.0.1", self.port))
        client.sendall(sent)
        return client

    def limited(self, limit: str) -> int:
        return int(self.service.metrics.limits.labels(limit)._value.get())

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def is_well(self) -> bool:
        with self.connect(HEAD + b"connection: close\r\n\r\n") as client:
            return read_all(client).startswith(b"HTTP/1.1 200 ")


@pytest.fixture
def serve(voices_dir: Path, synthesizer: Synthesizer, registry: VoiceRegistry) -> Iterator[Serve]:
    with contextlib.ExitStack() as stack:

        def start(**given: Any) -> Server:
            settings = ServerSettings(voices_dir=voices_dir, max_streams=4, **given)
            app = create_app(settings, synthesizer, registry)
            return Server(stack.enter_context(live(app)), app.state.service)

        yield start


def read_all(client: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while more := client.recv(65536):
            found += more
    return found


def error_in(answer: bytes, status: int) -> str:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert b"connection: close" in head
    return str(json.loads(body)["error"]["code"])


def request(path: str, body: bytes, version: str = "1.1", length: int | None = None) -> bytes:
    lines = (
        f"POST {path} HTTP/{version}",
        "host: x",
        "content-type: application/json",
        f"content-length: {len(body) if length is None else length}",
    )
    return "\r\n".join([*lines, "", ""]).encode() + body


def speech(**options: Any) -> bytes:
    return json.dumps({"input": "Hello there.", "seed": 1, **options}).encode()


def test_an_endless_head_is_refused_at_its_limit(serve: Serve) -> None:
    server = serve()
    with server.connect() as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(HEAD + b"x-long: ")
            for _ in range(64):
                client.sendall(b"a" * 2**14)
        answer = read_all(client)
    assert not answer or error_in(answer, 431) == "head_too_large"
    server.until(lambda: server.limited("head_too_large") == 1)
    assert server.is_well()


def test_a_head_a_little_over_the_limit_gets_an_answer(serve: Serve) -> None:
    server = serve(max_head_bytes=8192)
    with server.connect(HEAD + b"x-long: " + b"a" * 9000) as client:
        assert error_in(read_all(client), 431) == "head_too_large"
    with server.connect(
        HEAD + b"x-long: " + b"a" * 7000 + b"\r\nconnection: close\r\n\r\n"
    ) as client:
        assert b" 200 " in read_all(client)


def test_endless_trailers_are_refused(serve: Serve) -> None:
    server = serve(max_head_bytes=8192)
    head = f"POST {SPEECH_URL} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    with server.connect(head.encode() + b"1\r\n{\r\n0\r\nx-trailer: ") as client:
        with contextlib.suppress(ConnectionError):
            for _ in range(16):
                client.sendall(b"a" * 4096)
        read_all(client)
    server.until(lambda: server.limited("head_too_large") == 1)


@pytest.mark.parametrize(
    ("sent", "answered"), [(b"", False), (b"\r\n", True), (HEAD, True), (b"GET", True)]
)
def test_a_head_that_does_not_arrive_is_given_up(serve: Serve, sent: bytes, answered: bool) -> None:
    server = serve(head_timeout_s=0.3)
    with server.connect(sent) as client:
        answer = read_all(client)
    assert (error_in(answer, 408) if answered else answer) == ("head_timeout" if answered else b"")
    assert server.limited("head_timeout") == 1


def test_blank_lines_do_not_keep_an_idle_connection_open(serve: Serve) -> None:
    server = serve(head_timeout_s=0.5)
    deadline = time.monotonic() + PATIENCE_S
    with server.connect(HEAD + b"\r\n") as client, contextlib.suppress(ConnectionError):
        while not server.limited("head_timeout"):
            client.sendall(b"\r\n")
            time.sleep(0.05)
            assert time.monotonic() < deadline


def test_a_body_that_stands_still_is_given_up(serve: Serve) -> None:
    server = serve(stalled_s=0.3)
    with server.connect(request(SPEECH_URL, b'{"input":', length=1000)) as client:
        assert error_in(read_all(client), 408) == "body_timeout"
    assert server.limited("body_timeout") == 1
    server.until(lambda: not server.service.admission.streams)
    assert server.is_well()


def test_a_client_that_sends_on_after_the_answer_is_closed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vocoder.server.protocols.http.LEFTOVER_S", 0.3)
    server = serve()
    with server.connect(request("/healthz", b"", length=1000)) as client:
        assert b" 405 " in client.recv(4096)
        assert read_all(client) == b""


def test_a_reader_that_stalls_gives_its_place_back(serve: Serve) -> None:
    server = serve(stalled_s=0.5)
    body = speech(input="Hello there. It works. " * 500, response_format="pcm")
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(server.connect(request(SPEECH_URL, body), buffer=4096))
        server.until(lambda: server.service.admission.streams == 4)
        server.until(lambda: server.service.admission.streams == 0)
    assert server.limited("response_stalled") == 4


def test_a_slow_reader_gets_all(serve: Serve) -> None:
    server = serve(stalled_s=0.2)
    body = speech(input="Hello there. It works. " * 20, response_format="pcm")
    with server.connect(request(SPEECH_URL, body, "1.0"), buffer=4096) as client:
        slow = b""
        while more := client.recv(4096):
            slow += more
            time.sleep(0.005)
    with server.connect(request(SPEECH_URL, body, "1.0")) as client:
        assert slow.partition(b"\r\n\r\n")[2] == read_all(client).partition(b"\r\n\r\n")[2]
    assert server.limited("response_stalled") == 0


def test_a_client_of_http_1_0_gets_the_audio_and_the_end(serve: Serve) -> None:
    server = serve()
    with server.connect(request(SPEECH_URL, speech(response_format="pcm"), "1.0")) as client:
        head, _, streamed = read_all(client).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    whole = request(SPEECH_URL, speech(response_format="pcm", stream=False), "1.0")
    with server.connect(whole) as client:
        assert streamed == read_all(client).partition(b"\r\n\r\n")[2]
    assert streamed


def test_connections_beyond_the_limit_displace_idle_ones(serve: Serve) -> None:
    server = serve(max_connections=4)
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(server.connect(HEAD)) for _ in range(4)]
        assert not server.is_well()
        time.sleep(SAFE_S)
        assert server.is_well()
        assert read_all(idle[0]) == b""
    assert server.limited("connections") == 2


def test_connections_beyond_the_limit_are_refused_if_none_is_idle(serve: Serve) -> None:
    server = serve(max_connections=2)
    body = speech(input="Hello there. It works. " * 500, response_format="pcm")
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(server.connect(request(SPEECH_URL, body), buffer=4096))
        server.until(lambda: server.service.admission.streams == 2)
        with server.connect(HEAD) as client:
            answer = read_all(client)
        assert error_in(answer, 503) == "connections"
        assert b"retry-after: 5" in answer
    server.until(server.is_well)


def test_connections_of_one_address_are_limited(serve: Serve) -> None:
    server = serve(max_connections_per_address=2, trusted_proxies=())
    with server.connect(HEAD), server.connect(HEAD), server.connect(HEAD) as third:
        assert error_in(read_all(third), 503) == "connections_per_address"
    server.until(server.is_well)


def test_what_is_not_http_is_answered_in_the_common_format(serve: Serve) -> None:
    server = serve()
    with server.connect(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03") as client:
        assert error_in(read_all(client), 400) == "invalid_http"
