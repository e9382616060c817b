"""WebSockets of hostile and careless clients: frames without end, and reasons that arrive."""

import contextlib
import json

import pytest
from exchanges import FLUSH, PATH, PATIENCE_S, Exchange, exchange, read_all, speak, text
from load.raw import Opcode, RawSocket, frame

pytestmark = pytest.mark.usefixtures("lives_on")


def flood(port: int, sent: bytes, times: int) -> Exchange:
    """Send bytes again and again, and read only then."""
    found = Exchange()
    with RawSocket(("127.0.0.1", port), PATIENCE_S) as raw:
        assert raw.upgrade(PATH) == 101
        with contextlib.suppress(ConnectionError):
            for _ in range(times):
                raw.send(sent)
        read_all(raw, found)
    return found


def test_a_message_of_endless_fragments_is_refused_with_a_reason(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    empty = frame(Opcode.CONTINUATION, b"", final=False)
    first = frame(Opcode.TEXT, b"{", final=False)
    assert flood(port, first + empty * 2000, 1).close_code == 1009
    assert "Traceback" not in caplog.text


def test_a_message_in_some_fragments_is_one(port: int, sound: bytes) -> None:
    whole = json.dumps({"type": "Speak", "text": "Hello there. It works."}).encode()
    parts = [frame(Opcode.TEXT, whole[:1], final=False)]
    parts += [frame(Opcode.CONTINUATION, whole[at : at + 1], final=False)
              for at in range(1, len(whole))]  # fmt: skip
    parts += [frame(Opcode.CONTINUATION, b"")]
    assert exchange(port, b"".join(parts) + FLUSH).audio == sound


def test_a_client_that_sends_too_large_a_message_gets_to_read_why(port: int) -> None:
    assert flood(port, frame(Opcode.TEXT, b"a" * 3_000_000), 1).close_code == 1009


def test_text_that_is_not_utf_8_closes_without_a_traceback(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert exchange(port, frame(Opcode.TEXT, b"\xff\xfe"), close=False).close_code == 1007
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.exc_info]


def test_many_small_messages_at_once_are_all_answered(port: int, sound: bytes) -> None:
    found = exchange(port, frame(Opcode.PING, b"") * 3000 + speak() + FLUSH)
    assert found.pongs == 3000
    assert found.audio == sound


MANY = 40_000
KEYS = {f"k{number}": 1 for number in range(MANY)}
DUPLICATES = '{"type":"Speak","text":"a",' + ",".join(['"k":1'] * MANY) + "}"
TOO_MANY: dict[str, object] = {
    "keys": {"type": "Speak", "text": "a", **KEYS},
    "one key": DUPLICATES,
    "lexicon": {"type": "Speak", "text": "a", "lexicon": KEYS},
    "features": {"type": "Features", "x": [""] * MANY},
    "context": {"type": "Features", "mel": [], "context_id": [""] * MANY},
}


@pytest.mark.parametrize("name", TOO_MANY)
def test_a_message_with_too_many_values_is_refused(port: int, sound: bytes, name: str) -> None:
    found = exchange(port, text(TOO_MANY[name]) + speak() + FLUSH)
    (error,) = found.errors
    assert error["code"] in ("too_many_values", "unknown_parameter")
    assert found.audio == sound


def test_an_unknown_path_is_answered_like_any_other(port: int) -> None:
    with RawSocket(("127.0.0.1", port), PATIENCE_S) as raw:
        assert raw.upgrade("/v1/audio/nothing") == 404
