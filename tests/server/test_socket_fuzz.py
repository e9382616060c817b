"""Messages that no client should send over a WebSocket: a clear error, and the server lives."""

import copy
import json
import random
import struct
from typing import Any

import pytest
from exchanges import (
    CLEAR,
    CLOSE_CODES,
    FLUSH,
    MEL,
    PATH,
    START,
    check_errors,
    exchange,
    speak,
    text,
)
from load.raw import Opcode, RawSocket, frame
from serving import FEATURES

MUTATED_SESSIONS = 60

pytestmark = pytest.mark.usefixtures("lives_on")

NO_MESSAGES = [
    *(
        "",
        " ",
        "{",
        "}",
        "{]",
        "nul",
        "NaN",
        "'",
        '{"type":"Speak","text":"a"',
        '{"type":"Speak"}{}',
    ),
    *("null", "true", "1", "1e999", '"Speak"', "[]", '[{"type":"Flush"}]', "{}"),
    *('{"type":null}', '{"type":1}', '{"type":["Speak"]}', '{"type":""}', '{"type":"speak"}'),
    *('{"type":"Sing"}', '{"text":"a"}', '{"Type":"Flush"}', "\0", "\ufeff{}", "<xml/>"),
    "[" * 100_000,
    '{"a":' * 50_000,
    '{"type":' + '{"type":' * 500 + "1" + "}" * 501,
]


@pytest.mark.parametrize("message", NO_MESSAGES, ids=lambda message: repr(message[:24]))
def test_what_is_no_message_is_an_error_and_the_next_is_heard(
    port: int, sound: bytes, message: str
) -> None:
    found = exchange(port, text(message) + speak() + FLUSH)
    check_errors(found)
    assert len(found.errors) == 1
    assert (found.audio, found.close_code) == (sound, 1000)


WRONG_FIELDS = [
    {"type": "Speak"},
    {"type": "Speak", "text": None},
    {"type": "Speak", "text": 1},
    {"type": "Speak", "text": ["a"]},
    {"type": "Speak", "text": "a", "contextid": "a"},
    {"type": "Speak", "text": "a", "context_id": 5},
    {"type": "Speak", "text": "a", "context_id": {"a": 1}},
    {"type": "Speak", "text": "a", "context_id": "x" * 100_000},
    {"type": "Speak", "text": "a", "context_id": "a", "seed": -1},
    {"type": "Speak", "text": "a", "context_id": "a", "seed": "one"},
    {"type": "Speak", "text": "a", "context_id": "a", "seed": 2**70},
    {"type": "Speak", "text": "a", "context_id": "a", "speed": 1e308},
    {"type": "Speak", "text": "a", "context_id": "a", "voice": "../arctic"},
    {"type": "Speak", "text": "a", "context_id": "a", "voice": "nobody"},
    {"type": "Speak", "text": "a", "context_id": "a", "engine": "warp"},
    {"type": "Speak", "text": "a", "context_id": "a", "encoding": "opus"},
    {"type": "Speak", "text": "a", "context_id": "a", "sample_rate": 16001},
    {"type": "Speak", "text": "a", "context_id": "a", "lexicon": {"a": 1}},
    {"type": "Flush", "context_id": 1},
    {"type": "Flush", "now": True},
    {"type": "Clear", "context_id": []},
    {"type": "Cancel", "context_id": None, "x": 1},
    {"type": "Close", "code": 1000},
    {"type": "Start"},
    {"type": "Start", "input": "video"},
    {"type": "Start", "input": "features", "features": {"hop_length": 41}},
    {"type": "Start", "input": "features", "features": {"warp": 1}},
    {"type": "Features"},
    {"type": "Features", "mel": "loud"},
    {"type": "Features", "mel": [[1.0]]},
    {"type": "Features", "mel": []},
]


@pytest.mark.parametrize("message", WRONG_FIELDS, ids=lambda message: json.dumps(message)[:60])
def test_a_message_with_wrong_fields_is_an_error(
    port: int, sound: bytes, message: dict[str, object]
) -> None:
    found = exchange(
        port,
        text(message) + speak(context_id="after") + text({"type": "Flush", "context_id": "after"}),
    )
    check_errors(found)
    assert found.errors
    assert (found.audio, found.close_code) == (sound, 1000)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing", ""),
        ("blank", " \n\t "),
        ("no words", "?! ..."),
        ("NUL", "a\0b."),
        ("controls", "".join(map(chr, range(32))) + "."),
        ("lone surrogate", "\ud800 a."),
        ("direction marks", "\u202e\u2066 hello \u2069."),
        ("symbols", "🎈" * 200),
        ("marks without end", "e" + "\u0301" * 5000 + "."),
        ("one long word", "a" * 10_000),
        ("no stops", "word " * 2000),
        ("only stops", "." * 10_000),
        ("too long", "Hello there. " * 2000),
        ("SSML", "<speak><break time='1000h'/></speak>"),
    ],
)
def test_a_text_that_is_no_text_ends_in_audio_or_an_error(port: int, name: str, words: str) -> None:
    # Cleared: what is asked is only whether it is taken or refused.
    found = exchange(port, speak(words) + CLEAR)
    check_errors(found)
    assert found.close_code == 1000
    assert "Cleared" in found.kinds


def test_a_long_text_without_stops_is_spoken(port: int) -> None:
    found = exchange(port, speak("word " * 60) + FLUSH)
    assert not found.errors
    assert found.audio


WRONG_ORDER = {
    "flush first": [FLUSH],
    "clear first": [CLEAR],
    "cancel first": [text({"type": "Cancel"})],
    "cancel what is not": [text({"type": "Cancel", "context_id": "none"})],
    "flush twice": [speak(), FLUSH, FLUSH],
    "clear twice": [speak(), CLEAR, CLEAR],
    "cancel twice": [speak(), text({"type": "Cancel"}), text({"type": "Cancel"})],
    "options later": [speak(), speak(seed=5), FLUSH],
    "features without a start": [text({"type": "Features", "mel": [[0.0] * 8]})],
    "audio without a start": [frame(Opcode.BINARY, MEL)],
    "start within a text": [speak("One. Two."), START, frame(Opcode.BINARY, MEL)],
    "start twice": [START, START, frame(Opcode.BINARY, MEL), FLUSH],
    "text within features": [START, frame(Opcode.BINARY, MEL), speak(), FLUSH],
    "start and nothing": [START, FLUSH],
    "start and leave": [START],
    "half a frame of features": [START, frame(Opcode.BINARY, MEL[:30]), FLUSH],
    "three bytes": [START, frame(Opcode.BINARY, b"abc"), FLUSH],
    "no bytes": [START, frame(Opcode.BINARY, b""), FLUSH],
    "no numbers": [START, frame(Opcode.BINARY, struct.pack("<f", float("nan")) * 8), FLUSH],
    "infinite": [START, frame(Opcode.BINARY, struct.pack("<f", float("inf")) * 8), FLUSH],
    "no logarithms": [START, frame(Opcode.BINARY, struct.pack("<f", 1e30) * 8), FLUSH],
    "text as binary": [frame(Opcode.BINARY, b'{"type":"Flush"}')],
    "close twice": [speak(), text({"type": "Close"}), text({"type": "Close"})],
    "more after close": [speak(), text({"type": "Close"}), speak(), FLUSH],
}


@pytest.mark.parametrize("name", WRONG_ORDER)
def test_messages_in_a_wrong_order(port: int, name: str) -> None:
    found = exchange(port, b"".join(WRONG_ORDER[name]))
    check_errors(found)
    assert found.close_code in CLOSE_CODES


@pytest.mark.parametrize(
    "query",
    ["?sped=1", "?seed=one", "?seed=1&seed=2", "?voice=nobody", "?encoding=opus", "?sample_rate=1"],
)
def test_a_wrong_query_is_refused_before_the_socket_opens(port: int, query: str) -> None:
    with RawSocket(("127.0.0.1", port)) as raw:
        assert 400 <= raw.upgrade(f"{PATH}{query}") < 500


SESSION: list[dict[str, Any]] = [
    {"type": "Speak", "text": "One. Two is longer.", "seed": 3, "speed": 1.5},
    {"type": "Speak", "text": "And more", "context_id": "b", "voice": "slt"},
    {"type": "Flush", "context_id": "b"},
    {"type": "Clear"},
    {"type": "Speak", "text": "Again, and again."},
    {"type": "Flush"},
    {
        "type": "Start",
        "input": "features",
        "context_id": "f",
        "features": {"n_mels": FEATURES.n_mels},
    },
    {"type": "Features", "mel": [[-6.0] * FEATURES.n_mels] * 3, "context_id": "f"},
    {"type": "Flush", "context_id": "f"},
    {"type": "Cancel", "context_id": "b"},
]
JUNK: list[Any] = [
    None,
    True,
    -1,
    0,
    1e300,
    "",
    "x",
    "slt",
    "f",
    [],
    {},
    [[]],
    {"a": [1]},
    "\ud800",
]


def mutated(draw: random.Random) -> bytes:
    """A valid session in which a few things are wrong."""
    messages: list[Any] = copy.deepcopy(SESSION)
    for _ in range(draw.randint(1, 6)):
        at = draw.randrange(len(messages))
        chosen = draw.random()
        if chosen < 0.2:
            messages.insert(at, copy.deepcopy(draw.choice(messages)))
        elif chosen < 0.35 and len(messages) > 1:
            del messages[at]
        elif chosen < 0.5:
            other = draw.randrange(len(messages))
            messages[at], messages[other] = messages[other], messages[at]
        elif chosen < 0.9 and isinstance(messages[at], dict) and messages[at]:
            key = draw.choice([*messages[at], "seed", "context_id", "x"])
            messages[at][key] = draw.choice(JUNK)
        else:
            messages[at] = draw.choice(JUNK)
    frames = []
    for message in messages:
        data = json.dumps(message).encode()
        if draw.random() < 0.1:
            at = draw.randrange(len(data))
            data = (
                data[:at]
                + draw.choice([b"", b"\0", b"{", b'"', b"\\u", b"9" * 400])
                + data[at + 1 :]
            )
        kind = Opcode.BINARY if draw.random() < 0.05 else Opcode.TEXT
        frames.append(frame(kind, data))
    return b"".join(frames)


def test_mutations_of_a_valid_session(port: int) -> None:
    draw, errors = random.Random(5), 0
    for _ in range(MUTATED_SESSIONS):
        found = exchange(port, mutated(draw))
        check_errors(found)
        assert found.close_code in CLOSE_CODES
        errors += len(found.errors)
    assert errors > MUTATED_SESSIONS
