"""Text to speech: formats, whole and streamed, names, events, the plan."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import soundfile
from fastapi.testclient import TestClient
from serving import FEATURES, events_of, features_of, say
from serving import SPEECH_URL as URL

from vocoder.audio import io as audio
from vocoder.audio.resampler import Resampler
from vocoder.scheduling.segment import Segment
from vocoder.server.app import create_app
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.request import SynthesisRequest, Vocoding
from vocoder.synthesis.segments import feature_segments
from vocoder.synthesis.speech import Speech
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.voices.registry import VoiceRegistry

TEXT = "Hello there. It is 5:30, and Dr. Smith is late!"
RATE = FEATURES.sample_rate_hz


@pytest.fixture
def expected(synthesizer: Synthesizer, registry: VoiceRegistry) -> audio.Samples:
    """Samples of ``TEXT`` spoken by the first voice and speaker."""
    voice = registry.get("arctic")
    chunks = synthesizer.speak(Speech(TEXT, speaker="slt", seed=1), voice=voice)
    return np.concatenate([chunk.samples for chunk in chunks])


def at(samples: audio.Samples, rate: int) -> bytes:
    resampler = Resampler(RATE, rate)
    parts = (resampler.push(samples), resampler.finish())
    return audio.encode(np.concatenate(parts), rate, "pcm")


def test_pcm_has_24_khz(client: TestClient, expected: audio.Samples) -> None:
    answer = say(client, TEXT, response_format="pcm")
    assert answer.headers["content-type"] == "audio/pcm"
    assert answer.headers["x-sample-rate"] == "24000"
    assert answer.content == at(expected, 24000)
    assert len(answer.content) == 2 * 3 * len(expected)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_other_rates(client: TestClient, expected: audio.Samples, rate: int) -> None:
    for whole in (False, True):
        answer = say(client, TEXT, response_format="pcm", sample_rate=rate, stream=not whole)
        assert answer.content == at(expected, rate)


def test_mp3_is_the_default(client: TestClient, expected: audio.Samples) -> None:
    stream, whole = say(client, TEXT), say(client, TEXT, stream=False)
    assert stream.headers["content-type"] == whole.headers["content-type"] == "audio/mpeg"
    assert whole.content.endswith(stream.content)
    samples, rate = soundfile.read(io.BytesIO(whole.content))
    assert (len(samples), rate) == (len(expected), RATE)


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "pcm"])
def test_a_whole_file_has_its_length(
    client: TestClient, expected: audio.Samples, name: audio.AudioFormat
) -> None:
    answer = say(client, TEXT, response_format=name, stream=False, sample_rate=8000)
    assert answer.content == audio.encode(expected, RATE, name)
    assert answer.headers["content-length"] == str(len(answer.content))
    assert "content-length" not in say(client, TEXT, response_format=name).headers


def test_a_streamed_wav_and_flac_have_no_length(
    client: TestClient, expected: audio.Samples
) -> None:
    wav = say(client, TEXT, response_format="wav").content
    assert wav == audio.wav_header(RATE) + at(expected, RATE)
    flac = bytearray(say(client, TEXT, response_format="flac").content)
    assert flac[22:26] == bytes(4)
    flac[22:26] = len(expected).to_bytes(4, "big")
    samples, rate = soundfile.read(io.BytesIO(flac), dtype="int16")
    assert rate == RATE
    assert samples.astype("<i2").tobytes() == at(expected, RATE)


def test_headers(client: TestClient, synthesizer: Synthesizer, registry: VoiceRegistry) -> None:
    answer = client.post(URL, json={"input": "Hi"}, headers={"accept": "application/octet-stream"})
    headers = answer.headers
    assert (headers["x-voice"], headers["x-speaker"]) == ("arctic", "slt")
    assert headers["x-voice-hash"] == registry.get("arctic").digest
    assert headers["x-engine"] == synthesizer.engine_name(registry.get(None))
    assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-cache", "no")
    assert headers["x-request-id"]
    drawn = headers["x-seed"]
    assert client.post(URL, json={"input": "Hi"}).headers["x-seed"] != drawn
    assert client.post(URL, json={"input": "Hi", "seed": int(drawn)}).content == answer.content


def test_instructions_of_openai_clients_are_accepted(client: TestClient) -> None:
    assert (
        say(client, TEXT, model="tts-1", voice="alloy", instructions="Cheerfully!").status_code
        == 200
    )


def duration_s(client: TestClient, text: str = TEXT, **options: Any) -> float:
    return len(say(client, text, response_format="pcm", **options).content) / 2 / 24000


def test_speed_ssml_and_lexicon_have_an_effect(client: TestClient) -> None:
    assert duration_s(client, speed=0.25) > 1.5 * duration_s(client)
    pause = '<speak>Hello <break time="2s"/> there.</speak>'
    assert duration_s(client, pause, ssml=True) > 2
    as_it_is = {"input": "GIF"}
    lexicon = as_it_is | {"lexicon": {"GIF": "d͡ʒˈɪf"}}
    plans = [client.post(f"{URL}/plan", json=body).json() for body in (as_it_is, lexicon)]
    assert plans[0]["phonemes"] != plans[1]["phonemes"] == "d͡ʒˈɪf."


def test_all_options_reach_the_synthesizer(
    client: TestClient, synthesizer: Synthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = []

    def segments(request: SynthesisRequest) -> Iterator[Segment | None]:
        heard.append((request.content, request.voice.id))
        return feature_segments(Vocoding(features_of(8)), request.voice)

    monkeypatch.setattr(synthesizer, "segments", segments)
    how = {"seed": 5, "speed": 2, "pitch": -3.5, "ssml": True, "lexicon": {"a": "ə"}}
    answer = say(client, "Hi.", voice="other/花子", engine="reference", **how)
    assert (answer.status_code, answer.headers["x-engine"]) == (200, "reference")
    # The default voice may still be warming up.
    assert [asked for asked in heard if asked[1] != "arctic"] == [
        (Speech("Hi.", speaker="花子", **how, max_s=10_800.0), "other")
    ]


def test_an_engine_can_be_named(client: TestClient) -> None:
    answer = say(client, "Hi.", engine="reference")
    assert (answer.status_code, answer.headers["x-engine"]) == (200, "reference")


@pytest.mark.parametrize(
    ("names", "voice", "speaker"),
    [
        ({}, "arctic", "slt"),
        ({"model": "other"}, "other", "slt"),
        ({"model": "tts-1-hd"}, "arctic", "slt"),
        ({"model": "gpt-4o-mini-tts", "voice": "alloy"}, "arctic", "slt"),
        ({"voice": "ash"}, "arctic", "花子"),
        ({"model": "other", "voice": "ash"}, "other", "花子"),
        ({"voice": "花子"}, "arctic", "花子"),
        ({"voice": "other"}, "other", "slt"),
        ({"voice": {"id": "other"}}, "other", "slt"),
        ({"model": "arctic", "voice": "other/花子"}, "other", "花子"),
        ({"voice": "alloy", "speaker": "花子"}, "arctic", "花子"),
        ({"voice": "other", "speaker": "花子"}, "other", "花子"),
        ({"voice": None, "model": None, "speaker": None}, "arctic", "slt"),
    ],
)
def test_who_speaks(
    client: TestClient, names: dict[str, Any], voice: str, speaker: str, synthesizer: Synthesizer
) -> None:
    headers = say(client, "Hi.", **names).headers
    assert headers["x-voice"] == voice
    assert headers["x-speaker"] == {"slt": "slt", "花子": "%E8%8A%B1%E5%AD%90"}[speaker]


def test_aliases_from_the_settings(settings: ServerSettings, synthesizer: Synthesizer) -> None:
    aliases = {"alloy": "other/花子", "Jenny": "other"}
    app = create_app(settings.model_copy(update={"voice_aliases": aliases}), synthesizer)
    with TestClient(app) as client:
        assert say(client, "Hi.", voice="alloy").headers["x-speaker"] != "slt"
        assert say(client, "Hi.", voice="Jenny").headers["x-voice"] == "other"


def test_events_contain_the_audio(client: TestClient, expected: audio.Samples) -> None:
    for name in ("mp3", "wav", "flac", "pcm"):
        *deltas, done = events_of(say(client, TEXT, stream_format="sse", response_format=name))
        assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
        sound = b"".join(base64.b64decode(delta["audio"]) for delta in deltas)
        assert sound == say(client, TEXT, response_format=name).content
        frames = len(expected) // FEATURES.hop_length
        assert done == {
            "type": "speech.audio.done",
            "usage": {
                "input_tokens": len(TEXT),
                "output_tokens": frames,
                "total_tokens": len(TEXT) + frames,
            },
        }


def test_timings_precede_each_sentence_and_are_those_of_the_plan(client: TestClient) -> None:
    found = events_of(say(client, TEXT, stream_format="sse", timings=True, response_format="pcm"))
    kinds = [event["type"].rpartition(".")[2] for event in found]
    assert kinds[0] == "timings"
    assert kinds.count("timings") == 2
    assert kinds[1] == "delta"
    sentences = [event for event in found if event["type"] == "speech.audio.timings"]
    plan = client.post(f"{URL}/plan", json={"input": TEXT, "seed": 1}).json()
    for sentence, planned in zip(sentences, plan["sentences"], strict=True):
        assert sentence["text"] == planned["text"]
        assert sentence["words"] == planned["words"]
    last = sentences[-1]["words"][-1]
    assert last["phonemes"][0]["start_s"] == last["start_s"]
    assert last["start_s"] < last["end_s"] <= duration_s(client)


def test_the_plan_is_as_long_as_the_audio(client: TestClient, expected: audio.Samples) -> None:
    answer = client.post(f"{URL}/plan", json={"input": TEXT, "voice": "slt", "speed": 1.0})
    plan = answer.json()
    assert (answer.status_code, plan["model"], plan["speaker"]) == (200, "arctic", "slt")
    assert plan["duration_s"] == pytest.approx(len(expected) / RATE, abs=1e-4)
    first, second = plan["sentences"]
    assert plan["text"] == f"{first['text']} {second['text']}"
    assert "thirty" in second["text"]
    assert plan["phonemes"] == f"{first['phonemes']} {second['phonemes']}"
    assert [word["text"] for word in first["words"]] == ["Hello", "there"]
    times = [
        (phoneme["start_s"], phoneme["end_s"])
        for sentence in plan["sentences"]
        for word in sentence["words"]
        for phoneme in word["phonemes"]
    ]
    assert all(start < end for start, end in times)
    assert times == sorted(times)


def test_the_log_has_the_length_of_the_text_but_not_the_text(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    say(client, "Secret words.")
    (line,) = (r.fields for r in caplog.records if r.message == "request")  # type: ignore[attr-defined]
    assert (line["characters"], line["voice"], line["speaker"], line["seed"]) == (
        13, "arctic", "slt", 1,
    )  # fmt: skip
    assert {"first_audio_ms", "generation_ms", "audio_s", "queue_ms"} <= set(line)
    assert "Secret" not in caplog.text
