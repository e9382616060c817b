"""OpenAI's own client, unmodified, against a server on a real socket."""

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
import soundfile
from serving import live

from vocoder.server.app import create_app
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.synthesizer import Synthesizer

TEXT = "Hello there. It is 5:30, and Dr. Smith is late!"


@pytest.fixture
def openai_client(settings: ServerSettings, synthesizer: Synthesizer) -> Iterator[openai.OpenAI]:
    with (
        live(create_app(settings, synthesizer)) as port,
        openai.OpenAI(
            base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0
        ) as client,
    ):
        yield client


def create(client: openai.OpenAI, **options: Any) -> bytes:
    usual = {"model": "tts-1", "voice": "alloy", "input": TEXT, "extra_body": {"seed": 1}}
    return client.audio.speech.create(**usual | options).content


def test_every_format_works_whole_and_streamed(openai_client: openai.OpenAI) -> None:
    for name in ("mp3", "wav", "flac", "pcm"):
        whole = create(openai_client, response_format=name)
        with openai_client.audio.speech.with_streaming_response.create(
            model="gpt-4o-mini-tts",
            voice="alloy",
            input=TEXT,
            instructions="Speak cheerfully.",
            response_format=name,  # type: ignore[arg-type]
            extra_body={"seed": 1},
        ) as answer:
            assert answer.headers["x-speaker"] == "slt"
            assert b"".join(answer.iter_bytes()) == whole


def test_files_of_every_format_have_the_same_length(openai_client: openai.OpenAI) -> None:
    lengths = {round(len(create(openai_client, response_format="pcm")) / 2 / 24000, 3)}
    for name in ("mp3", "wav", "flac"):
        body = {"seed": 1, "stream": False}
        file = create(openai_client, response_format=name, extra_body=body)
        lengths.add(round(soundfile.info(io.BytesIO(file)).duration, 3))
    assert len(lengths) == 1


def test_speed_and_custom_voices(openai_client: openai.OpenAI) -> None:
    plain = create(openai_client, response_format="pcm")
    assert len(create(openai_client, response_format="pcm", speed=0.25)) > 1.5 * len(plain)
    other = create(openai_client, response_format="pcm", voice={"id": "other"})
    assert other != plain
    assert create(openai_client, response_format="pcm", model="other", voice="slt") == other


def test_events(openai_client: openai.OpenAI) -> None:
    with openai_client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts",
        voice="alloy",
        input=TEXT,
        response_format="pcm",
        stream_format="sse",
        extra_body={"seed": 1},
    ) as answer:
        found = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
    *deltas, done = found
    sound = b"".join(base64.b64decode(delta["audio"]) for delta in deltas)
    assert sound == create(openai_client, response_format="pcm")
    assert done["type"] == "speech.audio.done"
    assert done["usage"]["input_tokens"] == len(TEXT)


def test_models(openai_client: openai.OpenAI) -> None:
    assert [model.id for model in openai_client.models.list()] == ["arctic", "other"]
    assert openai_client.models.retrieve("tts-1").id == "tts-1"
    with pytest.raises(openai.NotFoundError):
        openai_client.models.retrieve("none")


@pytest.mark.parametrize(
    ("options", "kind", "param", "code"),
    [
        ({"model": "none"}, openai.NotFoundError, "model", "not_found"),
        ({"voice": "none"}, openai.NotFoundError, "voice", "not_found"),
        ({"input": ""}, openai.UnprocessableEntityError, "input", "invalid_request"),
        ({"input": "😀"}, openai.UnprocessableEntityError, "input", "invalid_text"),
        ({"speed": 9}, openai.UnprocessableEntityError, "speed", "invalid_request"),
        (
            {"response_format": "opus"},
            openai.UnprocessableEntityError,
            "response_format",
            "invalid_request",
        ),
        (
            {"extra_body": {"sped": 1}},
            openai.UnprocessableEntityError,
            "sped",
            "unknown_parameter",
        ),
        ({"extra_query": {"a": "b"}}, openai.BadRequestError, "a", "options_in_query"),
    ],
)
def test_errors_raise_the_clients_classes(
    openai_client: openai.OpenAI,
    options: dict[str, Any],
    kind: type[openai.APIStatusError],
    param: str,
    code: str,
) -> None:
    with pytest.raises(kind) as raised:
        create(openai_client, **options)
    assert (raised.value.param, raised.value.code) == (param, code)
    body = raised.value.body
    assert isinstance(body, dict)
    assert body["message"] in raised.value.message
    assert raised.value.request_id


def test_ten_thousand_words_start_long_before_the_end(openai_client: openai.OpenAI) -> None:
    text = "The quick brown fox jumps over the lazy dog again. " * 1000
    with openai_client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input=text, response_format="pcm"
    ) as answer:
        # The whole is about 2,000 s.
        assert next(answer.iter_bytes())
