"""Streamed audio equals the whole file, and is sent while it is generated."""

import io
import struct

import pytest
import soundfile
from fastapi.testclient import TestClient
from serving import FEATURES, features_of
from serving import VOCODE_URL as URL

from vocoder.audio import io as audio
from vocoder.features.feature_file import serialize

BODY = serialize(features_of(40))


def test_streamed_audio_equals_the_whole_file(client: TestClient) -> None:
    whole = client.post(URL, content=BODY, params={"seed": 3, "response_format": "pcm"})
    options = {"seed": 3, "stream": True}
    pcm = client.post(URL, content=BODY, params={**options, "response_format": "pcm"})
    wav = client.post(URL, content=BODY, params={**options, "response_format": "wav"})
    assert whole.status_code == pcm.status_code == wav.status_code == 200
    assert pcm.content == whole.content
    assert wav.content[44:] == whole.content
    assert "content-length" not in pcm.headers
    assert pcm.headers["x-voice-hash"] == whole.headers["x-voice-hash"]
    json = {"mel": features_of(40).mel.tolist(), **options, "response_format": "pcm"}
    assert client.post(URL, json=json).content == whole.content


def test_a_streamed_wav_has_the_sizes_of_an_unknown_length(client: TestClient) -> None:
    wav = client.post(URL, content=BODY, params={"stream": True}).content
    assert struct.unpack("<4sI4s", wav[:12]) == (b"RIFF", 0xFFFFFFFF, b"WAVE")
    assert struct.unpack("<HHIIHH", wav[20:36]) == (
        1, 1, FEATURES.sample_rate_hz, 2 * FEATURES.sample_rate_hz, 2, 16,
    )  # fmt: skip
    assert struct.unpack("<4sI", wav[36:44]) == (b"data", 0xFFFFFFFF)


@pytest.mark.parametrize("name", ["mp3", "flac", "wav", "pcm"])
def test_every_format_and_rate_can_be_streamed(client: TestClient, name: str) -> None:
    options = {"seed": 3, "sample_rate": 48000, "response_format": name}
    whole = client.post(URL, content=BODY, params=options).content
    answer = client.post(URL, content=BODY, params={"stream": True, **options})
    assert answer.headers["x-sample-rate"] == "48000"
    assert answer.headers["content-type"] == audio.MEDIA_TYPES[name]  # type: ignore[index]
    if name == "mp3":
        # All but the frame with the information for gapless playback.
        assert 0 < len(whole) - len(answer.content) < 600
        assert whole.endswith(answer.content)
    elif name == "flac":
        assert decoded(answer.content, len(decoded(whole))) == decoded(whole)
    else:
        assert answer.content[-4000:] == whole[-4000:]
        assert len(answer.content) == len(whole)


def decoded(flac: bytes, length: int = 0) -> bytes:
    """Samples of a FLAC file, after adding its length if it is missing."""
    if length:
        flac = flac[:22] + (length // 2).to_bytes(4, "big") + flac[26:]
    return bytes(soundfile.read(io.BytesIO(flac), dtype="int16")[0].tobytes())


def test_an_error_is_reported_before_the_stream_begins(client: TestClient) -> None:
    answer = client.post(URL, content=BODY, params={"stream": True, "speaker": "nobody"})
    assert answer.status_code == 404
    assert "speaker 'nobody'" in answer.json()["error"]["message"]
