"""Text in, audio out: formats, streams, events, names, refusals."""

import base64
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import soundfile
from fastapi.testclient import TestClient
from httpx2 import Response
from serving import FEATURES, live, save_voice
from serving import SPEECH_URL as URL

from server.app import create_app
from server.settings import ServerSettings
from vocoder import audio
from vocoder.errors import TextError
from vocoder.resampling import Resampler
from vocoder.speech import Speech, Spoken
from vocoder.synthesizer import Synthesizer
from vocoder.voice import VoiceRegistry

TEXT = "Hello there. It is 5:30, and Dr. Smith is late!"
RATE = FEATURES.sample_rate_hz


def say(client: TestClient, text: str = TEXT, **options: Any) -> Response:
    return client.post(URL, json={"input": text, "seed": 1, **options})


def error_of(answer: Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    error: dict[str, Any] = answer.json()["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert "\n" not in error["message"]
    return error


def events_of(answer: Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    *blocks, last = answer.text.split("\n\n")
    assert last == ""
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


@pytest.fixture
def expected(synthesizer: Synthesizer) -> audio.Samples:
    """The samples of ``TEXT`` by the first voice and speaker."""
    voice = synthesizer.registry.get("arctic")
    chunks = synthesizer.speak(Speech(TEXT, speaker="slt", seed=1), voice=voice)
    return np.concatenate([chunk.samples for chunk in chunks])


def at(samples: audio.Samples, rate: int) -> bytes:
    resampler = Resampler(RATE, rate)
    parts = (resampler.push(samples), resampler.finish())
    return audio.encode(np.concatenate(parts), rate, "pcm")


def test_pcm_has_24_khz(client: TestClient, expected: audio.Samples) -> None:
    answer = say(client, response_format="pcm")
    assert answer.headers["content-type"] == "audio/pcm"
    assert answer.headers["x-sample-rate"] == "24000"
    assert answer.content == at(expected, 24000)
    assert len(answer.content) == 2 * 3 * len(expected)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_other_rates(client: TestClient, expected: audio.Samples, rate: int) -> None:
    for whole in (False, True):
        answer = say(client, response_format="pcm", sample_rate=rate, stream=not whole)
        assert answer.content == at(expected, rate)


def test_mp3_is_the_default(client: TestClient, expected: audio.Samples) -> None:
    stream, whole = say(client), say(client, stream=False)
    assert stream.headers["content-type"] == whole.headers["content-type"] == "audio/mpeg"
    assert whole.content.endswith(stream.content)
    samples, rate = soundfile.read(io.BytesIO(whole.content))
    assert (len(samples), rate) == (len(expected), RATE)


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "pcm"])
def test_a_whole_file_has_its_length(
    client: TestClient, expected: audio.Samples, name: audio.AudioFormat
) -> None:
    answer = say(client, response_format=name, stream=False, sample_rate=8000)
    assert answer.content == audio.encode(expected, RATE, name)
    assert answer.headers["content-length"] == str(len(answer.content))
    assert "content-length" not in say(client, response_format=name).headers


def test_a_streamed_wav_and_flac_have_no_length(
    client: TestClient, expected: audio.Samples
) -> None:
    wav = say(client, response_format="wav").content
    assert wav == audio.wav_header(RATE) + at(expected, RATE)
    flac = bytearray(say(client, response_format="flac").content)
    assert flac[22:26] == bytes(4)
    flac[22:26] = len(expected).to_bytes(4, "big")
    samples, rate = soundfile.read(io.BytesIO(flac), dtype="int16")
    assert rate == RATE
    assert samples.astype("<i2").tobytes() == at(expected, RATE)


def test_headers(client: TestClient, synthesizer: Synthesizer) -> None:
    answer = client.post(URL, json={"input": "Hi"}, headers={"accept": "application/octet-stream"})
    headers = answer.headers
    assert (headers["x-voice"], headers["x-speaker"]) == ("arctic", "slt")
    assert headers["x-voice-hash"] == synthesizer.registry.get("arctic").digest
    assert headers["x-engine"] == synthesizer.engine_name(synthesizer.registry.get(None))
    assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-cache", "no")
    assert headers["x-request-id"]
    drawn = headers["x-seed"]
    assert client.post(URL, json={"input": "Hi"}).headers["x-seed"] != drawn
    assert client.post(URL, json={"input": "Hi", "seed": int(drawn)}).content == answer.content


def test_what_openai_clients_send_besides(client: TestClient) -> None:
    assert say(client, model="tts-1", voice="alloy", instructions="Cheerfully!").status_code == 200


def duration_s(client: TestClient, text: str = TEXT, **options: Any) -> float:
    return len(say(client, text, response_format="pcm", **options).content) / 2 / 24000


def test_speed_ssml_and_lexicon_are_heard(client: TestClient) -> None:
    assert duration_s(client, speed=0.25) > 1.5 * duration_s(client)
    pause = '<speak>Hello <break time="2s"/> there.</speak>'
    assert duration_s(client, pause, ssml=True) > 2
    as_it_is = {"input": "GIF"}
    lexicon = as_it_is | {"lexicon": {"GIF": "d͡ʒˈɪf"}}
    plans = [client.post(f"{URL}/plan", json=body).json() for body in (as_it_is, lexicon)]
    assert plans[0]["phonemes"] != plans[1]["phonemes"] == "d͡ʒˈɪf."


def test_all_of_it_reaches_the_synthesizer(
    client: TestClient, synthesizer: Synthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = []

    def speak(speech: Speech, **options: Any) -> Iterator[Spoken]:
        heard.append((speech, options["voice"].id, options["engine"]))
        return iter([Spoken(np.zeros(8, dtype=np.float32))])

    monkeypatch.setattr(synthesizer, "speak", speak)
    how = {"seed": 5, "speed": 2, "pitch": -3.5, "ssml": True, "lexicon": {"a": "ə"}}
    assert say(client, "Hi.", voice="other/花子", engine="reference", **how).status_code == 200
    assert heard == [(Speech("Hi.", speaker="花子", **how), "other", "reference")]


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


@pytest.mark.parametrize(
    ("names", "param", "known"),
    [
        ({"model": "none"}, "model", "arctic, other, tts-1"),
        ({"model": "../arctic"}, "model", "arctic, other"),
        ({"voice": "none"}, "voice", "slt, 花子; voices are arctic, other"),
        ({"voice": "none/slt"}, "voice", "arctic, other"),
        ({"voice": "other/none"}, "speaker", "slt, 花子"),
        ({"speaker": "none"}, "speaker", "slt, 花子"),
    ],
)
def test_unknown_names(client: TestClient, names: dict[str, str], param: str, known: str) -> None:
    error = error_of(say(client, **names), 404)
    assert (error["param"], error["code"]) == (param, "not_found")
    assert known in error["message"]


def test_a_voice_that_reads_no_text(settings: ServerSettings, tmp_path: Path) -> None:
    save_voice(tmp_path, "mute", reads_text=False)
    with TestClient(create_app(settings, Synthesizer(VoiceRegistry(tmp_path)))) as client:
        for url in (URL, f"{URL}/plan"):
            error = error_of(client.post(url, json={"input": "Hi."}), 422)
            assert (error["param"], error["code"]) == ("voice", "invalid_text")
        assert not client.get("/v1/audio/voices").json()["data"][0]["reads_text"]


def test_no_voice_at_all(settings: ServerSettings, tmp_path: Path) -> None:
    with TestClient(create_app(settings, Synthesizer(VoiceRegistry(tmp_path)))) as client:
        assert error_of(say(client, model="tts-1"), 503)["code"] == "not_ready"
        assert error_of(say(client, model="none"), 503)["code"] == "not_ready"


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
    error = error_of(say(client, **{field: value}), 422)
    assert error["param"] == field
    assert field in error["message"]
    if field == "response_format":
        assert "'mp3', 'wav', 'flac' or 'pcm'" in error["message"]


def test_an_unknown_field(client: TestClient) -> None:
    error = error_of(say(client, sped=2), 422)
    assert (error["param"], error["code"]) == ("sped", "unknown_parameter")
    assert "speed" in error["message"]


SPEAKABLE = ["x" * 900, "👍 ok 👍", "a\0b\x1b[31m c", "Hello Привет and goodbye to all.", "1" * 400]
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
    """A client of a server that takes short texts."""
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
        (b"x" * 100_001, "application/json", "", 413, "body_too_large"),
    ],
)
def test_bodies_that_are_no_request(
    client: TestClient, body: bytes, kind: str, query: str, status: int, code: str
) -> None:
    answer = client.post(URL + query, content=body, headers={"content-type": kind})
    assert error_of(answer, status)["code"] == code


def test_events_hold_the_audio(client: TestClient, expected: audio.Samples) -> None:
    for name in ("mp3", "wav", "flac", "pcm"):
        *deltas, done = events_of(say(client, stream_format="sse", response_format=name))
        assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
        sound = b"".join(base64.b64decode(delta["audio"]) for delta in deltas)
        assert sound == say(client, response_format=name).content
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
    found = events_of(say(client, stream_format="sse", timings=True, response_format="pcm"))
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


class Gated(Synthesizer):
    """Speaks a chunk whenever the test allows one; fails or ends when told to."""

    def __init__(self, inner: Synthesizer) -> None:
        super().__init__(inner.registry)
        self.steps = threading.Semaphore(0)
        self.error: Exception | None = None
        self.closed = threading.Event()

    def speak(self, *args: Any, **options: Any) -> Iterator[Spoken]:
        try:
            while self.steps.acquire(timeout=10):
                yield Spoken(np.zeros(8000, dtype=np.float32))
                if self.error:
                    raise self.error
        finally:
            self.closed.set()

    def ends_without_a_client(self) -> bool:
        """Whether it is stopped, though it could go on."""
        for _ in range(100):
            self.steps.release()
            if self.closed.wait(0.1):
                return True
        return False


@pytest.fixture
def gated(synthesizer: Synthesizer) -> Gated:
    return Gated(synthesizer)


@pytest.mark.parametrize("name", ["mp3", "wav", "flac", "pcm"])
def test_audio_comes_before_the_rest_is_made_and_stops_with_its_client(
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


def test_a_speech_that_breaks_off_breaks_the_connection(
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
def test_events_that_break_off_end_with_an_error(
    settings: ServerSettings, gated: Gated, error: Exception, code: str, message: str
) -> None:
    gated.error = error
    gated.steps.release()
    with TestClient(create_app(settings, gated)) as client:
        first, last = events_of(say(client, "Hi.", stream_format="sse", response_format="pcm"))
    assert first["type"] == "speech.audio.delta"
    assert last["type"] == "error"
    assert (last["error"]["code"], last["error"]["message"]) == (code, message)


def test_a_mistake_before_the_first_audio_is_answered_as_one(
    settings: ServerSettings, gated: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*args: object, **options: object) -> Iterator[Spoken]:
        raise TextError("that cannot be said")

    monkeypatch.setattr(gated, "speak", wrong)
    with TestClient(create_app(settings, gated)) as client:
        for options in ({}, {"stream_format": "sse"}, {"stream": False}):
            error = error_of(say(client, **options), 422)
            assert (error["message"], error["param"]) == ("that cannot be said", "input")


def test_a_client_that_does_not_read_stops_the_work(settings: ServerSettings, gated: Gated) -> None:
    one = settings.model_copy(update={"concurrent_generations": 1, "waiting_generations": 4})
    body = {"input": "Hi.", "response_format": "pcm", "sample_rate": 48000}
    app = create_app(one, gated)
    # More than the sockets and the lead hold.
    for _ in range(400):
        gated.steps.release()
    with live(app) as port:
        url = f"http://127.0.0.1:{port}"
        with httpx2.stream("POST", url + URL, json=body, timeout=10):
            plan = httpx2.post(f"{url}{URL}/plan", json={"input": "Hi."}, timeout=10)
            assert plan.status_code == 200
            assert gated.steps.acquire(blocking=False)
        assert gated.ends_without_a_client()


def test_the_log_says_how_much_was_said_but_not_what(
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
