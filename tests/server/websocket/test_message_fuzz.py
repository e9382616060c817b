"""Messages that no client should send: a clear error, and the server survives."""

import copy
import json
import math
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
    PATIENCE_S,
    START,
    Exchange,
    check_errors,
    exchange,
    read_all,
    speak,
    text,
)
from load.raw import Opcode, RawSocket, frame
from serving import FEATURES

MUTATED_SESSIONS = 60

CLOSE = text({"type": "Close"})


def bands(value: float) -> bytes:
    """A frame of features with one value."""
    return frame(Opcode.BINARY, struct.pack("<f", value) * FEATURES.n_mels)


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
def test_an_invalid_message_is_an_error_and_the_next_one_works(
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


STRANGE_TEXTS = {
    "nothing": "",
    "blank": " \n\t ",
    "no words": "?! ...",
    "NUL": "a\0b.",
    "controls": "".join(map(chr, range(32))) + ".",
    "lone surrogate": "\ud800 a.",
    "direction marks": "\u202e\u2066 hello \u2069.",
    "symbols": "🎈" * 200,
    "marks without end": "e" + "\u0301" * 5000 + ".",
    "one long word": "a" * 10_000,
    "digits": "1" * 10_000,
    "no stops": "word " * 2000,
    "only stops": "." * 10_000,
    "too long": "Hello there. " * 2000,
    "SSML": "<speak><break time='1000h'/></speak>",
}


@pytest.mark.parametrize("name", STRANGE_TEXTS)
def test_a_strange_text_ends_in_audio_or_an_error(port: int, name: str) -> None:
    with RawSocket(("127.0.0.1", port), PATIENCE_S) as raw:
        assert raw.upgrade(PATH) == 101
        raw.send(speak(STRANGE_TEXTS[name]) + FLUSH)
        answer: dict[str, Any] = {}
        while answer.get("type") not in ("Error", "Flushed"):
            one = raw.read_frame()
            if one.opcode == Opcode.BINARY:
                break  # It speaks; to the end it may be far.
            if one.opcode == Opcode.TEXT:
                answer = json.loads(one.payload)
        found = Exchange([answer])
        raw.send(CLEAR + CLOSE)
        read_all(raw, found)
    check_errors(found)
    assert found.close_code == 1000
    assert "Cleared" in found.kinds


def test_a_long_text_without_punctuation_is_spoken(port: int) -> None:
    found = exchange(port, speak("word " * 60) + FLUSH)
    assert not found.errors
    assert found.audio


WRONG_ORDER: dict[str, tuple[list[bytes], list[str], int]] = {
    "flush first": ([FLUSH], [], 1000),
    "clear first": ([CLEAR], [], 1000),
    "cancel first": ([text({"type": "Cancel"})], [], 1000),
    "cancel what is not": ([text({"type": "Cancel", "context_id": "none"})], [], 1000),
    "flush twice": ([speak(), FLUSH, FLUSH], [], 1000),
    "clear twice": ([speak(), CLEAR, CLEAR], [], 1000),
    "cancel twice": ([speak(), *[text({"type": "Cancel"})] * 2], [], 1000),
    "options later": ([speak(), speak(seed=5), FLUSH], ["context_started"], 1000),
    "features without a start": (
        [text({"type": "Features", "mel": [[0.0] * 8]})],
        ["features_not_started"],
        1000,
    ),
    "frames without a start": ([frame(2, MEL)], ["features_not_started"], 1003),
    "text as binary": ([frame(2, FLUSH)], ["features_not_started"], 1003),
    "start within a text": (
        [speak("One. Two."), START, frame(2, MEL)],
        ["wrong_input", "features_not_started"],
        1003,
    ),
    "start twice": ([START, START, frame(2, MEL), FLUSH], [], 1000),
    "text within features": ([START, frame(2, MEL), speak(), FLUSH], ["wrong_input"], 1000),
    "start and nothing": ([START, FLUSH], [], 1000),
    "start and leave": ([START], [], 1000),
    "half a frame": ([START, frame(2, MEL[:30]), FLUSH], ["invalid_features"], 1000),
    "three bytes": ([START, frame(2, b"abc"), FLUSH], ["invalid_features"], 1000),
    "no bytes": ([START, frame(2, b""), FLUSH], ["invalid_features"], 1000),
    "no numbers": ([START, bands(math.nan), FLUSH], ["invalid_features"], 1000),
    "infinite": ([START, bands(math.inf), FLUSH], ["invalid_features"], 1000),
    "no logarithms": ([START, bands(1e30), FLUSH], ["invalid_features"], 1000),
    "close twice": ([speak(), CLOSE, CLOSE], [], 1000),
    "more after close": ([speak(), CLOSE, speak(), FLUSH], [], 1000),
}
"""Messages before a final Close, the expected error codes, and the close code."""


@pytest.mark.parametrize("name", WRONG_ORDER)
def test_messages_in_the_wrong_order(port: int, name: str) -> None:
    sent, codes, close_code = WRONG_ORDER[name]
    found = exchange(port, b"".join(sent))
    check_errors(found)
    assert [error["code"] for error in found.errors] == codes
    assert found.close_code == close_code


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
    """A valid session with a few mutations."""
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
