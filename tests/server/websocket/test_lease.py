"""Slots of WebSockets, and what is left after they close: slots, rows, tasks."""

import asyncio
import contextlib
import json
import socket as sockets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from fastapi import FastAPI
from serving import features_of, live
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from vocoder.server.app import create_app
from vocoder.server.middleware import rate_limits
from vocoder.server.service.service import Service
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.synthesizer import Synthesizer

PATIENCE_S = 20.0
LONG = "This is a long text, and it takes a while to say all of it. " * 30


class Server:
    """A running application, and its resources."""

    def __init__(self, app: FastAPI, port: int) -> None:
        self.service: Service = app.state.service
        self.url = f"127.0.0.1:{port}"

    @contextlib.contextmanager
    def socket(self, **options: Any) -> Iterator[ClientConnection]:
        query = urlencode({"seed": 1, **options.pop("query", {})})
        url = f"ws://{self.url}/v1/audio/stream?{query}"
        with connect(url, proxy=None, **options) as connection:
            yield connection

    @property
    def holds(self) -> tuple[int, int, int]:
        """Slots, streams of the batch, connections."""
        service = self.service
        return service.admission.streams, service.streaming.load().streams, service.draining.running

    def settles(self) -> None:
        until(lambda: self.holds == (0, 0, 0))


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextlib.contextmanager
def serving(voices_dir: Path, synthesizer: Synthesizer, **options: Any) -> Iterator[Server]:
    settings = ServerSettings(voices_dir=voices_dir, **{"max_streams": 2, **options})
    app = create_app(settings, synthesizer)
    with live(app) as port:
        server = Server(app, port)
        until(lambda: server.service.readiness.loaded)
        yield server


@pytest.fixture
def server(voices_dir: Path, synthesizer: Synthesizer) -> Iterator[Server]:
    with serving(voices_dir, synthesizer) as server:
        yield server


def send(connection: ClientConnection, kind: str, **fields: object) -> None:
    connection.send(json.dumps({"type": kind, **fields}))


def receive(connection: ClientConnection) -> dict[str, Any]:
    """The next message, skipping audio."""
    found: dict[str, Any] = {"type": "Audio"}
    while found["type"] == "Audio":
        message = connection.recv(timeout=PATIENCE_S)
        found = {"type": "Audio"} if isinstance(message, bytes) else json.loads(message)
    return found


def test_a_full_server_refuses_the_handshake_at_once(server: Server) -> None:
    with server.socket(), server.socket():
        start = time.perf_counter()
        with pytest.raises(InvalidStatus) as caught, server.socket():
            pass
        assert time.perf_counter() - start < 1.0
        answer = caught.value.response
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1
        error = json.loads(answer.body)["error"]
        assert (error["type"], error["code"]) == ("overloaded_error", "overloaded")
    server.settles()


def test_each_context_needs_its_own_slot(server: Server) -> None:
    with server.socket() as first:
        for name in ("a", "b", "c"):
            send(first, "Speak", text=LONG, context_id=name)
        found = [receive(first) for _ in range(3)]
        assert [message["type"] for message in found] == ["Metadata", "Metadata", "Error"]
        assert (found[2]["context_id"], found[2]["error"]["code"]) == ("c", "overloaded")
        assert found[2]["retry_after_s"] >= 1
        send(first, "Cancel", context_id="a")
        assert receive(first)["type"] == "Cancelled"
        send(first, "Speak", text="Now there is room.", context_id="c")
        assert receive(first)["type"] == "Metadata"
    server.settles()


def test_an_idle_connection_releases_its_slot(voices_dir: Path, synthesizer: Synthesizer) -> None:
    with serving(voices_dir, synthesizer, idle_slot_s=0.2, max_streams=1) as server:
        with server.socket() as first:
            until(lambda: server.service.admission.streams == 0)  # It has said nothing at all.
            send(first, "Speak", text="Hello there. It is an unfinished")
            assert receive(first)["type"] == "Metadata"
            until(lambda: server.service.admission.streams == 0)  # It waits for the rest.
            with server.socket() as second:
                send(second, "Speak", text=LONG)
                assert receive(second)["type"] == "Metadata"
                send(first, "Speak", text=" thing")
                error = receive(first)
                assert (error["type"], error["error"]["code"]) == ("Error", "overloaded")
            until(lambda: server.service.admission.streams == 0)
            send(first, "Speak", text=" thing.")
            send(first, "Flush")
            assert receive(first)["type"] == "Flushed"
        server.settles()


@pytest.mark.parametrize("moment", ["at once", "in a text", "in features", "while it is sent"])
@pytest.mark.parametrize("reset", [False, True])
def test_a_disconnected_client_leaves_nothing_behind(
    server: Server, moment: str, reset: bool
) -> None:
    before = server.service.metrics.streams._value.get()
    with contextlib.suppress(ConnectionClosed, OSError), server.socket(max_queue=1) as connection:
        if moment == "in features":
            send(connection, "Start", input="features")
            connection.send(features_of(4).mel.T.contiguous().numpy().tobytes())
        elif moment != "at once":
            send(connection, "Speak", text="One. Two" if moment == "in a text" else LONG * 10)
            assert receive(connection)["type"] == "Metadata"
        raw = connection.socket
        if reset:
            raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        raw.close()
    server.settles()
    assert server.service.metrics.streams._value.get() == before


def test_a_hundred_disconnected_clients_leave_nothing_behind(server: Server) -> None:
    tasks = len(_tasks(server))
    for number in range(100):
        gone = contextlib.suppress(ConnectionClosed, OSError, InvalidStatus)
        with gone, server.socket() as connection:
            send(connection, "Speak", text=LONG, context_id=str(number))
            connection.socket.close()
    server.settles()
    until(lambda: len(_tasks(server)) <= tasks + 2)


def _tasks(server: Server) -> set[asyncio.Task[Any]]:
    loop = server.service.readiness._loading.get_loop()  # type: ignore[union-attr]
    return asyncio.all_tasks(loop)


@contextlib.contextmanager
def unread(server: Server) -> Iterator[ClientConnection]:
    """A client that requests much and reads nothing."""
    raw = sockets.socket()
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
    options: dict[str, Any] = {"max_queue": 1, "sock": raw, "query": {"sample_rate": 48000}}
    with contextlib.suppress(ConnectionClosed), server.socket(**options) as connection:
        for _ in range(20):
            send(connection, "Speak", text=LONG)
        send(connection, "Flush")
        yield connection
        connection.socket.close()


def test_a_client_that_stops_reading_is_paused_and_loses_its_slot(
    voices_dir: Path, synthesizer: Synthesizer
) -> None:
    with serving(voices_dir, synthesizer, idle_slot_s=0.3, max_streams=1) as server:
        with unread(server):
            until(lambda: server.service.streaming.load().rows > 0)
            until(lambda: server.service.admission.streams == 0)
            heard_s = server.service.metrics.audio_seconds._value.get()
            with server.socket() as other:
                send(other, "Speak", text="Hello there.")
                send(other, "Flush")
                assert [receive(other)["type"] for _ in range(2)] == ["Metadata", "Flushed"]
            assert server.service.metrics.audio_seconds._value.get() < heard_s + 20
        server.settles()


def test_a_client_that_reads_nothing_for_long_is_disconnected(
    voices_dir: Path, synthesizer: Synthesizer
) -> None:
    with serving(voices_dir, synthesizer, stalled_s=0.3) as server, unread(server):
        server.settles()


def test_an_unexpected_error_is_logged_and_closes(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(Service, "listen", broken)
    with server.socket() as connection:
        send(connection, "Speak", text="Hello")
        assert receive(connection)["type"] == "Metadata"
        error = receive(connection)["error"]
        assert (error["type"], error["code"]) == ("server_error", "internal_error")
        with pytest.raises(ConnectionClosed):
            receive(connection)
        assert connection.close_code == 1011
    server.settles()
    assert "planted" in caplog.text


def test_a_message_that_is_too_big_closes(voices_dir: Path, synthesizer: Synthesizer) -> None:
    with serving(voices_dir, synthesizer, max_body_bytes=1000) as server:
        with server.socket() as connection:
            send(connection, "Speak", text="a" * 1000)
            assert receive(connection)["error"]["code"] == "message_too_big"
            with pytest.raises(ConnectionClosed):
                receive(connection)
            assert connection.close_code == 1009
        server.settles()


def test_everything_is_spoken_before_the_server_stops(server: Server) -> None:
    text = "Hello there. This is the end"
    with server.socket() as speaking, server.socket() as silent:
        send(speaking, "Speak", text=text)
        assert receive(speaking)["type"] == "Metadata"
        loop = server.service.readiness._loading.get_loop()  # type: ignore[union-attr]
        loop.call_soon_threadsafe(server.service.draining.set)
        audio, kinds = b"", []
        with contextlib.suppress(ConnectionClosed):
            for message in speaking:
                if isinstance(message, bytes):
                    audio += message
                else:
                    kinds.append(json.loads(message)["type"])
        with pytest.raises(ConnectionClosed):
            silent.recv(timeout=PATIENCE_S)
        assert (speaking.close_code, silent.close_code) == (1012, 1012)
        assert kinds == ["Flushed"]
        with pytest.raises(InvalidStatus) as caught, server.socket():
            pass
        assert caught.value.response.status_code == 503
    server.settles()
    assert len(audio) > 16 * 40 * 10


def test_characters_are_charged_to_the_key(
    voices_dir: Path, synthesizer: Synthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    charged: list[int] = []
    monkeypatch.setattr(
        rate_limits.ApiClient,
        "charge",
        lambda _, count: charged.append(count),
    )
    with serving(voices_dir, synthesizer) as server, server.socket() as connection:
        for text in ("Hello ", "there.", ""):
            send(connection, "Speak", text=text)
        send(connection, "Flush")
        assert [receive(connection)["type"] for _ in range(2)] == ["Metadata", "Flushed"]
    assert charged == [6, 6]


def test_many_listeners_at_once_hear_what_one_hears(
    voices_dir: Path, synthesizer: Synthesizer
) -> None:
    heard: dict[int, bytes] = {}

    def listen(number: int) -> None:
        with server.socket() as connection:
            send(connection, "Speak", text=LONG[:300])
            send(connection, "Close")
            heard[number] = b"".join(m for m in connection if isinstance(m, bytes))

    with serving(voices_dir, synthesizer, max_streams=16) as server:
        body = {"input": LONG[:300], "seed": 1, "response_format": "pcm", "sample_rate": 8000}
        expected = httpx2.post(
            f"http://{server.url}/v1/audio/speech", json=body, timeout=60
        ).content
        threads = [threading.Thread(target=listen, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        server.settles()
    assert heard == dict.fromkeys(range(12), expected)
