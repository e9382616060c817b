"""Vocoding of features, from files and from JSON."""

import io

import numpy as np
import pytest
import soundfile
from fastapi.testclient import TestClient
from httpx2 import Response
from serving import FEATURES, features_of
from serving import VOCODE_URL as URL

from vocoder.audio import io as audio
from vocoder.features.feature_file import serialize
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.voices.registry import VoiceRegistry
from vocoder.voices.voice import Voice

FRAMES = 3


def post_file(
    client: TestClient, data: bytes, kind: str | None = None, **query: object
) -> Response:
    headers = {"content-type": kind} if kind else {}
    return client.post(URL, content=data, headers=headers, params=query)  # type: ignore[arg-type]


def as_json(frames: int = FRAMES, **fields: object) -> dict[str, object]:
    return {"mel": features_of(frames).mel.tolist(), **fields}


def expected(synthesizer: Synthesizer, voice: Voice, speaker: str | None, seed: int) -> bytes:
    chunks = synthesizer.vocode(features_of(FRAMES), voice=voice, speaker=speaker, seed=seed)
    return audio.encode(np.concatenate(list(chunks)), FEATURES.sample_rate_hz, "pcm")


def test_both_kinds_of_body_give_the_synthesizers_audio(
    client: TestClient, feature_file: bytes, synthesizer: Synthesizer, registry: VoiceRegistry
) -> None:
    options = {"voice": "other", "speaker": "花子", "seed": 7, "response_format": "pcm"}
    want = expected(synthesizer, registry.get("other"), "花子", 7)
    by_file = post_file(client, feature_file, "application/octet-stream", **options)
    by_json = client.post(URL, json=as_json(**options))
    assert by_file.status_code == by_json.status_code == 200
    assert by_file.content == by_json.content == want
    assert len(want) == 2 * FRAMES * FEATURES.hop_length


def test_clarity_is_the_synthesizers_in_both_kinds_of_body(
    client: TestClient, feature_file: bytes, synthesizer: Synthesizer, registry: VoiceRegistry
) -> None:
    options = {"voice": "other", "seed": 7, "response_format": "pcm"}
    chunks = synthesizer.vocode(
        features_of(FRAMES), voice=registry.get("other"), seed=7, clarity=0.5
    )
    want = audio.encode(np.concatenate(list(chunks)), FEATURES.sample_rate_hz, "pcm")
    by_file = post_file(client, feature_file, clarity=0.5, **options)
    by_json = client.post(URL, json=as_json(clarity=0.5, **options))
    assert by_file.content == by_json.content == want
    uneven = {**options, "mel": (4 * features_of(60).mel + 18).tolist()}
    plain, zero, clear = (
        client.post(URL, json={**uneven, **clarity}).content
        for clarity in ({}, {"clarity": 0}, {"clarity": 2})
    )
    assert plain == zero != clear
    for wrong in (-0.1, 2.1, "much"):
        answer = post_file(client, feature_file, clarity=wrong, **options)
        assert answer.status_code == 422
        assert answer.json()["error"]["param"] == "clarity"


def test_headers_describe_the_audio(
    client: TestClient, feature_file: bytes, synthesizer: Synthesizer, registry: VoiceRegistry
) -> None:
    answer = post_file(
        client, feature_file, "application/octet-stream", speaker="花子", seed=2**63 - 1
    )
    assert answer.headers["x-sample-rate"] == "8000"
    assert answer.headers["x-seed"] == str(2**63 - 1)
    assert answer.headers["x-engine"] == synthesizer.engine_name(registry.get(None))
    assert answer.headers["x-voice"] == "arctic"
    assert answer.headers["x-voice-hash"] == registry.get("arctic").digest
    assert answer.headers["x-speaker"] == "%E8%8A%B1%E5%AD%90"
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.headers["x-request-id"]


def test_a_random_seed_is_returned_and_reproduces_the_audio(
    client: TestClient, feature_file: bytes
) -> None:
    first, second = (post_file(client, feature_file) for _ in range(2))
    assert first.headers["x-seed"] != second.headers["x-seed"]
    assert first.content != second.content
    again = post_file(client, feature_file, seed=first.headers["x-seed"])
    assert again.content == first.content


@pytest.mark.parametrize("name", ["wav", "flac"])
def test_all_formats_have_the_same_samples(
    client: TestClient, feature_file: bytes, name: str
) -> None:
    bare = post_file(client, feature_file, seed=3, response_format="pcm")
    coded = post_file(client, feature_file, seed=3, response_format=name)
    assert bare.headers["content-type"] == "audio/pcm"
    assert coded.headers["content-type"] == f"audio/{name}"
    samples, rate = soundfile.read(io.BytesIO(coded.content), dtype="int16")
    assert rate == 8000
    assert samples.astype("<i2").tobytes() == bare.content


def test_wav_is_the_default_and_has_correct_sizes(client: TestClient, feature_file: bytes) -> None:
    content = post_file(client, feature_file).content
    assert int.from_bytes(content[4:8], "little") == len(content) - 8


@pytest.mark.parametrize("name", ["wav", "pcm", "flac"])
def test_another_rate_is_resampled(client: TestClient, feature_file: bytes, name: str) -> None:
    own = post_file(client, feature_file, seed=3, response_format="pcm")
    other = post_file(client, feature_file, seed=3, response_format=name, sample_rate=24000)
    assert other.headers["x-sample-rate"] == "24000"
    samples = np.frombuffer(own.content, "<i2").astype(np.float32) / 32768
    # The server resamples before rounding, this after it; both clip at full scale.
    want = np.clip(audio.resample(samples, 8000, 24000), -1, 1)
    if name == "pcm":
        got = np.frombuffer(other.content, "<i2").astype(np.float32) / 32768
    else:
        got, rate = soundfile.read(io.BytesIO(other.content), dtype="float32")
        assert rate == 24000
    assert len(got) == len(want) == 3 * FRAMES * FEATURES.hop_length
    assert np.abs(got - want).max() < 4 / 32768


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "application/x-safetensors",
        "application/x-www-form-urlencoded",
        "Application/Octet-Stream; a=b",
    ],
)
def test_a_feature_file_may_have_curls_content_type(
    client: TestClient, feature_file: bytes, kind: str | None
) -> None:
    assert post_file(client, feature_file, kind, seed=1).status_code == 200


def test_the_accept_header_is_ignored(client: TestClient, feature_file: bytes) -> None:
    headers = {"accept": "application/json", "content-type": "application/octet-stream"}
    assert client.post(URL, content=feature_file, headers=headers).status_code == 200


def test_json_may_have_settings_and_integral_floats(client: TestClient) -> None:
    settings = FEATURES.model_dump() | {"f_max_hz": 4000}
    mel = [[-6, -7.5]] * FEATURES.n_mels
    assert client.post(URL, json={"mel": mel, "features": settings}).status_code == 200
    assert client.post(URL, json={"mel": mel, "features": {"hop_length": 40}}).status_code == 200
    assert client.post(URL, json={"mel": mel, "voice": None, "features": None}).status_code == 200


def test_an_engine_can_be_named(client: TestClient, feature_file: bytes) -> None:
    answer = post_file(client, feature_file, engine="reference")
    assert (answer.status_code, answer.headers["x-engine"]) == (200, "reference")


def test_one_frame_is_enough(client: TestClient) -> None:
    answer = post_file(client, serialize(features_of(1)), response_format="pcm")
    assert len(answer.content) == 2 * FEATURES.hop_length
