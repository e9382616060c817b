"""Workers share connections evenly, and stopping workers leave them to the others."""

import asyncio
import contextlib
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from vocoder.server.draining import Draining
from vocoder.server.sockets import listen
from vocoder.server.workers.connection_sharing import ConnectionSharing, SharingServer
from vocoder.server.workers.load_table import ABSENT, LoadTable

PATIENCE_S = 10.0


class Worker:
    """A worker in a thread that answers with its index."""

    def __init__(self, loads: LoadTable, number: int, cores: int) -> None:
        self.number = number
        self.draining = Draining()
        self.may_start, self.started = threading.Event(), threading.Event()
        self.trouble: str | None = None
        routes = [Route("/", self._answer)]
        config = uvicorn.Config(Starlette(routes=routes), log_config=None, access_log=False)
        self.server = SharingServer(
            config,
            self.draining,
            ConnectionSharing(loads, number, cores),
            grace_s=0.2,
            on_started=self.started.set,
            ready=self._ready,
            unhealthy=lambda: self.trouble,
        )

    async def _ready(self) -> None:
        while not self.may_start.is_set():
            await asyncio.sleep(0.002)

    async def _answer(self, request: object) -> Response:
        return PlainTextResponse(str(self.number))


class Stage:
    """Workers with the given numbers of cores, on one socket."""

    def __init__(self, folder: Path, *cores: int) -> None:
        loads = LoadTable(folder / "loads", len(cores))
        for number in range(len(cores)):
            loads[number] = ABSENT
        self.listener = listen("127.0.0.1", 0)
        self.workers = [
            Worker(LoadTable(folder / "loads", len(cores)), number, count)
            for number, count in enumerate(cores)
        ]
        self.threads = [
            threading.Thread(target=worker.server.run, args=([self.listener.dup()],))
            for worker in self.workers
        ]
        self.clients: list[HTTPConnection] = []

    @contextlib.contextmanager
    def served(self) -> Iterator["Stage"]:
        for thread in self.threads:
            thread.start()
        try:
            yield self
        finally:
            for client in self.clients:
                client.close()
            for worker in self.workers:
                worker.may_start.set()
                worker.server.should_exit = True
            for thread in self.threads:
                thread.join(PATIENCE_S)
                assert not thread.is_alive()
            self.listener.close()

    def start(self, *workers: Worker) -> None:
        for worker in workers or self.workers:
            worker.may_start.set()
            assert worker.started.wait(PATIENCE_S)

    def connect(self, count: int) -> Counter[int]:
        """How many of ``count`` more clients each worker serves; they stay connected."""
        port = self.listener.getsockname()[1]
        clients = [HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S) for _ in range(count)]
        self.clients += clients
        for client in clients:
            client.connect()
        for client in clients:
            client.request("GET", "/")
        return Counter(int(client.getresponse().read()) for client in clients)


def test_a_burst_is_distributed_evenly(tmp_path: Path) -> None:
    with Stage(tmp_path, 1, 1).served() as stage:
        stage.start()
        served = stage.connect(40)
        assert abs(served[0] - served[1]) <= 8, served


def test_a_worker_with_more_cores_takes_more(tmp_path: Path) -> None:
    with Stage(tmp_path, 1, 3).served() as stage:
        stage.start()
        served = stage.connect(40)
        assert served[1] > served[0] + 8, served


def test_connections_wait_for_the_first_ready_worker(tmp_path: Path) -> None:
    with Stage(tmp_path, 1, 1).served() as stage:
        waiting = threading.Timer(0.1, lambda: stage.start(stage.workers[1]))
        waiting.start()
        assert stage.connect(10) == {1: 10}
        stage.start(stage.workers[0])
        assert stage.connect(10) == {0: 10}  # It has fewer.
        waiting.join()


def test_a_stopping_worker_leaves_connections_to_others(tmp_path: Path) -> None:
    with Stage(tmp_path, 1, 1).served() as stage:
        stage.start()
        first, second = stage.workers
        first.draining.running = 1  # Somebody is still listening.
        first.server.handle_exit(signal.SIGTERM, None)
        deadline = time.monotonic() + PATIENCE_S
        while not first.draining.is_set():
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(0.15)
        assert stage.connect(10) == {1: 10}
        stage.threads[0].join(PATIENCE_S)
        assert stage.connect(10) == {1: 10}
        assert second.server.started


def test_a_worker_that_hangs_does_not_stop_the_others(tmp_path: Path) -> None:
    with Stage(tmp_path, 1, 1).served() as stage:
        stage.start(stage.workers[0])
        LoadTable(tmp_path / "loads", 2)[1] = 0.0  # It says that it has none, and takes none.
        assert stage.connect(2) == {0: 2}


def test_an_unhealthy_worker_stops(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Stage(tmp_path, 1, 1).served() as stage:
        stage.start()
        stage.workers[0].trouble = "generation has stopped"
        stage.threads[0].join(PATIENCE_S)
        assert not stage.threads[0].is_alive()
        assert "generation has stopped" in caplog.text
        assert stage.connect(4) == {1: 4}
