"""Cached responses: the same bytes, without a slot."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from serving import SPEECH_URL, VOCODE_URL, say

from vocoder.server.app import create_app
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.synthesizer import Synthesizer


@pytest.fixture
def cached(settings: ServerSettings, synthesizer: Synthesizer, tmp_path: Path) -> Any:
    changed = settings.model_copy(update={"cache_dir": tmp_path / "cache"})
    with TestClient(create_app(changed, synthesizer)) as client:
        yield client


@pytest.mark.parametrize(
    "options",
    [
        {"response_format": "wav"},
        {"response_format": "mp3"},
        {"response_format": "flac", "stream": False},
        {"response_format": "pcm", "stream_format": "sse", "timings": True},
    ],
)
def test_a_repeated_request_gets_the_same_response(cached: TestClient, options: Any) -> None:
    first, second = (say(cached, "Hello. There.", **options) for _ in range(2))
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit")
    assert first.content == second.content
    assert int(second.headers["content-length"]) == len(first.content)
    for name in ("x-seed", "x-voice", "x-voice-hash", "x-engine", "x-sample-rate", "content-type"):
        assert first.headers[name] == second.headers[name]
    assert "server-timing" not in second.headers


def test_every_option_is_part_of_the_cache_key(cached: TestClient) -> None:
    base = {"response_format": "wav"}
    answers = [say(cached, "Hello.", **base), say(cached, "Hallo.", **base)]
    for change in (
        {"seed": 2},
        {"voice": "花子"},
        {"voice": "other"},
        {"speed": 2.0},
        {"pitch": 1.0},
        {"sample_rate": 16000},
        {"engine": "reference"},
        {"stream": False},
        {"ssml": True, "input": "<speak>Hello.</speak>"},
        {"lexicon": {"hello": "ə"}},
    ):
        body = {"input": "Hello.", "seed": 1, **base, **change}
        answers.append(cached.post(SPEECH_URL, json=body))
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    assert {answer.headers["x-cache"] for answer in answers} == {"miss"}


def test_requests_without_a_seed_are_not_cached(cached: TestClient) -> None:
    answers = [cached.post(SPEECH_URL, json={"input": "Hello."}) for _ in range(2)]
    assert all("x-cache" not in answer.headers for answer in answers)
    assert answers[0].content != answers[1].content


def test_features_are_cached_by_their_values(cached: TestClient, feature_file: bytes) -> None:
    def vocode(**options: Any) -> Response:
        return cached.post(VOCODE_URL, content=feature_file, params={"seed": 3, **options})

    first, second = vocode(), vocode()
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit")
    assert first.content == second.content
    assert vocode(stream=True).headers["x-cache"] == "miss"


def test_without_a_cache_there_is_no_cache_header(client: TestClient) -> None:
    assert "x-cache" not in say(client, "Hello.").headers


def test_errors_are_not_cached(cached: TestClient) -> None:
    for _ in range(2):
        answer = say(cached, "...")
        assert answer.status_code == 422
        assert "x-cache" not in answer.headers
