"""Streamed speech: its first bytes, failures midway, clients that leave or do not read."""

import threading
from collections.abc import Iterator

import httpx2
import pytest
from fastapi.testclient import TestClient
from serving import FEATURES, error_of, events_of, features_of, live, say
from serving import SPEECH_URL as URL

from vocoder.errors import TextError
from vocoder.scheduling.segment import Segment
from vocoder.server.app import create_app
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.request import SynthesisRequest, Vocoding
from vocoder.synthesis.segments import feature_segments
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.voices.voice import Voice


class Gated(Synthesizer):
    """Prepares a second of audio whenever the test allows one; fails or ends on request."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = threading.Semaphore(0)
        self.error: Exception | None = None
        self.closed = threading.Event()

    def warm_up(self, voice: Voice) -> None:
        """Does nothing, because what is prepared is counted."""

    def segments(self, request: SynthesisRequest) -> Iterator[Segment | None]:
        second = features_of(round(FEATURES.frame_rate_hz))
        try:
            while self.steps.acquire(timeout=10):
                yield from feature_segments(Vocoding(second), request.voice)
                if self.error:
                    raise self.error
        finally:
            self.closed.set()

    def ends_without_a_client(self) -> bool:
        """Whether it has stopped although it could continue."""
        for _ in range(100):
            self.steps.release()
            if self.closed.wait(0.1):
                return True
        return False


@pytest.fixture
def gated() -> Gated:
    return Gated()


@pytest.mark.parametrize("name", ["mp3", "wav", "flac", "pcm"])
def test_audio_is_sent_while_it_is_generated_and_stops_with_its_client(
    settings: ServerSettings, gated: Gated, name: str
) -> None:
    body = {"input": "Hi.", "response_format": name}
    with live(create_app(settings, gated)) as port:
        url = f"http://127.0.0.1:{port}{URL}"
        gated.steps.release()
        with httpx2.stream("POST", url, json=body, timeout=10) as answer:
            assert answer.headers["transfer-encoding"] == "chunked"
            assert next(answer.iter_raw())
            assert not gated.closed.is_set()
        assert gated.ends_without_a_client()


def test_a_speech_that_fails_midway_breaks_the_connection(
    settings: ServerSettings, gated: Gated
) -> None:
    gated.error = KeyError("an internal detail")
    gated.steps.release()
    with live(create_app(settings, gated)) as port:
        url = f"http://127.0.0.1:{port}{URL}"
        with pytest.raises(httpx2.RemoteProtocolError):
            httpx2.post(url, json={"input": "Hi.", "response_format": "wav"}, timeout=10)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyError("an internal detail"), "internal_error", "internal error"),
        (TextError("that cannot be said"), "invalid_text", "that cannot be said"),
    ],
)
def test_events_that_fail_midway_end_with_an_error(
    settings: ServerSettings, gated: Gated, error: Exception, code: str, message: str
) -> None:
    gated.error = error
    gated.steps.release()
    with TestClient(create_app(settings, gated)) as client:
        first, *_, last = events_of(say(client, "Hi.", stream_format="sse", response_format="pcm"))
    assert first["type"] == "speech.audio.delta"
    assert last["type"] == "error"
    assert (last["error"]["code"], last["error"]["message"]) == (code, message)


def test_an_error_before_the_first_audio_has_its_status(
    settings: ServerSettings, gated: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*args: object, **options: object) -> Iterator[Segment]:
        raise TextError("that cannot be said")

    monkeypatch.setattr(gated, "segments", wrong)
    with TestClient(create_app(settings, gated)) as client:
        for options in ({}, {"stream_format": "sse"}, {"stream": False}):
            error = error_of(say(client, "Hi.", **options), 422)
            assert (error["message"], error["param"]) == ("that cannot be said", "input")


def test_a_client_that_does_not_read_pauses_the_work(
    settings: ServerSettings, gated: Gated
) -> None:
    body = {"input": "Hi.", "response_format": "pcm", "sample_rate": 48000}
    app = create_app(settings, gated)
    # More than the sockets and the lead can buffer.
    for _ in range(400):
        gated.steps.release()
    with live(app) as port:
        url = f"http://127.0.0.1:{port}"
        with httpx2.stream("POST", url + URL, json=body, timeout=10):
            plan = httpx2.post(f"{url}{URL}/plan", json={"input": "Hi."}, timeout=10)
            assert plan.status_code == 200
            assert gated.steps.acquire(blocking=False)
        assert gated.ends_without_a_client()
