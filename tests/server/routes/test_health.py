"""Liveness, readiness, and metrics, which can be disabled."""

import gc
import time
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from serving import SPEECH_URL, error_of

from vocoder.server.app import create_app
from vocoder.server.service.readiness import freeze_gc
from vocoder.server.service.service import Service
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.streaming import StreamingSynthesizer
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.voices.voice import Voice

PATIENCE_S = 10.0


def until_ready(client: TestClient) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def service(client: TestClient) -> Iterator[Service]:
    until_ready(client)
    return client.app.state.service  # type: ignore[attr-defined]


def test_not_ready_while_it_measures(
    settings: ServerSettings, synthesizer: Synthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    measuring = []

    def capacity(self: StreamingSynthesizer, voice: Voice, engine: str | None = None) -> float:
        measuring.append(voice.id)
        deadline = time.monotonic() + PATIENCE_S
        while "go on" not in measuring:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        return 4.0

    monkeypatch.setattr(StreamingSynthesizer, "capacity", capacity)
    settings = settings.model_copy(update={"max_streams": None})
    with TestClient(create_app(settings, synthesizer)) as client:
        while not measuring:
            answer = client.get("/readyz")
            time.sleep(0.005)
        error = error_of(client.get("/readyz"), 503)
        assert error["code"] == "not_ready"
        assert "measured" in error["message"]
        assert client.get("/healthz").json() == {"status": "ok"}
        measuring.append("go on")
        until_ready(client)
        answer = client.get("/readyz")
        assert answer.json() == {"status": "ready"}


def test_not_ready_and_no_new_work_while_it_drains(client: TestClient, service: Service) -> None:
    assert client.portal is not None
    client.portal.call(service.draining.set)
    for answer in (client.get("/readyz"), client.post(SPEECH_URL, json={"input": "Hello."})):
        assert error_of(answer, 503)["code"] == "draining"
        assert answer.headers["retry-after"] == str(service.settings.retry_after_s)
    assert client.get("/healthz").status_code == 200
    assert client.get("/metrics").status_code == 200


def test_not_ready_when_generation_has_died(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StreamingSynthesizer, "alive", False)
    error = error_of(client.get("/readyz"), 503)
    assert "generation has stopped" in error["message"]
    assert client.get("/healthz").status_code == 200


@pytest.mark.usefixtures("service")
def test_metrics_show_streams_and_rows_and_can_be_disabled(
    client: TestClient, settings: ServerSettings, synthesizer: Synthesizer
) -> None:
    assert client.post(SPEECH_URL, json={"input": "Hello."}).status_code == 200
    text = client.get("/metrics").text
    assert 'vocoder_requests_total{path="/v1/audio/speech",status="200"}' in text
    assert "vocoder_streams 0.0" in text
    hidden = settings.model_copy(update={"metrics": False})
    with TestClient(create_app(hidden, synthesizer)) as client:
        assert client.get("/metrics").status_code == 404


def test_objects_from_startup_are_not_garbage_collected() -> None:
    freeze_gc()
    try:
        assert gc.get_freeze_count() > 100_000
        assert len(gc.get_objects()) < 1_000
    finally:
        gc.unfreeze()


@pytest.mark.parametrize("path", ["/healthz", "/v1/audio/voices", "/docs", "/openapi.json", "/"])
def test_head_is_get_without_the_body(client: TestClient, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length"):
        assert head.headers[name] == get.headers[name]
    assert client.head("/v1/audio/speech").status_code == 405
