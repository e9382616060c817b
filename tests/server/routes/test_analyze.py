"""Analysis of recordings."""

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from fastapi.testclient import TestClient
from httpx2 import Response
from serving import FEATURES, VOCODE_URL, error_of
from typer.testing import CliRunner

from vocoder.audio import io as audio
from vocoder.audio.io import Samples
from vocoder.cli.app import app as command
from vocoder.features import feature_file as features
from vocoder.server.settings import ServerSettings

URL = "/v1/audio/analyze"
RATE = 16000


def tone(seconds: float = 0.5, rate: int = RATE) -> Samples:
    at = np.arange(int(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * 180 * at) + 0.1 * np.sin(2 * np.pi * 1700 * at)).astype("f4")


def recording(samples: Samples, rate: int = RATE, kind: str = "WAV", **how: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, **how)
    return buffer.getvalue()


def post(
    client: TestClient, data: bytes, kind: str | None = "audio/wav", **query: object
) -> Response:
    headers = {"content-type": kind} if kind else {}
    return client.post(URL, content=data, headers=headers, params=query)  # type: ignore[arg-type]


def test_the_response_equals_the_commands_file_without_f0(
    client: TestClient, settings: ServerSettings, tmp_path: Path
) -> None:
    wav = recording(np.stack((tone(), 0.5 * tone()), axis=1))
    (tmp_path / "in.wav").write_bytes(wav)
    names = [str(tmp_path / name) for name in ("in.wav", "out.safetensors")]
    voices = str(settings.voices_dir)
    done = CliRunner().invoke(
        command, ["analyze", names[0], "-o", names[1], "--voices-dir", voices, "--voice", "other"]
    )
    assert done.exit_code == 0, done.output
    answer = post(client, wav, voice="other")
    assert answer.status_code == 200, answer.text
    want = features.load(tmp_path / "out.safetensors", FEATURES)
    found = features.deserialize(answer.content, FEATURES)
    assert torch.equal(found.mel, want.mel)
    assert want.f0 is not None
    assert found.f0 is None
    assert answer.headers["content-type"] == "application/x-safetensors"
    assert answer.headers["x-voice"] == "other"
    assert answer.headers["x-audio-seconds"] == "0.5"


def test_the_features_can_be_vocoded(client: TestClient) -> None:
    answer = post(client, recording(tone()))
    found = features.deserialize(answer.content, FEATURES)
    again = client.post(VOCODE_URL, content=answer.content, params={"response_format": "pcm"})
    assert len(again.content) == 2 * found.frames * FEATURES.hop_length
    assert abs(len(again.content) / 2 / FEATURES.sample_rate_hz - 0.5) < 0.01


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [
        ("WAV", "audio/wav"),
        ("WAV", "Audio/X-WAV; codec=1"),
        ("WAV", "application/octet-stream"),
        ("WAV", "application/x-www-form-urlencoded"),
        ("WAV", None),
        ("WAVEX", "audio/vnd.wave"),
        ("FLAC", "audio/flac"),
        ("OGG", "audio/ogg"),
        ("MP3", "audio/mpeg"),
    ],
)
def test_formats(client: TestClient, kind: str, media_type: str | None) -> None:
    samples = tone()
    answer = post(client, recording(samples, kind=kind), media_type)
    assert answer.status_code == 200, answer.text
    want = features.analyze(audio.resample(samples, RATE, 8000), FEATURES, with_f0=False).mel
    found = features.deserialize(answer.content, FEATURES).mel
    frames = min(want.shape[1], found.shape[1])
    loud = want[:, :frames].exp().mean(dim=1) > 0.01
    assert loud.any()
    assert (want[loud, :frames] - found[loud, :frames]).abs().median() < 0.2


def test_a_streamed_wav_without_its_length_is_read(client: TestClient) -> None:
    data = audio.wav_header(RATE) + audio.encode(tone(), RATE, "pcm")
    assert post(client, data).headers["x-audio-seconds"] == "0.5"


@pytest.mark.parametrize("samples", [1, 7])
def test_a_few_samples_are_enough(client: TestClient, samples: int) -> None:
    answer = post(client, recording(tone()[:samples]))
    assert features.deserialize(answer.content, FEATURES).frames == 1


def test_invalid_recordings_are_refused(client: TestClient) -> None:
    assert error_of(post(client, b"{}", "text/plain"), 415)["code"] == "unsupported_media_type"
    assert "empty" in error_of(post(client, b""), 422)["message"]
    error = error_of(post(client, b"hello" + bytes(100)), 422)
    assert error["code"] == "invalid_audio"
    assert error["message"] == (
        "cannot read the body as audio (format not recognised): send a WAV, FLAC, MP3 or OGG file"
    )
    aiff = recording(tone(), kind="AIFF")
    assert "AIFF" in error_of(post(client, aiff, "application/octet-stream"), 422)["message"]
    assert "no samples" in error_of(post(client, recording(tone()[:0])), 422)["message"]


def test_a_damaged_file_is_refused(client: TestClient) -> None:
    flac = recording(tone(), kind="FLAC")
    error_of(post(client, flac[:40], "audio/flac"), 422)
    error_of(post(client, flac[:200] + bytes(len(flac) - 200), "audio/flac"), 422)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e9])
def test_unusable_samples_are_refused(client: TestClient, value: float) -> None:
    samples = tone()
    samples[100] = value
    error = error_of(post(client, recording(samples, subtype="FLOAT")), 422)
    assert error["code"] == "invalid_audio"


def test_a_long_recording_is_refused_without_decoding_all_of_it(client: TestClient) -> None:
    long = recording(np.zeros(1800 * RATE, dtype="f4"), kind="FLAC")
    assert len(long) < 100_000
    tracemalloc.start()
    try:
        error = error_of(post(client, long, "audio/flac"), 422)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()
    assert error["code"] == "audio_too_long"
    assert "2 s" in error["message"]
    assert post(client, recording(np.zeros(2 * RATE, "f4"))).status_code == 200
    error_of(post(client, recording(np.zeros(2 * RATE + 1, "f4"))), 422)


@pytest.mark.parametrize("rate", [1, 11_027, 44_101, 655_350])
def test_a_rate_that_would_need_a_huge_filter_is_refused(client: TestClient, rate: int) -> None:
    assert "sample rate of" in error_of(post(client, recording(tone(), rate)), 422)["message"]


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 24_000, 44_100, 48_000, 96_000])
def test_usual_rates_are_resampled(client: TestClient, rate: int) -> None:
    answer = post(client, recording(tone(0.1, rate), rate))
    assert answer.status_code == 200, answer.text
    assert float(answer.headers["x-audio-seconds"]) == pytest.approx(0.1, abs=0.001)


def test_invalid_queries_are_refused(client: TestClient) -> None:
    wav = recording(tone())
    assert error_of(post(client, wav, voice="nobody"), 404)["code"] == "not_found"
    assert error_of(post(client, wav, pitch=1), 422)["param"] == "pitch"
    assert error_of(post(client, wav + bytes(100_000)), 413)["code"] == "body_too_large"


def test_openapi_describes_it(client: TestClient) -> None:
    operation = client.get("/openapi.json").json()["paths"][URL]["post"]
    assert {"audio/wav", "audio/flac", "audio/mpeg"} <= operation["requestBody"]["content"].keys()
    assert "application/x-safetensors" in operation["responses"]["200"]["content"]
    assert {"404", "413", "415", "422"} <= operation["responses"].keys()
    assert [p["name"] for p in operation["parameters"]] == ["voice"]
