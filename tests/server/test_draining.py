"""Graceful shutdown: not ready at once, new work refused, running streams completed."""

import asyncio
import contextlib
import json
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http.client import HTTPConnection

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from vocoder.server import draining
from vocoder.server.draining import Draining, DrainingServer
from vocoder.server.metrics import Metrics
from vocoder.server.middleware.draining_gate import DrainingGate

PATIENCE_S = 10.0
TICKS_S = 0.3
"""Long enough for a server to stop if it does not wait."""


class Stage:
    """A running application whose streams send a part whenever the test allows one."""

    def __init__(self, grace_s: float) -> None:
        self.draining = Draining()
        self.parts = threading.Semaphore(0)
        gate = Middleware(DrainingGate, draining=self.draining, metrics=Metrics(), retry_after_s=7)
        routes = [
            Route("/stream", self._stream),
            Route("/healthz", self._health),
            WebSocketRoute("/socket", self._socket),
        ]
        app = Starlette(routes=routes, middleware=[gate])
        config = uvicorn.Config(app, port=0, log_config=None, access_log=False)
        self.server = DrainingServer(config, self.draining, grace_s=grace_s)
        self._thread = threading.Thread(target=self.server.run)
        self._clients: list[HTTPConnection] = []

    async def _allowed(self) -> None:
        while not self.parts.acquire(blocking=False):
            await asyncio.sleep(0.002)

    async def _stream(self, request: object) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            for part in (b"one ", b"two ", b"three"):
                await self._allowed()
                yield part

        return StreamingResponse(parts())

    async def _health(self, request: object) -> Response:
        return PlainTextResponse("ok")

    async def _socket(self, socket: WebSocket) -> None:
        """Sends three parts on request, and closes when it is idle and the server drains."""
        await socket.accept()
        gone = asyncio.create_task(self.draining.wait())
        while not gone.done():
            told = asyncio.create_task(socket.receive_text())
            await asyncio.wait({told, gone}, return_when=asyncio.FIRST_COMPLETED)
            if told.done() and not told.exception():
                for part in ("one", "two", "three"):
                    await self._allowed()
                    await socket.send_text(part)
            told.cancel()
        await socket.close(1001)

    @property
    def port(self) -> int:
        port: int = self.server.servers[0].sockets[0].getsockname()[1]
        return port

    @property
    def stopped(self) -> bool:
        return not self._thread.is_alive()

    @contextlib.contextmanager
    def served(self) -> Iterator["Stage"]:
        self._thread.start()
        try:
            self.until(lambda: self.server.started)
            yield self
        finally:
            self.parts.release(100)
            self.server.should_exit = True
            for client in self._clients:
                client.close()
            self._thread.join(PATIENCE_S)
            assert self.stopped

    def stop(self) -> None:
        """Do what the signal does."""
        self.server.handle_exit(signal.SIGTERM, None)
        self.until(self.draining.is_set)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.002)

    def ask(self, path: str) -> HTTPConnection:
        client = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        client.request("GET", path)
        self._clients.append(client)
        return client


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage(grace_s=30).served() as stage:
        yield stage


def test_running_streams_finish_and_new_ones_are_refused(stage: Stage) -> None:
    running = stage.ask("/stream")
    stage.parts.release()
    answer = running.getresponse()
    assert answer.read(4) == b"one "
    stage.stop()

    refused = stage.ask("/stream").getresponse()
    assert refused.status == 503
    assert (refused.headers["retry-after"], refused.headers["connection"]) == ("7", "close")
    assert json.loads(refused.read())["error"]["code"] == "draining"
    assert stage.ask("/healthz").getresponse().status == 200
    with pytest.raises(InvalidStatus) as denied:
        connect(f"ws://127.0.0.1:{stage.port}/socket")
    assert denied.value.response.status_code == 503
    assert denied.value.response.headers["retry-after"] == "7"

    time.sleep(TICKS_S)
    assert not stage.stopped
    stage.parts.release(2)
    assert answer.read() == b"two three"
    stage.until(lambda: stage.stopped)


def test_a_speaking_socket_finishes_and_an_idle_one_closes(stage: Stage) -> None:
    url = f"ws://127.0.0.1:{stage.port}/socket"
    with connect(url) as idle, connect(url) as speaking:
        speaking.send("speak")
        stage.parts.release()
        assert speaking.recv() == "one"
        stage.stop()
        with pytest.raises(ConnectionClosed) as closed:
            idle.recv(timeout=PATIENCE_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        time.sleep(TICKS_S)
        assert not stage.stopped
        stage.parts.release(2)
        assert [speaking.recv(), speaking.recv()] == ["two", "three"]
        with pytest.raises(ConnectionClosed):
            speaking.recv(timeout=PATIENCE_S)
        stage.until(lambda: stage.stopped)


def test_an_idle_server_stops_at_once(stage: Stage) -> None:
    client = stage.ask("/healthz")  # Its connection stays open, and is nobody's work.
    client.getresponse().read()
    start = time.monotonic()
    stage.stop()
    stage.until(lambda: stage.stopped)
    assert time.monotonic() - start < 2.0


def test_the_grace_period_ends() -> None:
    with Stage(grace_s=0.3).served() as stage:
        stage.ask("/stream")
        stage.until(lambda: stage.draining.running == 1)
        stage.stop()
        stage.until(lambda: stage.stopped)


def test_a_second_signal_stops_at_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stage.ask("/stream")
    stage.until(lambda: stage.draining.running == 1)
    stage.stop()
    stage.stop()  # So soon after, it is the same one sent twice.
    time.sleep(TICKS_S)
    assert not stage.stopped
    monkeypatch.setattr(draining, "REPEAT_S", 0.0)
    start = time.monotonic()
    stage.stop()
    stage.until(lambda: stage.stopped)
    assert time.monotonic() - start < 2.0


def test_draining_begins_with_the_signal_and_not_the_next_tick(stage: Stage) -> None:
    stage.ask("/stream")
    stage.until(lambda: stage.draining.running == 1)
    start = time.monotonic()
    stage.stop()
    assert time.monotonic() - start < 0.09
