"""The WebSocket as its clients see it: a real server, and the client of the websockets library."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import numpy as np
import pytest
import soundfile
from serving import FEATURES, features_of, live
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from server.app import create_app
from server.settings import ServerSettings
from vocoder.features import serialize
from vocoder.synthesizer import Synthesizer

TEXT = "Hello there. It is 5:30, and Dr. Smith is late! Is he? He is... but\n\nnobody minds."
MEL = features_of(30)
BYTES = MEL.mel.T.contiguous().numpy().astype("<f4").tobytes()
FRAME_BYTES = 4 * FEATURES.n_mels


@pytest.fixture(scope="module")
def url(voices_dir: Path, synthesizer: Synthesizer) -> Iterator[str]:
    settings = ServerSettings(
        voices_dir=voices_dir, max_streams=16, max_text_chars=2000, max_audio_s=1.0
    )
    with live(create_app(settings, synthesizer)) as port:
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def socket(url: str, **query: object) -> Iterator[ClientConnection]:
    words = urlencode({"seed": 1, **query})
    with connect(f"ws://{url}/v1/audio/stream?{words}", proxy=None, max_size=None) as connection:
        yield connection


def send(connection: ClientConnection, kind: str, **fields: object) -> None:
    connection.send(json.dumps({"type": kind, **fields}))


@dataclass
class Heard:
    """What came until the server closed: messages, and the audio of each context."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    audio: dict[str | None, bytes] = field(default_factory=dict)
    code: int | None = None

    @property
    def kinds(self) -> list[str]:
        return [message["type"] for message in self.messages]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]


def hear(connection: ClientConnection, *, close: bool = True) -> Heard:
    """Everything until the server closes, after a Close."""
    found, context = Heard(), None
    if close:
        send(connection, "Close")
    try:
        for message in connection:
            if isinstance(message, bytes):
                found.audio[context] = found.audio.get(context, b"") + message
            else:
                found.messages.append(json.loads(message))
                if found.messages[-1]["type"] == "Audio":
                    context = found.messages[-1].get("context_id")
    except ConnectionClosed:
        pass
    found.code = connection.close_code
    return found


def post(url: str, text: str = TEXT, **options: object) -> bytes:
    body = {"input": text, "seed": 1, "response_format": "pcm", "sample_rate": 8000, **options}
    return httpx2.post(f"http://{url}/v1/audio/speech", json=body).content


def speak(connection: ClientConnection, text: str, size: int = 10**6, **fields: object) -> None:
    for at in range(0, len(text), size):
        send(connection, "Speak", text=text[at : at + size], **fields)


@pytest.mark.parametrize("size", [1, 7, 10**6])
def test_text_in_pieces_sounds_as_the_whole_text_does(url: str, size: int) -> None:
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


def test_each_turn_sounds_as_if_it_were_alone(url: str) -> None:
    with socket(url) as connection:
        for _ in range(3):
            speak(connection, TEXT, 5)
            send(connection, "Flush")
        heard = hear(connection)
    assert [flushed["sequence_id"] for flushed in heard.of("Flushed")] == [0, 1, 2]
    assert heard.audio[None] == 3 * post(url)


def test_close_speaks_what_was_not_flushed(url: str) -> None:
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


def test_seeds_are_drawn_and_told(url: str) -> None:
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
def test_telephone_audio_is_the_same_speech(url: str, encoding: str, subtype: str) -> None:
    with socket(url, encoding=encoding) as connection:
        speak(connection, TEXT, 9)
        heard = hear(connection)
    import io

    raw: dict[str, Any] = {"format": "RAW", "samplerate": 8000, "channels": 1, "subtype": subtype}
    read, _ = soundfile.read(io.BytesIO(heard.audio[None]), **raw)
    pcm = np.frombuffer(post(url), "<i2") / 32768
    assert len(read) == len(pcm)
    assert np.max(np.abs(read - pcm)) < 0.04


def test_resampled_audio_is_that_of_http(url: str) -> None:
    with socket(url, sample_rate=24000) as connection:
        speak(connection, TEXT, 9)
        assert hear(connection).audio[None] == post(url, sample_rate=24000)


def vocoded(url: str) -> bytes:
    answer = httpx2.post(
        f"http://{url}/v1/audio/vocode",
        params={"seed": 1, "response_format": "pcm"},
        content=serialize(MEL),
        headers={"content-type": "application/octet-stream"},
    )
    assert answer.status_code == 200
    return answer.content


@pytest.mark.parametrize("frames", [1, 7, 30])
def test_features_in_pieces_sound_as_the_whole_does(url: str, frames: int) -> None:
    with socket(url) as connection:
        send(connection, "Start", input="features", features={"n_mels": FEATURES.n_mels})
        for at in range(0, len(BYTES), frames * FRAME_BYTES):
            connection.send(BYTES[at : at + frames * FRAME_BYTES])
        send(connection, "Flush")
        send(connection, "Features", mel=MEL.mel.T.tolist())
        heard = hear(connection)
    assert heard.kinds == ["Metadata", "Flushed", "Flushed"]
    assert heard.audio[None] == 2 * vocoded(url)


def test_features_are_heard_before_the_last_has_come(url: str) -> None:
    long = 4 * BYTES
    with socket(url) as connection:
        send(connection, "Start", input="features")
        connection.send(long)
        assert json.loads(connection.recv(timeout=20))["type"] == "Metadata"
        assert isinstance(connection.recv(timeout=20), bytes)


def test_clear_drops_what_was_not_sent(url: str) -> None:
    with socket(url) as connection:
        speak(connection, "Never heard")
        send(connection, "Clear")
        speak(connection, TEXT)
        heard = hear(connection)
    assert heard.kinds == ["Metadata", "Cleared", "Flushed"]
    assert heard.audio[None] == post(url)


def test_no_audio_comes_after_clear_is_answered(url: str) -> None:
    with socket(url) as connection:
        speak(connection, TEXT * 15)
        send(connection, "Flush")
        while not isinstance(connection.recv(timeout=20), bytes):
            pass
        send(connection, "Clear")
        while True:
            message = connection.recv(timeout=20)
            if isinstance(message, str) and json.loads(message)["type"] == "Cleared":
                break
        heard = hear(connection)
    assert (heard.messages, heard.audio) == ([], {})


def test_cancel_ends_a_context_and_its_options(url: str) -> None:
    with socket(url) as connection:
        speak(connection, TEXT, context_id="a", speaker="花子")
        send(connection, "Cancel", context_id="a")
        speak(connection, TEXT, context_id="a")
        heard = hear(connection)
    assert heard.of("Cancelled") == [{"type": "Cancelled", "context_id": "a"}]
    assert [m["speaker"] for m in heard.of("Metadata")] == ["花子", "slt"]
    assert heard.audio["a"].endswith(post(url))


def test_more_contexts_than_a_connection_has_replace_silent_ones(url: str) -> None:
    with socket(url) as connection:
        for number in range(30):
            speak(connection, "Hi.", context_id=str(number))
            send(connection, "Flush", context_id=str(number))
            while "Flushed" not in str(connection.recv(timeout=20)):
                pass
        for number in range(9):
            speak(connection, "A word", context_id=f"open {number}")
        heard = hear(connection)
    (error,) = heard.of("Error")
    assert (error["context_id"], error["error"]["code"]) == ("open 8", "too_many_contexts")


def test_a_text_with_nothing_to_speak_is_said_to_have_nothing(url: str) -> None:
    with socket(url) as connection:
        for text in ("?! ...", " \n"):
            speak(connection, text)
            send(connection, "Flush")
        heard = hear(connection)
    assert heard.kinds == ["Metadata", "Warning", "Flushed", "Flushed"]
    assert heard.of("Warning")[0]["code"] == "nothing_to_speak"
    assert [m["audio_s"] for m in heard.of("Flushed")] == [0.0, 0.0]


def test_a_turn_that_breaks_off_is_dropped_until_its_flush(url: str) -> None:
    with socket(url) as connection:
        speak(connection, "Привет, мир! Как дела? ", 3)
        speak(connection, "Это русский текст, его много. ", 3)
        send(connection, "Flush")
        speak(connection, TEXT)
        heard = hear(connection)
    assert heard.kinds == ["Metadata", "Error", "Flushed", "Flushed"]
    assert heard.of("Error")[0]["error"]["code"] == "invalid_text"
    assert heard.audio[None] == post(url)


def test_too_much_text_is_not_taken(url: str) -> None:
    with socket(url) as connection:
        speak(connection, "a" * 2001)
        speak(connection, TEXT)
        heard = hear(connection)
    assert heard.kinds == ["Metadata", "Error", "Flushed"]
    assert heard.of("Error")[0]["error"]["code"] == "text_too_long"
    assert heard.audio[None] == post(url)


def test_a_long_conversation_may_be_longer_than_that(url: str) -> None:
    with socket(url) as connection:
        for _ in range(12):
            speak(connection, TEXT * 3)
            send(connection, "Flush")
            while "Flushed" not in str(connection.recv(timeout=20)):
                pass
        assert hear(connection).kinds == []


def test_too_many_features_are_not_taken(url: str) -> None:
    with socket(url) as connection:
        send(connection, "Start", input="features")
        connection.send(BYTES * 20)
        connection.send(BYTES)
        heard = hear(connection)
    assert heard.of("Error")[0]["error"]["code"] == "audio_too_long"
    assert heard.audio[None] == vocoded(url)


@pytest.mark.parametrize(
    ("sent", "code", "param"),
    [
        ('{"type":"Speak"}', "invalid_message", "text"),
        ('{"type":"Sing"}', "invalid_message", "type"),
        ("{", "invalid_json", None),
        ('{"type":"Speak","text":"a","voise":"x"}', "unknown_parameter", "voise"),
        ('{"type":"Speak","text":"a","voice":"nobody"}', "not_found", "voice"),
        ('{"type":"Start","input":"features","features":{"hop_length":9}}', None, "hop_length"),
        ('{"type":"Features","mel":[[1]]}', "features_not_started", None),
    ],
)
def test_mistakes_are_errors_and_the_connection_goes_on(
    url: str, sent: str, code: str | None, param: str | None
) -> None:
    with socket(url) as connection:
        connection.send(sent)
        speak(connection, TEXT)
        heard = hear(connection)
    (error,) = heard.of("Error")
    assert error["error"]["param"] == param
    assert code in (None, error["error"]["code"])
    assert heard.audio[None] == post(url)


def test_options_come_with_a_contexts_first_message(url: str) -> None:
    with socket(url) as connection:
        speak(connection, "One. ", context_id="a")
        speak(connection, "Two.", context_id="a", seed=3)
        send(connection, "Start", input="features", context_id="a")
        heard = hear(connection)
    errors = [m["error"] for m in heard.of("Error")]
    assert [error["code"] for error in errors] == ["context_started", "wrong_input"]
    assert heard.audio["a"] == post(url, "One. ")


def test_a_binary_message_without_a_start_closes(url: str) -> None:
    with socket(url) as connection:
        connection.send(b"abc")
        heard = hear(connection, close=False)
    assert (heard.kinds, heard.code) == (["Error"], 1003)
    assert heard.of("Error")[0]["error"]["code"] == "features_not_started"


def test_mistakes_without_end_close(url: str) -> None:
    with socket(url) as connection, contextlib.suppress(ConnectionClosed):
        for _ in range(101):
            connection.send("{")
    heard = hear(connection, close=False)
    assert heard.code == 1008
    assert heard.of("Error")[-1]["error"]["code"] == "too_many_mistakes"


@pytest.mark.parametrize(
    ("query", "status", "param"),
    [
        ({"voise": "x"}, 422, "voise"),
        ({"voice": "nobody"}, 404, "voice"),
        ({"seed": "one"}, 422, "seed"),
        ({"encoding": "opus"}, 422, "encoding"),
        ({"sample_rate": 16001}, 422, "sample_rate"),
        ({"speed": 9}, 422, "speed"),
        ({"engine": "warp"}, 422, None),
    ],
)
def test_a_wrong_query_is_refused_before_the_socket_opens(
    url: str, query: dict[str, object], status: int, param: str | None
) -> None:
    with pytest.raises(InvalidStatus) as caught, socket(url, **query):
        pass
    answer = caught.value.response
    assert answer.status_code == status
    error = json.loads(answer.body)["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert param in (None, error["param"])
