"""What one client may take: engines, and seconds of audio, in every door."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from serving import SPEECH_URL, VOCODE_URL, error_of, say

from vocoder.server.app import create_app
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.voices.registry import VoiceRegistry

LONG = "One two three four five. " * 40


def client_of(
    settings: ServerSettings, synthesizer: Synthesizer, registry: VoiceRegistry, **given: Any
) -> TestClient:
    return TestClient(create_app(settings.model_copy(update=given), synthesizer, registry))


def test_only_listed_engines_may_be_named(
    settings: ServerSettings,
    synthesizer: Synthesizer,
    registry: VoiceRegistry,
    feature_file: bytes,
) -> None:
    with client_of(settings, synthesizer, registry, client_engines=()) as client:
        usual = say(client, "Hi.").headers["x-engine"]
        assert say(client, "Hi.", engine=usual).status_code == 200
        assert say(client, "Hi.", engine="auto").status_code == 200
        refused = [
            say(client, "Hi.", engine="reference"),
            client.post(VOCODE_URL, content=feature_file, params={"engine": "reference"}),
        ]
        for answer in refused:
            error = error_of(answer, 422)
            assert (error["code"], error["param"]) == ("engine_not_allowed", "engine")
            assert usual in error["message"]
        with client.websocket_connect("/v1/audio/stream") as socket:
            socket.send_json({"type": "Speak", "text": "Hi.", "engine": "reference"})
            assert socket.receive_json()["error"]["code"] == "engine_not_allowed"
            socket.send_json({"type": "Close"})
            assert socket.receive()["type"] == "websocket.close"
        assert 'limit="engine_not_allowed"} 3.0' in client.get("/metrics").text
    with client_of(settings, synthesizer, registry) as client:
        assert say(client, "Hi.", engine="reference").headers["x-engine"] == "reference"


def test_speech_is_limited_in_seconds(
    settings: ServerSettings, synthesizer: Synthesizer, registry: VoiceRegistry
) -> None:
    limits = {"max_speech_s": 3.0, "max_whole_speech_s": 2.0}
    with client_of(settings, synthesizer, registry, **limits) as client:
        assert say(client, "Hi.").status_code == 200
        for answer in (
            say(client, LONG, stream=False),
            client.post(f"{SPEECH_URL}/plan", json={"input": LONG}),
        ):
            error = error_of(answer, 422)
            assert (error["code"], error["param"]) == ("audio_too_long", "input")
            assert "2 s" in error["message"]
        events = say(client, LONG, stream_format="sse", response_format="pcm").text
        assert '"code":"audio_too_long"' in events.rstrip().splitlines()[-1]
        with client.websocket_connect("/v1/audio/stream") as socket:
            for message in ({"type": "Speak", "text": LONG}, {"type": "Flush"}):
                socket.send_json(message)
            while "bytes" in (found := socket.receive()) or "Metadata" in found["text"]:
                pass
            assert json.loads(found["text"])["error"]["code"] == "audio_too_long"
            socket.send_json({"type": "Close"})
            while socket.receive()["type"] != "websocket.close":
                pass


@pytest.mark.parametrize("stream", [False, True])
def test_breaks_cannot_add_up_without_limit(client: TestClient, stream: bool) -> None:
    pauses = "<break time='10s'/>" * 61
    text = f"<speak>Hello.{pauses}Bye.</speak>"
    error = error_of(say(client, text, ssml=True, stream=stream), 422)
    assert "600s in total" in error["message"]
