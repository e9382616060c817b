"""Concurrency: the queue, disconnected clients, and a responsive event loop."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from serving import SPEECH_URL as URL
from serving import VOCODE_URL, features_of, live

from vocoder.features.feature_file import serialize
from vocoder.generation import dispatch
from vocoder.generation.dispatch import Engine
from vocoder.scheduling.segment import Segment
from vocoder.server.app import create_app
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.request import SynthesisRequest, Vocoding
from vocoder.synthesis.segments import feature_segments
from vocoder.synthesis.streaming import StreamingSynthesizer
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.voices.voice import Voice

PATIENCE_S = 10.0


class Stepwise(Synthesizer):
    """Prepares a segment whenever the test allows one, so that the test controls the timing."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = threading.Semaphore(0)
        self.started: list[int] = []
        self.pieces = 0
        self.ended: list[int] = []

    def warm_up(self, voice: Voice) -> None:
        """Does nothing, because segments are counted."""

    def segments(self, request: SynthesisRequest) -> Iterator[Segment | None]:
        seed = request.content.seed
        self.started.append(seed)
        try:
            for segment in feature_segments(Vocoding(features_of(80)), request.voice):
                assert self.steps.acquire(timeout=PATIENCE_S)
                self.pieces += 1
                yield segment
        finally:
            self.ended.append(seed)


@pytest.fixture
def stepwise() -> Stepwise:
    return Stepwise()


def app_of(settings: ServerSettings, synthesizer: Synthesizer, **changes: int) -> FastAPI:
    return create_app(settings.model_copy(update=changes), synthesizer)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.002)


def body_of(seed: int, *, stream: bool = False) -> dict[str, Any]:
    return {"input": "Hi.", "seed": seed, "response_format": "wav", "stream": stream}


def test_files_wait_in_order_and_a_full_queue_refuses(
    settings: ServerSettings, stepwise: Stepwise
) -> None:
    app = app_of(settings, stepwise, max_streams=1, waiting_requests=2)
    admission = app.state.service.admission

    async def scenario() -> None:
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
            tasks = []
            for seed in range(3):
                tasks.append(asyncio.create_task(client.post(URL, json=body_of(seed))))
                await until(lambda: admission.streams + admission.waiting == len(tasks))
            refused = await client.post(URL, json=body_of(3))
            assert refused.status_code == 429
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            error = refused.json()["error"]
            assert (error["type"], error["code"]) == ("overloaded_error", "overloaded")
            # There is no slot for a live stream either.
            live_one = await client.post(URL, json=body_of(3, stream=True))
            assert live_one.status_code == 429
            await until(lambda: stepwise.started == [0])
            stepwise.steps.release(9)
            answers = await asyncio.gather(*tasks)
            assert [answer.status_code for answer in answers] == [200] * 3
            assert stepwise.started == stepwise.ended == [0, 1, 2]
            stepwise.steps.release(3)
            assert (await client.post(URL, json=body_of(4))).status_code == 200

    asyncio.run(scenario())
    assert admission.streams == admission.waiting == 0


def vanishing_client(app: FastAPI, seed: int) -> tuple[Awaitable[None], asyncio.Event, list[Any]]:
    """A request without a server: the run, an event that disconnects, and the response."""
    hang_up, sent = asyncio.Event(), []
    body = json.dumps(body_of(seed)).encode()
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
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("x", 80),
    }
    return app(scope, receive, send), hang_up, sent


def test_disconnected_clients_release_their_slots(
    settings: ServerSettings, stepwise: Stepwise, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    app = app_of(settings, stepwise, max_streams=1, waiting_requests=2)
    admission = app.state.service.admission

    async def scenario() -> None:
        requests = [vanishing_client(app, seed) for seed in range(3)]
        tasks = []
        for run, _, _ in requests:
            tasks.append(asyncio.ensure_future(run))
            await until(lambda: admission.streams + admission.waiting == len(tasks))
        await until(lambda: stepwise.started == [0])
        # A waiting request leaves the queue; a running one makes room for the next.
        requests[1][1].set()
        await tasks[1]
        assert (admission.streams, admission.waiting) == (1, 1)
        requests[0][1].set()
        await tasks[0]
        await until(lambda: stepwise.started == [0, 2])
        stepwise.steps.release(9)
        await tasks[2]
        assert requests[0][2] == requests[1][2] == []
        assert requests[2][2][0]["status"] == 200

    asyncio.run(scenario())
    assert admission.streams == 0
    lines = [record.fields for record in caplog.records if record.message == "request"]  # type: ignore[attr-defined]
    assert [line["status"] for line in lines] == [499, 499, 200]


def test_a_broken_connection_frees_its_row(settings: ServerSettings, stepwise: Stepwise) -> None:
    app = app_of(settings, stepwise, max_streams=1)
    service = app.state.service
    body = json.dumps(body_of(1, stream=True)).encode()
    head = (
        f"POST {URL} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    with live(app) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(head.encode() + body)
            asyncio.run(until(lambda: len(stepwise.started) == 1))
            stepwise.steps.release()
            asyncio.run(until(lambda: service.streaming.load().rows == 1))
            address = f"http://127.0.0.1:{port}"
            answer = httpx2.post(f"{address}{URL}", json=body_of(2, stream=True), timeout=60)
            assert answer.status_code == 429
        asyncio.run(until(lambda: service.admission.streams == 0))
        asyncio.run(until(lambda: service.streaming.load().rows == 0))
        stepwise.steps.release(9)
        asyncio.run(until(lambda: stepwise.ended == [1]))
        assert httpx2.post(f"{address}{URL}", json=body_of(2), timeout=60).status_code == 200


def test_the_event_loop_answers_while_audio_is_generated(
    settings: ServerSettings, synthesizer: Synthesizer
) -> None:
    app = app_of(settings, synthesizer, max_streams=2)
    admission = app.state.service.admission
    body = serialize(features_of(24))
    answers: list[httpx2.Response] = []
    with live(app) as port:
        address = f"http://127.0.0.1:{port}"

        def generate() -> None:
            slow = f"{address}{VOCODE_URL}?engine=reference"
            answers.append(httpx2.post(slow, content=body, timeout=60))

        threads = [threading.Thread(target=generate) for _ in range(2)]
        for thread in threads:
            thread.start()
        slowest_s, asked, begun = 0.0, 0, time.perf_counter()
        with httpx2.Client(timeout=60) as client:
            asyncio.run(until(lambda: admission.streams == 2))
            while admission.streams == 2:
                start = time.perf_counter()
                assert client.get(f"{address}/healthz").status_code == 200
                slowest_s = max(slowest_s, time.perf_counter() - start)
                asked += 1
        busy_s = time.perf_counter() - begun
        for thread in threads:
            thread.join()
    assert [answer.status_code for answer in answers] == [200, 200]
    assert asked >= 3
    # A blocked loop would only have answered at the end. No fixed bound: the machine may be slow.
    assert slowest_s < busy_s / 2


def test_no_engine_is_created_on_the_event_loop(
    settings: ServerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    created: list[bool] = []
    real = dispatch.create

    def create(*args: Any, **kwargs: Any) -> Engine:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            created.append(False)
        else:
            created.append(True)
        return real(*args, **kwargs)

    monkeypatch.setattr(dispatch, "create", create)
    monkeypatch.setattr(StreamingSynthesizer, "capacity", lambda *_: 8.0)
    # The capacity of each voice is looked up, and each request for a seed in the cache.
    changes = {"max_streams": None, "cache_dir": tmp_path / "cache"}
    app = create_app(settings.model_copy(update=changes), Synthesizer())
    with TestClient(app) as client:
        for voice in ("arctic", "other"):
            for engine in ({}, {"engine": "reference"}):
                body = {"input": "Hi.", "seed": 1, "voice": voice, **engine}
                assert client.post(URL, json=body).status_code == 200
        query = {"voice": "other", "seed": 1}
        body = serialize(features_of(3))
        assert client.post(VOCODE_URL, params=query, content=body).status_code == 200
        with client.websocket_connect("/v1/audio/stream?voice=other") as socket:
            socket.send_json({"type": "Speak", "text": "Hi."})
            socket.send_json({"type": "Close"})
            assert socket.receive_json()["type"] == "Metadata"
    assert created
    assert not any(created)
