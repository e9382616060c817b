"""Refused speech requests: a 4xx in the common format that says what was wrong; never a 500."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from fastapi.testclient import TestClient
from serving import SPEECH_URL as URL
from serving import error_of, save_voice, say

from vocoder.server.app import create_app
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.voices.registry import VoiceRegistry


@pytest.mark.parametrize(
    ("names", "param", "known"),
    [
        ({"model": "none"}, "model", "arctic, other, tts-1"),
        ({"model": "../arctic"}, "model", "arctic, other"),
        ({"voice": "none"}, "voice", "slt, 花子; the voices are arctic, other"),
        ({"voice": "none/slt"}, "voice", "arctic, other"),
        ({"voice": "other/none"}, "speaker", "slt, 花子"),
        ({"speaker": "none"}, "speaker", "slt, 花子"),
    ],
)
def test_unknown_names(client: TestClient, names: dict[str, str], param: str, known: str) -> None:
    error = error_of(say(client, "Hi.", **names), 404)
    assert (error["param"], error["code"]) == (param, "not_found")
    assert known in error["message"]


def test_a_voice_that_cannot_read_text(settings: ServerSettings, tmp_path: Path) -> None:
    save_voice(tmp_path, "mute", reads_text=False)
    with TestClient(create_app(settings, registry=VoiceRegistry(tmp_path))) as client:
        for url in (URL, f"{URL}/plan"):
            error = error_of(client.post(url, json={"input": "Hi."}), 422)
            assert (error["param"], error["code"]) == ("voice", "invalid_text")
        assert not client.get("/v1/audio/voices").json()["data"][0]["reads_text"]


def test_no_voice_at_all(settings: ServerSettings, tmp_path: Path) -> None:
    with TestClient(create_app(settings, registry=VoiceRegistry(tmp_path))) as client:
        assert error_of(say(client, "Hi.", model="tts-1"), 503)["code"] == "not_ready"
        assert error_of(say(client, "Hi.", model="none"), 503)["code"] == "not_ready"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("response_format", "opus"),
        ("response_format", "aac"),
        ("speed", 0.2),
        ("speed", 4.1),
        ("speed", "1"),
        ("pitch", 13),
        ("seed", -1),
        ("sample_rate", 16001),
        ("stream_format", "json"),
        ("voice", ""),
        ("voice", {"id": 1}),
        ("voice", {"name": "slt"}),
        ("voice", ["slt"]),
        ("ssml", "yes"),
        ("lexicon", {"a": 1}),
        ("lexicon", {str(number): "a" for number in range(1001)}),
        ("timings", True),
    ],
)
def test_options_out_of_range(client: TestClient, field: str, value: object) -> None:
    error = error_of(say(client, "Hi.", **{field: value}), 422)
    assert error["param"] == field
    assert field in error["message"]
    if field == "response_format":
        assert "'mp3', 'wav', 'flac' or 'pcm'" in error["message"]


def test_an_unknown_field(client: TestClient) -> None:
    error = error_of(say(client, "Hi.", sped=2), 422)
    assert (error["param"], error["code"]) == ("sped", "unknown_parameter")
    assert "speed" in error["message"]


SPEAKABLE = ["x" * 200, "👍 ok 👍", "a\0b\x1b[31m c", "Hello Привет and goodbye to all.", "1" * 100]
UNSPEAKABLE = ["", " \n\t", "😀🎉", "\0\x01\x02", "...!?", "Привет, как дела?", "x" * 2001]
BROKEN_SSML = [
    "<speak>hi",
    "hi",
    "<speak>&nothing;</speak>",
    '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><speak>&b;</speak>',
    '<!DOCTYPE x SYSTEM "file:///etc/passwd"><speak>hi</speak>',
    '<speak><break time="99999s"/>hi</speak>',
    "<speak>" + "<p>" * 400 + "</speak>",
    "<speak></speak>",
]


@pytest.fixture
def limited(settings: ServerSettings, synthesizer: Synthesizer) -> Iterator[TestClient]:
    """A client of a server that only accepts short texts."""
    limits = {"max_text_chars": 2000, "max_whole_text_chars": 1000}
    with TestClient(create_app(settings.model_copy(update=limits), synthesizer)) as client:
        yield client


@pytest.mark.parametrize("text", SPEAKABLE)
def test_odd_texts_are_spoken(limited: TestClient, text: str) -> None:
    answer = say(limited, text, response_format="wav", stream=False)
    assert answer.status_code == 200
    assert soundfile.info(io.BytesIO(answer.content)).frames > 0


@pytest.mark.parametrize("stream_format", ["audio", "sse"])
@pytest.mark.parametrize("text", UNSPEAKABLE)
def test_texts_that_cannot_be_spoken(limited: TestClient, text: str, stream_format: str) -> None:
    for url in (URL, f"{URL}/plan"):
        body = {"input": text, "stream_format": stream_format}
        assert error_of(limited.post(url, json=body), 422)["param"] == "input"


@pytest.mark.parametrize("text", BROKEN_SSML)
def test_ssml_that_cannot_be_read(limited: TestClient, text: str) -> None:
    error = error_of(say(limited, text, ssml=True), 422)
    assert (error["param"], error["code"]) == ("input", "invalid_text")


def test_texts_over_a_limit(limited: TestClient) -> None:
    error = error_of(say(limited, "a " * 1001), 422)
    assert error["code"] == "text_too_long"
    assert "2002 characters" in error["message"]
    assert "2000" in error["message"]
    assert say(limited, "a " * 501, response_format="pcm").status_code == 200
    for answer in (
        say(limited, "a " * 501, stream=False),
        limited.post(f"{URL}/plan", json={"input": "a " * 501}),
    ):
        error = error_of(answer, 422)
        assert error["code"] == "text_too_long"
        assert "stream" in error["message"]


@pytest.mark.parametrize(
    ("body", "kind", "query", "status", "code"),
    [
        (b"", "application/json", "", 400, "invalid_json"),
        (b'{"input": "hi"', "application/json", "", 400, "invalid_json"),
        (rb'{"input": "\ud800"}', "application/json", "", 400, "invalid_json"),
        (b'{"input": "\xff"}', "application/json", "", 400, "invalid_json"),
        (b"[]", "application/json", "", 422, "invalid_request"),
        (b"{}", "application/json", "", 422, "invalid_request"),
        (b'{"input": 5}', "application/json", "", 422, "invalid_request"),
        (b'{"input": null}', "application/json", "", 422, "invalid_request"),
        (b'{"input": "hi"}', "text/plain", "", 415, "unsupported_media_type"),
        (b'{"input": "hi"}', "", "", 415, "unsupported_media_type"),
        (b'{"input": "hi"}', "application/json", "?voice=slt", 400, "options_in_query"),
        (b"x" * 1_250_001, "application/json", "", 413, "body_too_large"),
    ],
)
def test_bodies_that_are_not_requests(
    client: TestClient, body: bytes, kind: str, query: str, status: int, code: str
) -> None:
    answer = client.post(URL + query, content=body, headers={"content-type": kind})
    assert error_of(answer, status)["code"] == code
