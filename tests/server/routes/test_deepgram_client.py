"""Deepgram's own client, unmodified, against a server on a real socket."""

import asyncio
import io
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
import soundfile
from deepgram import AsyncDeepgramClient, DeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment
from deepgram.speak.v1.types import SpeakV1Flushed, SpeakV1Metadata, SpeakV1Text
from serving import live
from websockets.exceptions import InvalidStatus

from vocoder.server.app import create_app
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.synthesizer import Synthesizer

TEXT = "Hello there. It is 5:30, and Dr. Smith is late!"
RATE_HZ = 24000


@pytest.fixture(scope="module")
def environment(voices_dir: Path, synthesizer: Synthesizer) -> Iterator[DeepgramClientEnvironment]:
    settings = ServerSettings(voices_dir=voices_dir, max_streams=8, max_text_chars=1000)
    with live(create_app(settings, synthesizer)) as port:
        http, socket = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"
        yield DeepgramClientEnvironment(base=http, production=socket, agent=socket, agent_rest=http)


@pytest.fixture(scope="module")
def client(environment: DeepgramClientEnvironment) -> Iterator[DeepgramClient]:
    client = DeepgramClient(environment=environment, api_key="none", max_retries=0)
    yield client
    # The client has no close method.
    client._client_wrapper.httpx_client.httpx_client.close()


def generated(client: DeepgramClient, **options: Any) -> bytes:
    given = {"text": TEXT, **options}
    return b"".join(client.speak.v1.audio.generate(request_options=SEED, **given))


def seconds(file: bytes) -> float:
    # Counted, because a stream's header does not have its length.
    with soundfile.SoundFile(io.BytesIO(file)) as sound:
        return round(len(sound.read(10**6)) / sound.samplerate, 3)


def test_every_encoding_has_the_same_length(client: DeepgramClient) -> None:
    lengths = {
        seconds(generated(client, **options))
        for options in (
            {"encoding": "linear16"},
            {"encoding": "linear16", "sample_rate": 16000},
            {"encoding": "linear16", "container": "wav", "sample_rate": 48000.0},
            {"encoding": "mulaw"},
            {"encoding": "alaw", "sample_rate": 16000},
        )
    }
    assert len(lengths) == 1
    assert soundfile.info(io.BytesIO(generated(client))).format == "MP3"
    assert generated(client, encoding="flac").startswith(b"fLaC")
    (length,) = lengths
    for law in ("mulaw", "alaw"):
        assert len(generated(client, encoding=law, container="none")) == round(8000 * length)
    bare = generated(client, encoding="linear16", container="none")
    assert len(bare) == round(2 * RATE_HZ * length)


def test_headers_have_the_model_and_the_character_count(client: DeepgramClient) -> None:
    with client.speak.v1.audio.with_raw_response.generate(
        text=TEXT, model="aura-2-thalia-en", mip_opt_out=True, tag="test", bit_rate=48000
    ) as answer:
        assert answer.headers["content-type"] == "audio/mpeg"
        assert answer.headers["dg-char-count"] == str(len(TEXT))
        assert answer.headers["dg-model-name"] == "arctic"
        assert answer.headers["dg-request-id"] == answer.headers["x-request-id"]
        assert b"".join(answer.data)


def test_each_of_deepgrams_names_is_always_the_same_speaker(client: DeepgramClient) -> None:
    names = ("aura-asteria-en", "aura-orion-en", "aura-2-thalia-en", "aura-3-nobody-yet")
    speakers = [
        [generated(client, model=name, encoding="linear16") for _ in range(2)] for name in names
    ]
    assert all(first == again for first, again in speakers)
    assert len({first for first, _ in speakers}) == 2  # The default voice has two speakers.
    other = generated(client, model="other", encoding="linear16")
    assert other not in {first for first, _ in speakers}


def test_it_has_the_same_audio_as_openais_route(
    client: DeepgramClient, environment: DeepgramClientEnvironment
) -> None:
    assert generated(client, encoding="linear16", container="none") == pcm(environment)


def pcm(environment: DeepgramClientEnvironment, **options: Any) -> bytes:
    body = {"input": TEXT, "seed": 1, "response_format": "pcm", **options}
    return httpx2.post(f"{environment.base}/v1/audio/speech", json=body, timeout=60).content


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"text": "!?"}, 422),
        ({"text": "a" * 1001}, 422),
        ({"model": "nobody"}, 404),
        ({"encoding": "opus"}, 422),
        ({"sample_rate": 1}, 422),
        ({"speed": 9}, 422),
        ({"callback": "http://127.0.0.1/"}, 422),
    ],
)
def test_mistakes_raise_the_clients_errors(
    client: DeepgramClient, options: dict[str, Any], status: int
) -> None:
    with pytest.raises(ApiError) as caught:
        generated(client, **options)
    assert caught.value.status_code == status
    assert caught.value.body["error"]["message"]


SEED: Any = {"additional_query_parameters": {"seed": 1}}
PIECES = [TEXT[start : start + 3] for start in range(0, len(TEXT), 3)]


@dataclass
class Heard:
    """Everything received over a WebSocket."""

    messages: list[Any] = field(default_factory=list)
    audio: bytes = b""

    def __call__(self, message: Any) -> None:
        if isinstance(message, bytes):
            self.audio += message
        else:
            self.messages.append(message)

    @property
    def kinds(self) -> list[str]:
        return [message.type for message in self.messages]


def spoken(client: DeepgramClient, **options: Any) -> Heard:
    heard = Heard()
    with client.speak.v1.connect(request_options=SEED, **options) as socket:
        socket.on(EventType.MESSAGE, heard)
        for piece in PIECES:
            socket.send_text(SpeakV1Text(text=piece))
        socket.send_flush()
        socket.send_close()
        socket.start_listening()
    return heard


def test_text_in_parts_over_a_socket(
    client: DeepgramClient, environment: DeepgramClientEnvironment
) -> None:
    heard = spoken(client, model="arctic")
    assert heard.kinds == ["Metadata", "Flushed"]
    metadata, flushed = heard.messages
    assert isinstance(metadata, SpeakV1Metadata)
    assert isinstance(flushed, SpeakV1Flushed)
    assert (metadata.model_name, flushed.sequence_id) == ("arctic", 0)
    assert metadata.request_id
    assert uuid.UUID(metadata.model_uuid)
    assert heard.audio == pcm(environment)


def test_encodings_and_rates_over_a_socket(client: DeepgramClient) -> None:
    length = len(spoken(client).audio) / 2 / RATE_HZ
    for encoding, rate_hz, size in (
        ("linear16", 48000, 2),
        ("mulaw", 8000, 1),
        ("alaw", 16000, 1),
    ):
        audio = spoken(client, encoding=encoding, sample_rate=rate_hz).audio
        assert len(audio) == pytest.approx(length * rate_hz * size, abs=size)
    # The default is a telephone's rate.
    assert len(spoken(client, encoding="mulaw").audio) == pytest.approx(length * 8000, abs=1)


def test_clear_and_mistakes_over_a_socket(client: DeepgramClient) -> None:
    heard = Heard()
    with client.speak.v1.connect(request_options=SEED) as socket:
        socket.on(EventType.MESSAGE, heard)
        socket.send_text(SpeakV1Text(text="Never heard"))
        socket.send_clear()
        socket.send_text(SpeakV1Text(text="a" * 1001))
        socket.send_flush()
        socket.send_close()
        socket.start_listening()
    assert heard.kinds == ["Metadata", "Cleared", "Warning", "Flushed"]
    assert heard.messages[2].code == "text_too_long"
    assert not heard.audio


def test_a_refused_handshake(client: DeepgramClient) -> None:
    # The client does not wrap this exception of its WebSocket library.
    with pytest.raises(InvalidStatus) as caught, client.speak.v1.connect(model="nobody"):
        pass
    assert caught.value.response.status_code == 404
    assert json.loads(caught.value.response.body)["error"]["code"] == "not_found"


def test_the_async_client(environment: DeepgramClientEnvironment) -> None:
    async def both() -> tuple[bytes, Heard]:
        client = AsyncDeepgramClient(environment=environment, api_key="none", max_retries=0)
        chunks = client.speak.v1.audio.generate(
            text=TEXT, encoding="linear16", container="none", request_options=SEED
        )
        audio, heard = b"".join([chunk async for chunk in chunks]), Heard()
        await client._client_wrapper.httpx_client.httpx_client.aclose()
        async with client.speak.v1.connect(request_options=SEED) as socket:
            socket.on(EventType.MESSAGE, heard)
            await socket.send_text(SpeakV1Text(text=TEXT))
            await socket.send_flush()
            await socket.send_close()
            await socket.start_listening()
        return audio, heard

    audio, heard = asyncio.run(both())
    assert audio == heard.audio == pcm(environment)
    assert heard.kinds == ["Metadata", "Flushed"]
