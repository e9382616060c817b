"""Deepgram's ``/v1/speak``, over HTTP and as a WebSocket, for Deepgram's clients.

Each of its voices (``aura-...``) means one of the default voice's speakers, always the same one;
this server's ids and aliases work too. Opus, AAC, bit rates and callbacks are not supported.
"""

import uuid
import zlib
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.websockets import WebSocket

import vocoder
from vocoder.audio.g711 import USUAL_RATE_HZ, Law, LawEncoder
from vocoder.audio.io import AudioFormat
from vocoder.synthesis.speech import SPEEDS, Speech

from .. import openapi
from ..errors import Refusal
from ..http.audio_response import AudioResponse
from ..http.bodies import JSON_TYPE, content_type, parsed_json
from ..http.encoding import AsyncEncoder
from ..http.speakers import OPENAI_MODELS, Speaker, find_speaker
from ..schemas import Name, OutputRate, Seed
from ..service.service import Service, ServiceDependency
from ..websocket.dialect import Dialect
from ..websocket.handshake import admit
from ..websocket.messages import Clear, ClientMessage, Close, Flush, Options, Speak, parse
from ..websocket.outgoing import MessageOut

RATE_HZ = 24000
MODELS = "aura"
"""Prefix of the names of Deepgram's voices."""

router = APIRouter(prefix="/v1/speak", tags=["audio"])


def _whole(number: object) -> object:
    # Deepgram's own client may write 24000 as a float.
    text = str(number).removesuffix(".0")
    return int(text) if text.isdecimal() and len(text) < 30 else number


class SpeakQuery(BaseModel):
    """How to speak a text, in Deepgram's terms. Unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    model: Name | None = Field(
        None,
        description="one of Deepgram's names, or a voice of this server; the default voice by "
        "default",
    )
    encoding: Literal["linear16", "mulaw", "alaw", "mp3", "flac"] = "mp3"
    container: Literal["wav", "none"] | None = Field(
        None, description="for `linear16`, `mulaw` and `alaw`; default `wav`"
    )
    sample_rate: Annotated[OutputRate, BeforeValidator(_whole)] | None = Field(
        None, description="in Hz; default 24,000, or 8,000 for `mulaw` and `alaw`"
    )
    speed: float = Field(1.0, ge=SPEEDS[0], le=SPEEDS[1], description="factor")
    seed: Annotated[Seed, BeforeValidator(_whole)] | None = Field(
        None, description="same seed, voice, engine and text: same audio; random by default"
    )


class SpeakText(BaseModel):
    """The text to speak."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    text: str = Field(min_length=1, description="the text, of at most `max_text_chars` characters")


class SocketQuery(Options):
    """The query of the WebSocket, in Deepgram's terms. Unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    sample_rate: Annotated[OutputRate, BeforeValidator(_whole)] | None = None


@dataclass(frozen=True)
class LawResponse(AudioResponse):
    """Audio encoded by mu-law or A-law.

    Attributes:
        law: which of the two.
        wav: whether it has a WAV header.
    """

    law: Law
    wav: bool

    @property
    def media_type(self) -> str:
        """See :class:`AudioResponse`."""
        return super().media_type if self.wav else f"audio/{self.law}"

    def encoder(self) -> AsyncEncoder:
        """See :class:`AudioResponse`."""
        own_rate_hz = self.speaker.voice.config.features.sample_rate_hz
        return AsyncEncoder(
            LawEncoder(self.law, own_rate_hz, self.rate_hz, wav=self.wav), quick=True
        )


RESPONSES: dict[int | str, dict[str, Any]] = {
    200: openapi.audio_answer("The audio, mono, streamed."),
    **openapi.ERRORS,
    422: openapi.error(
        "The text cannot be spoken or is too long, or an option is out of range.",
        "invalid_text",
        "the text has nothing to speak: give words or numbers",
        "text",
    ),
}
for _law in ("mulaw", "alaw"):
    RESPONSES[200]["content"][f"audio/{_law}"] = openapi.BINARY

REQUEST_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": openapi.json_body(SpeakText, {"text": "Hello there."}),
    }
}
"""The body, for ``openapi_extra``."""


@router.post(
    "",
    summary="Turn text into speech, for Deepgram's clients",
    response_class=Response,
    responses=RESPONSES,
    openapi_extra=REQUEST_BODY,
)
async def speak(
    request: Request, query: Annotated[SpeakQuery, Query()], service: ServiceDependency
) -> Response:
    """Deepgram's `POST /v1/speak`: the text is in the body, everything else in the query."""
    if "callback" in request.query_params:
        message = "callbacks are not supported: the response is the audio"
        raise Refusal(422, message, code="callback_not_made", param="callback")
    content_type(request, (JSON_TYPE,), JSON_TYPE)
    body = await parsed_json(request, SpeakText)
    count, limit = len(body.text), service.settings.max_text_chars
    if count > limit:
        message = f"text has {count} characters, the limit is {limit}"
        raise Refusal(422, message, code="text_too_long", param="text")
    request.state.key.charge(count)
    options = await _translate(service, Options(model=query.model))
    speaker = await find_speaker(service, options.model, options.voice, options.speaker)
    response = await _response(request, service, query, speaker)
    request.state.log["characters"] = count
    voice_id, digest = speaker.voice.id, speaker.voice.digest
    headers = {
        "dg-request-id": request.state.request_id,
        "dg-model-name": voice_id,
        "dg-model-uuid": _uuid(digest),
        "dg-char-count": str(count),
    }
    content = Speech(
        body.text,
        speaker=speaker.name,
        seed=response.seed,
        speed=query.speed,
        max_s=service.settings.max_speech_s,
    )
    return await response.send(content, headers=headers)


async def _response(
    request: Request, service: Service, query: SpeakQuery, speaker: Speaker
) -> AudioResponse:
    wav = query.container != "none"
    kind: type[AudioResponse] = AudioResponse
    fields: dict[str, Any] = {}
    if query.encoding in ("mulaw", "alaw"):
        kind, fields = LawResponse, {"law": query.encoding, "wav": wav}
    formats: dict[str, AudioFormat] = {"mp3": "mp3", "flac": "flac"}
    return await kind.prepare(
        request,
        service,
        speaker,
        seed=query.seed,
        engine=None,
        audio_format=formats.get(query.encoding, "wav" if wav else "pcm"),
        rate_hz=query.sample_rate or (USUAL_RATE_HZ if fields else RATE_HZ),
        whole=False,
        **fields,
    )


@router.websocket("")
async def stream(websocket: WebSocket) -> None:
    """Deepgram's WebSocket: Speak, Flush, Clear and Close; Metadata comes first."""
    await admit(websocket, DEEPGRAM, SocketQuery, _translate_with_rate)


async def _translate_with_rate(service: Service, options: Options) -> Options:
    rate_hz = RATE_HZ if options.encoding == "linear16" else USUAL_RATE_HZ
    given = options.sample_rate or OutputRate(rate_hz)
    return await _translate(service, options.model_copy(update={"sample_rate": given}))


async def _translate(service: Service, options: Options) -> Options:
    """The options with this server's names in place of Deepgram's."""
    name = options.model
    if name is None or name in service.registry.ids() or name in OPENAI_MODELS:
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
            # Deepgram's clients know no other message for it.
            return {"type": "Warning", "code": code, "description": description}
    return None


def _uuid(digest: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, digest))


DEEPGRAM = Dialect(parse=_parse, shape=_shape, greets=True)
