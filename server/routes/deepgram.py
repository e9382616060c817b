"""Deepgram's ``/v1/speak``, over HTTP and as a WebSocket, for clients written for it.

Its names of voices (``aura-...``) each mean one of the default voice's speakers, always the same;
our own ids and aliases are understood too. Not made are Opus, AAC, bit rates and callbacks.
"""

import contextlib
import uuid
import zlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.websockets import WebSocket

import vocoder
from vocoder.audio import io as audio
from vocoder.audio.g711 import USUAL_RATE_HZ, Law, LawEncoder
from vocoder.audio.io import AudioFormat
from vocoder.synthesis.speech import SPEEDS, Speech
from vocoder.voices.voice import Voice

from .. import openapi
from ..errors import Refusal
from ..http import speakers as names
from ..http.audio_response import AudioResponse, admitted, answer, prepare
from ..schemas import Name, OutputRate, Seed
from ..service.listener import Listener
from ..service.service import Service, ServiceDependency
from ..websocket.dialect import Dialect
from ..websocket.messages import Clear, ClientMessage, Close, Flush, Options, Speak, parse
from ..websocket.outgoing import MessageOut
from .stream import admit

RATE_HZ = 24000
MODELS = "aura"
"""How the names of Deepgram's voices begin."""

router = APIRouter(prefix="/v1/speak", tags=["audio"])


def _whole(number: object) -> object:
    # Deepgram's own client writes 24000 as it was given, which may be a float.
    text = str(number).removesuffix(".0")
    return int(text) if text.isdecimal() and len(text) < 30 else number


class SpeakQuery(BaseModel):
    """How a text is spoken, in Deepgram's words. Keys that are not listed are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    model: Name | None = Field(
        None,
        description="a name of Deepgram's, or a voice of this server; the default where absent",
    )
    encoding: Literal["linear16", "mulaw", "alaw", "mp3", "flac"] = "mp3"
    container: Literal["wav", "none"] | None = Field(
        None, description="of `linear16`, `mulaw` and `alaw`: `wav` where absent"
    )
    sample_rate: Annotated[OutputRate, BeforeValidator(_whole)] | None = Field(
        None, description="in Hz; where absent 24,000, and 8,000 for `mulaw` and `alaw`"
    )
    speed: float = Field(1.0, ge=SPEEDS[0], le=SPEEDS[1], description="factor")
    seed: Annotated[Seed, BeforeValidator(_whole)] | None = Field(
        None, description="same seed, voice, engine and text: same audio; drawn where absent"
    )


class SpeakText(BaseModel):
    """What to say."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    text: str = Field(min_length=1, description="the text, of at most `max_text_chars` characters")


class SocketQuery(Options):
    """The query of the WebSocket, in Deepgram's words. Unknown keys are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    sample_rate: Annotated[OutputRate, BeforeValidator(_whole)] | None = None


@dataclass(frozen=True)
class LawDelivery(AudioResponse):
    """Audio by one of telephony's laws."""

    law: Law
    wav: bool

    async def parts(self, listener: Listener) -> AsyncGenerator[bytes, None]:
        """See :class:`AudioResponse`."""
        encoder = LawEncoder(self.law, self.own_rate_hz, self.rate_hz, wav=self.wav)
        async with contextlib.aclosing(listener):
            async for spoken in listener:
                if part := encoder.push(spoken.samples):
                    yield part
            if part := encoder.finish():
                yield part


RESPONSES: dict[int | str, dict[str, Any]] = {
    200: openapi.audio_answer("The audio, mono, as it is made."),
    **openapi.ERRORS,
    422: openapi.error(
        "A text that cannot be spoken or is too long, or an option out of range.",
        "invalid_text",
        "the text has nothing to speak: give words or numbers",
        "text",
    ),
}
for _law in ("mulaw", "alaw"):
    RESPONSES[200]["content"][f"audio/{_law}"] = openapi.BINARY


@router.post(
    "",
    summary="Turn text into speech, for Deepgram's clients",
    response_class=Response,
    responses=RESPONSES,
)
async def speak(
    request: Request,
    query: Annotated[SpeakQuery, Query()],
    body: SpeakText,
    service: ServiceDependency,
) -> Response:
    """Deepgram's `POST /v1/speak`: the text is in the body, everything else in the query."""
    if "callback" in request.query_params:
        message = "callbacks are not made: the answer is the audio"
        raise Refusal(422, message, code="callback_not_made", param="callback")
    count, most = len(body.text), service.settings.max_text_chars
    if count > most:
        message = f"text has {count} characters, this server takes at most {most}"
        raise Refusal(422, message, code="text_too_long", param="text")
    request.state.key.charge(count)
    options = await _meant(service, Options(model=query.model))
    voice, speaker = await names.speaker(service, options.model, options.voice, options.speaker)
    delivery = await _delivery(request, service, query, voice, speaker)
    delivery.log["characters"] = count
    place = await admitted(request, service, delivery, None)
    speech = Speech(body.text, speaker=speaker, seed=delivery.seed, speed=query.speed)
    listener = service.speak(speech, voice=voice, place=place)
    headers = {
        "dg-request-id": request.state.request_id,
        "dg-model-name": voice.id,
        "dg-model-uuid": _uuid(voice.digest),
        "dg-char-count": str(count),
    }
    parts = delivery.parts(listener)
    return await answer(request, delivery, listener, parts, _media_type(delivery), headers)


async def _delivery(
    request: Request, service: Service, query: SpeakQuery, voice: Voice, speaker: str
) -> AudioResponse:
    wav = query.container != "none"
    law = query.encoding if query.encoding in ("mulaw", "alaw") else None
    formats: dict[str, AudioFormat] = {"mp3": "mp3", "flac": "flac"}
    delivery = await prepare(
        request,
        service,
        voice,
        speaker=speaker,
        seed=query.seed,
        engine=None,
        audio_format=formats.get(query.encoding, "wav" if wav else "pcm"),
        rate_hz=query.sample_rate or (USUAL_RATE_HZ if law else RATE_HZ),
        whole=False,
    )
    return delivery if law is None else LawDelivery(**vars(delivery), law=law, wav=wav)


def _media_type(delivery: AudioResponse) -> str:
    if isinstance(delivery, LawDelivery) and not delivery.wav:
        return f"audio/{delivery.law}"
    return audio.MEDIA_TYPES[delivery.audio_format]


@router.websocket("")
async def stream(websocket: WebSocket) -> None:
    """Deepgram's WebSocket: Speak, Flush, Clear and Close; Metadata comes first."""
    await admit(websocket, DEEPGRAM, SocketQuery, _with_rate)


async def _with_rate(service: Service, options: Options) -> Options:
    rate_hz = RATE_HZ if options.encoding == "linear16" else USUAL_RATE_HZ
    given = options.sample_rate or OutputRate(rate_hz)
    return await _meant(service, options.model_copy(update={"sample_rate": given}))


async def _meant(service: Service, options: Options) -> Options:
    """The options with our names in place of Deepgram's."""
    name, registry = options.model, service.registry
    if name is None or name in registry.ids() or name in names.MODELS:
        return options
    given: dict[str, object] = {"model": None, "voice": name}
    if name.startswith(MODELS) and name not in service.settings.voice_aliases:
        speakers = (await service.voice(None)).speakers
        given = {"model": None, "speaker": speakers[zlib.crc32(name.encode()) % len(speakers)]}
    return options.model_copy(update=given)


def _parse(text: str) -> ClientMessage:
    message = parse(text)
    if not isinstance(message, Speak | Flush | Clear | Close):
        known = "Speak, Flush, Clear or Close"
        raise Refusal(422, f"send {known}", code="invalid_message", param="type")
    return message


def _shape(message: MessageOut) -> MessageOut | None:
    match message:
        case {"type": "Metadata", "request_id": request_id, "model_name": name}:
            return {
                "type": "Metadata",
                "request_id": request_id,
                "model_name": name,
                "model_version": vocoder.__version__,
                "model_uuid": _uuid(message["voice_hash"]),
                "additional_model_uuids": [],
            }
        case {"type": "Flushed" | "Cleared" as kind, "sequence_id": number}:
            return {"type": kind, "sequence_id": number}
        case {"type": "Warning", "code": code, "description": description}:
            return {"type": "Warning", "code": code, "description": description}
        case {"type": "Error", "error": {"message": description, "code": code}}:
            # All that Deepgram's clients know besides.
            return {"type": "Warning", "code": code, "description": description}
    return None


def _uuid(digest: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, digest))


DEEPGRAM = Dialect(parse=_parse, shape=_shape, greets=True)
