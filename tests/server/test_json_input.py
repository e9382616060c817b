"""JSON with more in it than any request needs: refused after one look, in every door."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from serving import FEATURES, SPEECH_URL, VOCODE_URL, error_of, features_of
from starlette.testclient import WebSocketDenialResponse

from vocoder.server.app import create_app
from vocoder.server.http import feature_rows
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.synthesizer import Synthesizer

JSON = {"content-type": "application/json"}
MANY = 60_000
KEYS = ",".join(f'"k{number}":1' for number in range(MANY))
DUPLICATES = ",".join(['"k":1'] * MANY)
EMPTY = ",".join(['""'] * MANY)

WRONG = {
    "tags": f'{{"input":"Hi.","tags":[{EMPTY}]}}',
    "keys": f'{{"input":"Hi.",{KEYS}}}',
    "lexicon": f'{{"input":"Hi.","lexicon":{{{KEYS}}}}}',
    "voice": f'{{"input":"Hi.","voice":{{{KEYS}}}}}',
    "nested": f'{{"input":"Hi.","voice":[{",".join(["[[1]]"] * MANY)}]}}',
}


@pytest.fixture
def wide(settings: ServerSettings, synthesizer: Synthesizer) -> Any:
    """A client of a server with its default limits of bodies."""
    given = settings.model_copy(update={"max_body_bytes": 16 * 2**20})
    with TestClient(create_app(given, synthesizer)) as client:
        yield client


@pytest.mark.parametrize("url", [SPEECH_URL, f"{SPEECH_URL}/plan", "/v1/speak", VOCODE_URL])
@pytest.mark.parametrize("body", WRONG)
def test_too_many_values_are_refused(wide: TestClient, url: str, body: str) -> None:
    error = error_of(wide.post(url, content=WRONG[body], headers=JSON), 422)
    assert error["code"] == "too_many_values"
    assert 'limit="too_many_values"} 1.0' in wide.get("/metrics").text


@pytest.mark.parametrize("url", [SPEECH_URL, "/v1/speak", VOCODE_URL])
def test_one_key_again_and_again_is_one_mistake(wide: TestClient, url: str) -> None:
    body = f'{{"input":"Hi.",{DUPLICATES}}}'
    error = error_of(wide.post(url, content=body, headers=JSON), 422)
    assert error["code"] in ("too_many_values", "unknown_parameter", "invalid_request")


def test_a_text_of_commas_is_no_list_of_values(wide: TestClient) -> None:
    body = json.dumps({"input": "Hello, " * 4000})
    assert error_of(wide.post(f"{SPEECH_URL}/plan", content=body, headers=JSON), 422)["code"] == (
        "text_too_long"
    )
    body = json.dumps({"input": "Hello there, " + "," * 4000})
    assert wide.post(f"{SPEECH_URL}/plan", content=body, headers=JSON).status_code == 200


def test_the_first_mistake_is_named(wide: TestClient) -> None:
    tags = ["soft"] * 63 + [""]
    answer = wide.post(SPEECH_URL, json={"input": "Hi.", "tags": tags})
    assert "tags[63]" in error_of(answer, 422)["message"]


def test_bodies_of_text_have_a_smaller_limit_than_features(wide: TestClient) -> None:
    body = json.dumps({"input": "a" * 1_300_000})
    assert error_of(wide.post(SPEECH_URL, content=body, headers=JSON), 413)["code"] == (
        "body_too_large"
    )
    answer = wide.post(VOCODE_URL, content=body, headers=JSON)
    assert "besides arrays of numbers" in error_of(answer, 422)["message"]


@pytest.mark.parametrize(
    ("mel", "place"),
    [
        ([[0.0] * 399 + [None]], "mel[0][399]"),
        ([[0.0] * 400, [0.0] * 399 + [True]], "mel[1][399]"),
        ([[0.0] * 399 + ["a"]], "mel[0][399]"),
        ([[0.0], 1], "mel[1]"),
        ([[0.0, [1.0]]], "mel[0][1]"),
    ],
)
def test_wrong_values_in_rows_are_named(
    mel: Any, place: str, wide: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_rows, "PIECE_BYTES", 100)
    error = error_of(wide.post(VOCODE_URL, json={"mel": mel}), 422)
    assert place in error["message"]


def test_empty_rows_are_counted_before_they_are_built(wide: TestClient) -> None:
    body = b'{"mel":[' + b"[]," * 300_000 + b"[]]}"
    error = error_of(wide.post(VOCODE_URL, content=body, headers=JSON), 422)
    assert "8192 arrays" in error["message"]


@pytest.mark.parametrize(
    "row",
    ["1,", ",1", "1,,2", "1 2", "0x1", "-", "1." + "," * 10],
)
def test_rows_that_are_not_json(row: str, wide: TestClient) -> None:
    body = f'{{"mel":[[{row}]]}}'
    error = error_of(wide.post(VOCODE_URL, content=body, headers=JSON), 400)
    assert error["code"] == "invalid_json"


def test_rows_parsed_in_pieces_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    mel = features_of(50).mel
    body = json.dumps(
        {"mel": mel.tolist(), "features": {"log": '[1,2] \\"[3]\\\\'}, "seed": 5, "tags": ["[7]"]}
    )
    for size in (1, 7, 100, 2**15):
        monkeypatch.setattr(feature_rows, "PIECE_BYTES", size)
        request, rows = feature_rows.parse(body.encode())
        assert rows.frames(request.mel) == 50
        assert rows.matrix(request.mel, "mel", "band").equal(mel)
        assert request.features == {"log": '[1,2] \\"[3]\\\\'}
        assert (request.seed, request.tags) == (5, ("[7]",))
    assert mel.shape[0] == FEATURES.n_mels


@pytest.mark.parametrize("url", [VOCODE_URL, "/v1/speak"])
def test_queries_of_many_parameters_are_refused(wide: TestClient, url: str) -> None:
    query = "&".join(f"k{number}" for number in range(5000))
    assert error_of(wide.post(f"{url}?{query}"), 400)["code"] == "too_many_values"
    with pytest.raises(WebSocketDenialResponse), wide.websocket_connect(f"/v1/speak?{query}"):
        pass
