"""Text to speech in OpenAI's format: ``POST /v1/audio/speech``, and its plan."""

import asyncio
import contextlib
import math
import threading
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request, Response

from vocoder.errors import TextError
from vocoder.synthesis.speech import Speech

from .. import openapi
from ..errors import Refusal
from ..http.audio_response import AudioResponse
from ..http.bodies import JSON_TYPE, content_type, read_json
from ..http.disconnect import while_connected
from ..http.speakers import Speaker, find_speaker
from ..http.sse import EventResponse
from ..schemas import SentencePlan, SpeechPlan, SpeechRequest, VoiceReference, WordTiming
from ..service.jobs import Stopped
from ..service.service import Service, ServiceDependency
from ..settings import ServerSettings

PCM_RATE_HZ = 24000
"""Sample rate of OpenAI's ``pcm``, which its clients assume."""

_EVENT_TYPES = ["speech.audio.delta", "speech.audio.timings", "speech.audio.done", "error"]
_AUDIO = openapi.audio_answer(
    "The audio, mono; or events that contain it, with `stream_format` `sse`."
)
_AUDIO["content"]["text/event-stream"] = {
    "itemSchema": {
        "type": "object",
        "required": ["data"],
        "properties": {
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": {
                    "type": "object",
                    "required": ["type"],
                    "properties": {"type": {"enum": _EVENT_TYPES}},
                },
            }
        },
    },
    "example": 'data: {"type":"speech.audio.delta","audio":"UklGRv////9XQVZF"}\n\n'
    'data: {"type":"speech.audio.done","usage":'
    '{"input_tokens":12,"output_tokens":83,"total_tokens":95}}\n\n',
}

ERRORS: dict[int | str, dict[str, Any]] = {
    **openapi.ERRORS,
    422: openapi.error(
        "The text cannot be spoken or is too long, or an option is out of range.",
        "invalid_text",
        "the text has nothing to speak: give words or numbers",
        "input",
    ),
}

REQUEST_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": openapi.json_body(
            SpeechRequest,
            {
                "model": "tts-1",
                "input": "Hello there. It is 5:30 pm.",
                "voice": "alloy",
                "response_format": "mp3",
            },
        ),
    }
}
"""The body, for ``openapi_extra``."""

router = APIRouter(prefix="/v1/audio/speech", tags=["audio"])


@router.post(
    "",
    summary="Turn text into speech",
    response_class=Response,
    responses={200: _AUDIO, **ERRORS},
    openapi_extra=REQUEST_BODY,
)
async def speech(request: Request, service: ServiceDependency) -> Response:
    """OpenAI's `POST /v1/audio/speech`, with extensions.

    The response is chunked and begins with the first audio; errors are reported before that. With
    `stream` off it is a whole file with its length. With `stream_format` `sse` it is a series of
    events: `speech.audio.delta` with base64 `audio`, and at the end `speech.audio.done` with
    `usage`, where `input_tokens` counts characters of the text and `output_tokens` frames of the
    voice's features. With `timings` each sentence is preceded by `speech.audio.timings`, with its
    `text` as spoken and its `words` as in the plan. If speech fails midway, the connection is
    closed, or an event of `type` `error` is sent.
    """
    options = await _read(request, service.settings)
    speaker = await _speaker(options, service)
    characters = len(options.input)
    kind: type[AudioResponse] = AudioResponse
    fields: dict[str, Any] = {}
    if options.stream_format == "sse":
        kind, fields = EventResponse, {"characters": characters, "timings": options.timings}
    rate_hz = options.sample_rate or (PCM_RATE_HZ if options.response_format == "pcm" else None)
    response = await kind.prepare(
        request,
        service,
        speaker,
        seed=options.seed,
        engine=options.engine,
        audio_format=options.response_format,
        rate_hz=rate_hz,
        whole=not options.stream,
        **fields,
    )
    request.state.log["characters"] = characters
    settings = service.settings
    max_s = settings.max_speech_s if options.stream else settings.max_whole_speech_s
    content = _speech(options, speaker, response.seed, max_s)
    with _at_input():
        return await response.send(content, cached_by=options.model_dump(mode="json"))


@router.post(
    "/plan",
    summary="Show what would be spoken, and when",
    responses=ERRORS,
    openapi_extra=REQUEST_BODY,
)
async def plan(request: Request, service: ServiceDependency) -> SpeechPlan:
    """Takes the same body as speech; returns the words and phonemes with their times, no audio.

    The text may have at most `max_whole_text_chars` characters.
    """
    options = await _read(request, service.settings, whole=True)
    speaker = await _speaker(options, service)
    content = _speech(options, speaker, 0, service.settings.max_whole_speech_s)

    def job(stop: threading.Event) -> list[SentencePlan]:
        found = []
        with _at_input():
            for sentence in service.synthesizer.plan(content, voice=speaker.voice):
                if stop.is_set():
                    raise Stopped
                found.append(
                    SentencePlan(
                        text=sentence.text,
                        phonemes=sentence.phonemes,
                        duration_s=round(sentence.duration_s, 6),
                        words=[WordTiming.of(word) for word in sentence.words],
                    )
                )
        return found

    sentences = await while_connected(request, asyncio.create_task(service.jobs.run(job)))
    return SpeechPlan(
        model=speaker.voice.id,
        speaker=speaker.name,
        text=" ".join(sentence.text for sentence in sentences),
        phonemes=" ".join(sentence.phonemes for sentence in sentences),
        duration_s=round(sum(sentence.duration_s for sentence in sentences), 6),
        sentences=sentences,
    )


async def _read(
    request: Request, settings: ServerSettings, *, whole: bool = False
) -> SpeechRequest:
    content_type(request, (JSON_TYPE,), JSON_TYPE)
    options = await read_json(request, SpeechRequest)
    if options.timings and options.stream_format != "sse" and not whole:
        raise Refusal(
            422,
            "timings need stream_format sse; for timings without audio use /v1/audio/speech/plan",
            code="timings_without_events",
            param="timings",
        )
    whole = whole or not options.stream
    limit = min(settings.max_text_chars, settings.max_whole_text_chars if whole else math.inf)
    if len(options.input) > limit:
        raise Refusal(
            422,
            f"input has {len(options.input)} characters, the limit is {limit:.0f}"
            + (" for a whole file: request a stream, or send it in parts" if whole else ""),
            code="text_too_long",
            param="input",
        )
    request.state.key.charge(len(options.input))
    return options


async def _speaker(options: SpeechRequest, service: Service) -> Speaker:
    voice = options.voice.id if isinstance(options.voice, VoiceReference) else options.voice
    return await find_speaker(service, options.model, voice, options.speaker)


def _speech(options: SpeechRequest, speaker: Speaker, seed: int, max_s: float) -> Speech:
    return Speech(
        options.input,
        speaker=speaker.name,
        seed=seed,
        speed=options.speed,
        pitch=options.pitch,
        ssml=options.ssml,
        lexicon=options.lexicon or {},
        tags=options.tags,
        max_s=max_s,
    )


@contextlib.contextmanager
def _at_input() -> Iterator[None]:
    """Name ``input`` as the parameter of text errors."""
    try:
        yield
    except TextError as error:
        error.param = error.param or "input"
        raise
