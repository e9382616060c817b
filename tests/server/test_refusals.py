"""Refused requests: a 4xx in the common format, with a line that says what was wrong."""

import json
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from httpx2 import Response
from safetensors.torch import save
from serving import FEATURES, error_of, features_of
from serving import VOCODE_URL as URL
from torch import Tensor

from vocoder.config import FeatureConfig
from vocoder.features.feature_file import Features, serialize
from vocoder.server.app import create_app
from vocoder.server.settings import ServerSettings
from vocoder.voices.registry import VoiceRegistry
from vocoder.voices.voice import VOCODER_WEIGHTS

Door = Callable[..., Response]


def by_file(client: TestClient, mel: Tensor, config: FeatureConfig, **options: Any) -> Response:
    data = serialize(Features(mel, config))
    headers = {"content-type": "application/octet-stream"}
    return client.post(URL, content=data, headers=headers, params=options)


def by_json(client: TestClient, mel: Tensor, config: FeatureConfig, **options: Any) -> Response:
    body = {"mel": mel.tolist(), "features": config.model_dump(), **options}
    headers = {"content-type": "application/json"}
    # json.dumps writes NaN and Infinity as bare words, as many clients do.
    return client.post(URL, content=json.dumps(body), headers=headers)


both_doors = pytest.mark.parametrize("door", [by_file, by_json])


def until_ready(client: TestClient) -> None:
    deadline = time.monotonic() + 10
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def sound_mel() -> Tensor:
    return features_of(3).mel


@both_doors
def test_features_of_another_hop(client: TestClient, door: Door) -> None:
    config = FEATURES.model_copy(update={"hop_length": 64})
    error = error_of(door(client, sound_mel(), config), 422)
    assert "hop_length 64" in error["message"]
    assert "40" in error["message"]
    assert (error["param"], error["code"]) == ("hop_length", "invalid_features")


@both_doors
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_non_finite_values(client: TestClient, door: Door, value: float) -> None:
    mel = sound_mel()
    mel[2, 1] = value
    error = error_of(door(client, mel, FEATURES), 422)
    assert "band 2, frame 1" in error["message"]
    assert (error["param"], error["code"]) == ("mel", "invalid_features")


@both_doors
@pytest.mark.parametrize("shape", [(8, 0), (7, 3), (9, 3), (0, 0)])
def test_no_frames_or_another_band_count(
    client: TestClient, door: Door, shape: tuple[int, int]
) -> None:
    error = error_of(door(client, torch.zeros(shape) - 6, FEATURES), 422)
    assert (error["param"], error["code"]) == ("mel", "invalid_features")


@both_doors
def test_values_that_cannot_be_log_mel(client: TestClient, door: Door) -> None:
    assert "logarithm" in error_of(door(client, sound_mel() + 90, FEATURES), 422)["message"]


@both_doors
@pytest.mark.parametrize("name", ["nobody", "../arctic", "/etc/passwd", "\0", "花"])
@pytest.mark.parametrize("param", ["voice", "speaker"])
def test_unknown_voice_or_speaker(client: TestClient, door: Door, param: str, name: str) -> None:
    error = error_of(door(client, sound_mel(), FEATURES, **{param: name}), 404)
    assert (error["param"], error["code"]) == (param, "not_found")
    assert ("arctic, other" if param == "voice" else "slt, 花子") in error["message"]


@both_doors
@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("seed", -1),
        ("seed", 2**63),
        ("seed", "one"),
        ("seed", 1.5),
        ("voice", ""),
        ("speaker", "x" * 201),
        ("response_format", "opus"),
        ("sample_rate", 16001),
    ],
)
def test_options_out_of_range(client: TestClient, door: Door, param: str, value: object) -> None:
    error = error_of(door(client, sound_mel(), FEATURES, **{param: value}), 422)
    assert error["param"] == param
    assert param in error["message"]


@both_doors
def test_an_unknown_engine(client: TestClient, door: Door) -> None:
    error = error_of(door(client, sound_mel(), FEATURES, engine="warp"), 422)
    assert "warp" in error["message"]
    assert error["code"] == "engine_unavailable"


@both_doors
def test_unknown_keys_and_parameters(client: TestClient, door: Door) -> None:
    error = error_of(door(client, sound_mel(), FEATURES, sped=1), 422)
    assert (error["param"], error["code"]) == ("sped", "unknown_parameter")
    assert "speaker" in error["message"]


@both_doors
def test_audio_over_the_limit_names_both_lengths(client: TestClient, door: Door) -> None:
    error = error_of(door(client, features_of(401).mel, FEATURES), 422)
    assert "2.005 s" in error["message"]
    assert "2 s" in error["message"]
    assert error["code"] == "audio_too_long"


@both_doors
def test_a_body_over_the_limit(client: TestClient, door: Door) -> None:
    error = error_of(door(client, torch.zeros(8, 30000), FEATURES), 413)
    assert "100000 bytes" in error["message"]
    assert error["code"] == "body_too_large"


@both_doors
@pytest.mark.parametrize("damage", ["truncated", "padded", "flipped", "missing"])
def test_a_voice_with_damaged_weights(
    door: Door, damage: str, voices_dir: Path, settings: ServerSettings, tmp_path: Path
) -> None:
    shutil.copytree(voices_dir, tmp_path / "voices")
    weights = tmp_path / "voices" / "arctic" / VOCODER_WEIGHTS
    data = bytearray(weights.read_bytes())
    if damage == "flipped":
        data[-5] ^= 1
    changed = {"truncated": data[:-1], "padded": data + b"\0", "flipped": data}
    if damage == "missing":
        weights.unlink()
    else:
        weights.write_bytes(changed[damage])
    app = create_app(settings, registry=VoiceRegistry(tmp_path / "voices"))
    with TestClient(app) as client:
        error = error_of(door(client, sound_mel(), FEATURES, voice="arctic"), 409)
        assert (error["param"], error["code"]) == ("voice", "invalid_voice")
        assert str(tmp_path) not in error["message"]
        # The intact voice still works, and is the default.
        until_ready(client)
        assert client.get("/readyz").json() == {"status": "ready", "refused_voices": ["arctic"]}
        assert door(client, sound_mel(), FEATURES).headers["x-voice"] == "other"
        listed = client.get("/v1/audio/voices").json()["voices"]
        assert [voice["id"] for voice in listed] == ["other"]
        error_of(client.get("/v1/models/arctic"), 409)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF is not what this file is, it is text",
        b"\0" * 64,
        b"\xff" * 64,
        serialize(features_of(3))[:-1],
        serialize(features_of(3)) + b"\0",
        save({"other": torch.zeros(8, 3)}, metadata=FEATURES.fingerprint()),
        save({"mel": torch.zeros(8, 3)}),
        save({"mel": torch.zeros(8, 3, dtype=torch.int32)}, metadata=FEATURES.fingerprint()),
        save({"mel": torch.zeros(8)}, metadata=FEATURES.fingerprint()),
        save({f"t{number}": torch.zeros(1) for number in range(1200)}),
    ],
)
def test_files_without_features(client: TestClient, data: bytes) -> None:
    headers = {"content-type": "application/octet-stream"}
    error = error_of(client.post(URL, content=data, headers=headers), 422)
    assert error["code"] == "invalid_features"


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("", 400, "invalid_json"),
        ('{"mel": [[1]]', 400, "invalid_json"),
        ('{"mel": ' + "[" * 5000, 400, "invalid_json"),
        ("[]", 422, "invalid_request"),
        ("{}", 422, "invalid_features"),
        ('{"mel": [[null]]}', 422, "invalid_request"),
        ('{"mel": [["1"]]}', 422, "invalid_request"),
        ('{"mel": [[true]]}', 422, "invalid_request"),
        ('{"mel": [1]}', 422, "invalid_request"),
        ('{"mel": [[1], [1, 2]]}', 422, "invalid_features"),
        ('{"mel": [[1e39]]}', 422, "invalid_features"),
        ('{"mel": [[1]], "seed": NaN}', 422, "invalid_request"),
        ('{"mel": [[1]], "seed": true}', 422, "invalid_request"),
        ('{"mel": [[1]], "features": {"hop": 40}}', 422, "invalid_features"),
        ('{"mel": [[1]], "features": {"hop_length": "40"}}', 422, "invalid_features"),
        ('{"mel": [[1]], "features": {"hop_length": NaN}}', 422, "invalid_features"),
        ('{"mel": [[1]], "features": {"hop_length": true}}', 422, "invalid_request"),
    ],
)
def test_json_that_is_not_a_request(client: TestClient, text: str, status: int, code: str) -> None:
    headers = {"content-type": "application/json"}
    assert error_of(client.post(URL, content=text, headers=headers), status)["code"] == code


def test_json_errors_name_the_invalid_value(client: TestClient) -> None:
    mel = [[-6.0, -6.0]] * 7 + [[-6.0, None]]
    assert "mel[7][1]" in error_of(client.post(URL, json={"mel": mel}), 422)["message"]


def test_options_of_a_json_request_belong_in_its_body(client: TestClient) -> None:
    body = {"mel": sound_mel().tolist()}
    error = error_of(client.post(URL, json=body, params={"voice": "arctic"}), 400)
    assert (error["param"], error["code"]) == ("voice", "options_in_query")


@pytest.mark.parametrize(
    "kind", ["text/plain", "audio/wav", "multipart/form-data; boundary=x", "?"]
)
def test_other_content_types(client: TestClient, feature_file: bytes, kind: str) -> None:
    answer = client.post(URL, content=feature_file, headers={"content-type": kind})
    assert "application/octet-stream" in error_of(answer, 415)["message"]


def test_compressed_bodies(client: TestClient, feature_file: bytes) -> None:
    headers = {"content-type": "application/octet-stream", "content-encoding": "gzip"}
    error = error_of(client.post(URL, content=feature_file, headers=headers), 415)
    assert error["code"] == "unsupported_content_encoding"


@pytest.mark.parametrize(
    "data", [b'{"mel": [[1]]}', b"", serialize(features_of(3)).replace(b"\0", b"")]
)
def test_json_and_files_sent_by_curl_d(client: TestClient, data: bytes) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    message = error_of(client.post(URL, content=data, headers=headers), 415)["message"]
    assert "--data-binary" in message
    assert "application/json" in message
