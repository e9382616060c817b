"""Generation beside all else: the queue, clients that vanish, an event loop that answers."""

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx2
import numpy as np
import pytest
from fastapi import FastAPI
from serving import VOCODE_URL as URL
from serving import features_of, live

from server.app import create_app
from server.settings import ServerSettings
from vocoder.audio import Samples
from vocoder.features import serialize
from vocoder.synthesizer import Synthesizer
from vocoder.voice import Voice

PATIENCE_S = 10.0


class Stepwise(Synthesizer):
    """Gives a chunk whenever the test allows one, so that a test decides how long it takes."""

    def __init__(self, inner: Synthesizer) -> None:
        super().__init__(inner.registry)
        self.steps = threading.Semaphore(0)
        self.started: list[int] = []
        self.chunks = 0
        self.ended: list[int] = []

    def warm_up(self, voice: Voice) -> None:
        """Nothing: its chunks are counted."""

    def vocode(self, features: Any, **options: Any) -> Iterator[Samples]:
        seed = options["seed"]
        self.started.append(seed)
        try:
            for _ in range(3):
                assert self.steps.acquire(timeout=PATIENCE_S)
                self.chunks += 1
                yield np.zeros(40, dtype=np.float32)
        finally:
            self.ended.append(seed)


@pytest.fixture
def stepwise(synthesizer: Synthesizer) -> Stepwise:
    return Stepwise(synthesizer)


def app_of(settings: ServerSettings, synthesizer: Synthesizer, **changes: int) -> FastAPI:
    return create_app(settings.model_copy(update=changes), synthesizer)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.002)


def test_a_full_queue_is_refused_and_served_in_order(
    settings: ServerSettings, stepwise: Stepwise, feature_file: bytes
) -> None:
    app = app_of(settings, stepwise, concurrent_generations=1, waiting_generations=2)
    generations = app.state.service.generations

    async def scenario() -> None:
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
            tasks = []
            for seed in range(3):
                post = client.post(f"{URL}?seed={seed}", content=feature_file)
                tasks.append(asyncio.create_task(post))
                await until(lambda: generations.live == len(tasks))
            refused = await client.post(f"{URL}?seed=3", content=feature_file)
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "5"
            error = refused.json()["error"]
            assert (error["type"], error["code"]) == ("overloaded_error", "overloaded")
            assert stepwise.started == [0]
            stepwise.steps.release(9)
            answers = await asyncio.gather(*tasks)
            assert [answer.status_code for answer in answers] == [200] * 3
            assert stepwise.started == stepwise.ended == [0, 1, 2]
            stepwise.steps.release(3)
            assert (await client.post(URL, content=feature_file)).status_code == 200

    asyncio.run(scenario())
    assert generations.live == 0


def vanishing_client(
    app: FastAPI, body: bytes, seed: int
) -> tuple[Awaitable[None], asyncio.Event, list[Any]]:
    """A request by hand: the application's run, the event that hangs up, and what it sent."""
    hang_up, sent = asyncio.Event(), []
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await hang_up.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": URL,
        "raw_path": URL.encode(),
        "root_path": "",
        "query_string": f"seed={seed}".encode(),
        "headers": [(b"content-type", b"application/octet-stream")],
        "client": ("127.0.0.1", 1),
        "server": ("x", 80),
    }
    return app(scope, receive, send), hang_up, sent


def test_a_client_that_vanishes_stops_its_generation_at_the_next_chunk(
    settings: ServerSettings,
    stepwise: Stepwise,
    feature_file: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    app = app_of(settings, stepwise, concurrent_generations=1, waiting_generations=2)
    generations = app.state.service.generations

    async def scenario() -> None:
        requests = [vanishing_client(app, feature_file, seed) for seed in range(3)]
        tasks = []
        for run, _, _ in requests:
            tasks.append(asyncio.ensure_future(run))
            await until(lambda: generations.live == len(tasks))
        await until(lambda: stepwise.started == [0])
        # One that waits leaves the queue at once; one that runs keeps its place until it has ended.
        requests[1][1].set()
        await tasks[1]
        await until(lambda: generations.live == 2)
        requests[0][1].set()
        await tasks[0]
        assert (generations.live, stepwise.started, stepwise.ended) == (2, [0], [])
        stepwise.steps.release()
        await until(lambda: stepwise.started == [0, 2])
        assert (stepwise.chunks, stepwise.ended) == (1, [0])
        stepwise.steps.release(3)
        await tasks[2]
        assert requests[0][2] == requests[1][2] == []
        assert requests[2][2][0]["status"] == 200

    asyncio.run(scenario())
    assert generations.live == 0
    lines = [record.fields for record in caplog.records if record.message == "request"]  # type: ignore[attr-defined]
    assert [line["status"] for line in lines] == [499, 499, 200]


def test_a_broken_connection_frees_its_place(
    settings: ServerSettings, stepwise: Stepwise, feature_file: bytes
) -> None:
    app = app_of(settings, stepwise, concurrent_generations=1, waiting_generations=0)
    generations = app.state.service.generations
    head = f"POST {URL} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(feature_file)}\r\n\r\n"
    with live(app) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(head.encode() + feature_file)
            asyncio.run(until(lambda: len(stepwise.started) == 1))
            address = f"http://127.0.0.1:{port}"
            assert httpx2.post(f"{address}{URL}", content=feature_file).status_code == 503
        # The server has to notice before the generation goes on.
        time.sleep(0.2)
        stepwise.steps.release()
        asyncio.run(until(lambda: generations.live == 0))
        assert stepwise.chunks == 1
        stepwise.steps.release(3)
        assert httpx2.post(f"{address}{URL}", content=feature_file).status_code == 200


def test_the_event_loop_answers_while_audio_is_generated(
    settings: ServerSettings, synthesizer: Synthesizer
) -> None:
    app = app_of(settings, synthesizer, concurrent_generations=2)
    generations = app.state.service.generations
    body = serialize(features_of(24))
    answers: list[httpx2.Response] = []
    with live(app) as port:
        address = f"http://127.0.0.1:{port}"

        def generate() -> None:
            slow = f"{address}{URL}?engine=reference"
            answers.append(httpx2.post(slow, content=body, timeout=60))

        threads = [threading.Thread(target=generate) for _ in range(2)]
        for thread in threads:
            thread.start()
        slowest_s, asked, begun = 0.0, 0, time.perf_counter()
        with httpx2.Client(timeout=60) as client:
            asyncio.run(until(lambda: generations.live == 2))
            while generations.live == 2:
                start = time.perf_counter()
                assert client.get(f"{address}/healthz").status_code == 200
                slowest_s = max(slowest_s, time.perf_counter() - start)
                asked += 1
        busy_s = time.perf_counter() - begun
        for thread in threads:
            thread.join()
    assert [answer.status_code for answer in answers] == [200, 200]
    assert asked >= 3
    # A blocked loop would have answered at the end; this machine may be slow, so no fixed bound.
    assert slowest_s < busy_s / 2
