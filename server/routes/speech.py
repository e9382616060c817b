"""Text in, audio out, in the shape of OpenAI's: ``POST /v1/audio/speech``, and its plan."""

import asyncio
import contextlib
import math
import threading
from collections.abc import Iterator

from fastapi import APIRouter, Request, Response

from vocoder.audio import io as audio
from vocoder.errors import TextError
from vocoder.synthesis.speech import Speech

from ..errors import Refusal
from ..http import speakers as names
from ..http import sse as events
from ..http.audio_response import admitted, answer, prepare
from ..http.bodies import JSON_TYPE, content_type, read_json
from ..http.cached_response import CachedResponse
from ..schemas import SentencePlan, SpeechPlan, SpeechRequest, VoiceReference, WordTiming
from ..service.jobs import Stopped, while_connected
from ..service.service import Service, ServiceDependency
from ..settings import ServerSettings
from . import speech_openapi

PCM_RATE_HZ = 24000
"""Rate of OpenAI's ``pcm``, which its clients take for granted."""

router = APIRouter(prefix="/v1/audio/speech", tags=["audio"])


@router.post(
    "",
    summary="Turn text into speech",
    response_class=Response,
    responses=speech_openapi.RESPONSES,
    openapi_extra=speech_openapi.REQUEST_BODY,
)
async def speech(request: Request, service: ServiceDependency) -> Response:
    """OpenAI's `POST /v1/audio/speech`, and more.

    The answer is chunked and begins with the first audio; a mistake is answered before that. With
    `stream` off it is a whole file with its length. With `stream_format` `sse` it is events:
    `speech.audio.delta` with `audio` in base64, at the end `speech.audio.done` with `usage`, where
    `input_tokens` are characters of the text and `output_tokens` frames of the voice's features.
    With `timings` each sentence is preceded by `speech.audio.timings`: its `text` as it is spoken,
    and `words` as in the plan. Where a speech breaks off, the connection does, or an event of
    `type` `error` comes.
    """
    options = await _read(request, service.settings)
    voice, speaker = await _speaker(options, service)
    given_rate = PCM_RATE_HZ if options.response_format == "pcm" else None
    delivery = await prepare(
        request,
        service,
        voice,
        speaker=speaker,
        seed=options.seed,
        engine=options.engine,
        audio_format=options.response_format,
        rate_hz=options.sample_rate or given_rate,
        whole=not options.stream,
    )
    delivery.log["characters"] = len(options.input)
    wanted = _wanted(options, speaker, delivery.seed)

    as_events = options.stream_format == "sse"
    media_type = events.MEDIA_TYPE if as_events else audio.MEDIA_TYPES[options.response_format]
    kept = CachedResponse.of(service, delivery, options.model_dump(mode="json"))
    if (known := await kept.answer(media_type)) is not None:
        return known
    place = await admitted(request, service, delivery, options.engine)
    listener = service.speak(
        wanted, voice=voice, engine=options.engine, place=place, offline=delivery.whole
    )
    if as_events:
        found = events.speech_events(
            listener, delivery, characters=len(options.input), timings=options.timings
        )
        parts = events.with_errors(kept.keep(found, delivery))
    else:
        parts = kept.keep(delivery.parts(listener), delivery)
    with _at_input():
        return await answer(request, delivery, listener, parts, media_type, kept.headers)


@router.post(
    "/plan",
    summary="What would be said, and when",
    responses=speech_openapi.PLAN_RESPONSES,
    openapi_extra=speech_openapi.REQUEST_BODY,
)
async def plan(request: Request, service: ServiceDependency) -> SpeechPlan:
    """The same body as for the speech; the answer has its words and phonemes in time, no audio.

    The text may have at most `max_whole_text_chars` characters.
    """
    options = await _read(request, service.settings, whole=True)
    voice, speaker = await _speaker(options, service)
    wanted = _wanted(options, speaker, 0)

    def job(stop: threading.Event) -> list[SentencePlan]:
        found = []
        with _at_input():
            sentences = service.synthesizer.plan(wanted, voice=voice)
        for sentence in sentences:
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

    work = asyncio.create_task(service.generations.run(job))
    sentences = await while_connected(request, work)
    return SpeechPlan(
        model=voice.id,
        speaker=speaker,
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
            "timings come with stream_format sse, or without audio from /v1/audio/speech/plan",
            code="timings_without_events",
            param="timings",
        )
    whole = whole or not options.stream
    most = min(settings.max_text_chars, settings.max_whole_text_chars if whole else math.inf)
    if len(options.input) > most:
        raise Refusal(
            422,
            f"input has {len(options.input)} characters, this server takes at most {most:.0f}"
            + (" in one piece: ask for it as a stream, or for parts of it" if whole else ""),
            code="text_too_long",
            param="input",
        )
    request.state.key.charge(len(options.input))
    return options


async def _speaker(options: SpeechRequest, service: Service) -> names.Speaker:
    voice = options.voice.id if isinstance(options.voice, VoiceReference) else options.voice
    return await names.speaker(service, options.model, voice, options.speaker)


def _wanted(options: SpeechRequest, speaker: str, seed: int) -> Speech:
    return Speech(
        options.input,
        speaker=speaker,
        seed=seed,
        speed=options.speed,
        pitch=options.pitch,
        ssml=options.ssml,
        lexicon=options.lexicon or {},
        tags=options.tags,
    )


@contextlib.contextmanager
def _at_input() -> Iterator[None]:
    """Mistakes of the text are said to lie in ``input``."""
    try:
        yield
    except TextError as error:
        error.param = error.param or "input"
        raise
