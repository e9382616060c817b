"""Audio over the WebSocket equals that over HTTP, however text and features arrive."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import soundfile
from serving import FEATURES, live
from socketing import BYTES, FRAME_BYTES, MEL, TEXT, hear, post, send, socket, speak, vocoded
from torch import Tensor
from websockets.sync.client import connect

from vocoder.config import FeatureConfig
from vocoder.features import feature_file
from vocoder.features.feature_file import Features
from vocoder.server.app import create_app
from vocoder.server.settings import ServerSettings
from vocoder.synthesis import conditioning_input
from vocoder.synthesis.synthesizer import Synthesizer


@pytest.fixture(scope="module")
def url(voices_dir: Path, synthesizer: Synthesizer) -> Iterator[str]:
    settings = ServerSettings(
        voices_dir=voices_dir, max_streams=16, max_text_chars=2000, max_audio_s=1.0
    )
    with live(create_app(settings, synthesizer)) as port:
        yield f"127.0.0.1:{port}"


@pytest.mark.parametrize("size", [1, 7, 10**6])
def test_text_in_parts_gives_the_audio_of_the_whole_text(url: str, size: int) -> None:
    with socket(url) as connection:
        speak(connection, TEXT, size)
        send(connection, "Flush")
        heard = hear(connection)
    assert (heard.kinds, heard.code) == (["Metadata", "Flushed"], 1000)
    assert heard.audio[None] == post(url)
    metadata, flushed = heard.messages
    assert metadata["seed"] == 1
    assert (metadata["speaker"], metadata["sample_rate"]) == ("slt", 8000)
    assert (metadata["encoding"], len(metadata["voice_hash"])) == ("linear16", 64)
    assert flushed["audio_s"] == pytest.approx(len(heard.audio[None]) / 16000, abs=1e-3)
    assert flushed["first_audio_ms"] > 0
    assert flushed["queue_ms"] >= 0
    assert flushed["real_time_factor"] > 0


def test_a_sentence_is_spoken_before_the_next_is_complete(url: str) -> None:
    with socket(url) as connection:
        speak(connection, "Hello there. It")
        assert json.loads(connection.recv(timeout=20))["type"] == "Metadata"
        assert isinstance(connection.recv(timeout=20), bytes)


def test_each_utterance_has_the_audio_it_has_alone(url: str) -> None:
    with socket(url) as connection:
        for _ in range(3):
            speak(connection, TEXT, 5)
            send(connection, "Flush")
        heard = hear(connection)
    assert [flushed["sequence_id"] for flushed in heard.of("Flushed")] == [0, 1, 2]
    assert heard.audio[None] == 3 * post(url)


def test_close_speaks_unflushed_text(url: str) -> None:
    with socket(url) as connection:
        speak(connection, TEXT)
        assert hear(connection).audio[None] == post(url)


def test_options_of_the_query_and_of_a_context(url: str) -> None:
    options: dict[str, Any] = {"speed": 1.5, "pitch": 2.0, "speaker": "花子", "seed": 7}
    lexicon = {"Smith": "həlˈoʊ"}
    with socket(url, **options) as connection:
        speak(connection, TEXT)
        speak(connection, TEXT, context_id="own", model="other", lexicon=lexicon, seed=2)
        heard = hear(connection)
    assert heard.audio[None] == post(url, **options)
    given = options | {"model": "other", "lexicon": lexicon, "seed": 2}
    assert heard.audio["own"] == post(url, **given)


def test_contexts_speak_side_by_side(url: str) -> None:
    names = [f"c{number}" for number in range(6)]
    with socket(url) as connection:
        for at in range(0, len(TEXT), 4):
            for name in names:
                speak(connection, TEXT[at : at + 4], context_id=name)
        for name in names:
            send(connection, "Flush", context_id=name)
        heard = hear(connection)
    assert sorted(m["context_id"] for m in heard.of("Flushed")) == names
    assert sorted(m["context_id"] for m in heard.of("Metadata")) == names
    assert heard.audio == dict.fromkeys(names, post(url))


def test_random_seeds_are_reported(url: str) -> None:
    with connect(f"ws://{url}/v1/audio/stream", proxy=None) as connection:
        speak(connection, TEXT)
        speak(connection, TEXT, context_id="b")
        heard = hear(connection)
    seeds = {m.get("context_id"): m["seed"] for m in heard.of("Metadata")}
    assert seeds[None] != seeds["b"]
    for name, seed in seeds.items():
        assert heard.audio[name] == post(url, seed=seed)


def test_timings_come_before_the_audio_of_their_sentence(url: str) -> None:
    with socket(url, timings="true") as connection:
        speak(connection, TEXT)
        heard = hear(connection)
    body = {"input": TEXT}
    plan = httpx2.post(f"http://{url}/v1/audio/speech/plan", json=body).json()
    assert heard.kinds == ["Metadata", *["Timings"] * len(plan["sentences"]), "Flushed"]
    for told, planned in zip(heard.of("Timings"), plan["sentences"], strict=True):
        assert (told["text"], told["words"]) == (planned["text"], planned["words"])


@pytest.mark.parametrize(("encoding", "subtype"), [("mulaw", "ULAW"), ("alaw", "ALAW")])
def test_mulaw_and_alaw_have_the_same_speech(url: str, encoding: str, subtype: str) -> None:
    with socket(url, encoding=encoding) as connection:
        speak(connection, TEXT, 9)
        heard = hear(connection)
    raw: dict[str, Any] = {"format": "RAW", "samplerate": 8000, "channels": 1, "subtype": subtype}
    read, _ = soundfile.read(io.BytesIO(heard.audio[None]), **raw)
    pcm = np.frombuffer(post(url), "<i2") / 32768
    assert len(read) == len(pcm)
    assert np.max(np.abs(read - pcm)) < 0.04


def test_resampled_audio_equals_that_of_http(url: str) -> None:
    with socket(url, sample_rate=24000) as connection:
        speak(connection, TEXT, 9)
        assert hear(connection).audio[None] == post(url, sample_rate=24000)


@pytest.mark.parametrize("frames", [1, 7, 30])
def test_features_in_parts_give_the_audio_of_the_whole(url: str, frames: int) -> None:
    with socket(url) as connection:
        send(connection, "Start", input="features", features={"n_mels": FEATURES.n_mels})
        for at in range(0, len(BYTES), frames * FRAME_BYTES):
            connection.send(BYTES[at : at + frames * FRAME_BYTES])
        send(connection, "Flush")
        send(connection, "Features", mel=MEL.mel.T.tolist())
        heard = hear(connection)
    assert heard.kinds == ["Metadata", "Flushed", "Flushed"]
    assert heard.audio[None] == 2 * vocoded(url)


@pytest.mark.parametrize("frames", [1, 7, 30])
def test_clarity_of_features_in_parts_is_that_of_the_whole(url: str, frames: int) -> None:
    uneven = Features(4 * MEL.mel + 18, MEL.config)
    data = uneven.mel.T.contiguous().numpy().astype("<f4").tobytes()
    with socket(url, model="other", clarity=2.0) as connection:
        send(connection, "Start", input="features")
        for at in range(0, len(data), frames * FRAME_BYTES):
            connection.send(data[at : at + frames * FRAME_BYTES])
        found = hear(connection).audio[None]
    assert found == vocoded(url, uneven, voice="other", clarity=2.0)
    assert found != vocoded(url, uneven, voice="other")


def test_features_are_checked_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[int] = []
    real = feature_file.validate_mel

    def validate(mel: Tensor, config: FeatureConfig) -> Tensor:
        checked.append(mel.shape[1])
        return real(mel, config)

    monkeypatch.setattr(feature_file, "validate_mel", validate)
    monkeypatch.setattr(conditioning_input, "validate_mel", validate)
    with socket(url) as connection:
        send(connection, "Start", input="features")
        connection.send(BYTES)
        assert hear(connection).audio
    assert checked == [MEL.frames]


def test_features_are_spoken_before_the_last_arrives(url: str) -> None:
    long = 4 * BYTES
    with socket(url) as connection:
        send(connection, "Start", input="features")
        connection.send(long)
        assert json.loads(connection.recv(timeout=20))["type"] == "Metadata"
        assert isinstance(connection.recv(timeout=20), bytes)
