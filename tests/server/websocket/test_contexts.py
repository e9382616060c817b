"""Contexts, Clear and Cancel, and mistakes: the connection stays open, or closes with a code."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import live
from socketing import BYTES, TEXT, hear, post, send, socket, speak, vocoded
from websockets.exceptions import ConnectionClosed, InvalidStatus

from vocoder.server.app import create_app
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.synthesizer import Synthesizer


@pytest.fixture(scope="module")
def url(voices_dir: Path, synthesizer: Synthesizer) -> Iterator[str]:
    settings = ServerSettings(
        voices_dir=voices_dir, max_streams=16, max_text_chars=2000, max_audio_s=1.0
    )
    with live(create_app(settings, synthesizer)) as port:
        yield f"127.0.0.1:{port}"


def test_clear_drops_unsent_audio(url: str) -> None:
    with socket(url) as connection:
        speak(connection, "Never heard")
        send(connection, "Clear")
        speak(connection, TEXT)
        heard = hear(connection)
    assert heard.kinds == ["Metadata", "Cleared", "Flushed"]
    assert heard.audio[None] == post(url)


def test_no_audio_follows_cleared(url: str) -> None:
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


def test_contexts_beyond_the_limit_replace_idle_ones(url: str) -> None:
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


def test_a_text_with_nothing_to_speak_causes_a_warning(url: str) -> None:
    with socket(url) as connection:
        for text in ("?! ...", " \n"):
            speak(connection, text)
            send(connection, "Flush")
        heard = hear(connection)
    assert heard.kinds == ["Metadata", "Warning", "Flushed", "Flushed"]
    assert heard.of("Warning")[0]["code"] == "nothing_to_speak"
    assert [m["audio_s"] for m in heard.of("Flushed")] == [0.0, 0.0]


def test_a_failed_utterance_is_dropped_until_its_flush(url: str) -> None:
    with socket(url) as connection:
        speak(connection, "Привет, мир! Как дела? ", 3)
        speak(connection, "Это русский текст, его много. ", 3)
        send(connection, "Flush")
        speak(connection, TEXT)
        heard = hear(connection)
    assert heard.kinds == ["Metadata", "Error", "Flushed", "Flushed"]
    assert heard.of("Error")[0]["error"]["code"] == "invalid_text"
    assert heard.audio[None] == post(url)


def test_too_much_text_is_refused(url: str) -> None:
    with socket(url) as connection:
        speak(connection, "a" * 2001)
        speak(connection, TEXT)
        heard = hear(connection)
    assert heard.kinds == ["Metadata", "Error", "Flushed"]
    assert heard.of("Error")[0]["error"]["code"] == "text_too_long"
    assert heard.audio[None] == post(url)


def test_a_conversation_may_exceed_the_limit_in_total(url: str) -> None:
    with socket(url) as connection:
        for _ in range(12):
            speak(connection, TEXT * 3)
            send(connection, "Flush")
            while "Flushed" not in str(connection.recv(timeout=20)):
                pass
        assert hear(connection).kinds == []


def test_too_many_features_are_refused(url: str) -> None:
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
def test_mistakes_are_errors_and_the_connection_stays_open(
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


def test_options_belong_in_a_contexts_first_message(url: str) -> None:
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


def test_too_many_mistakes_close_the_connection(url: str) -> None:
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
