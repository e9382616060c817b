"""Recordings to features: ``POST /v1/audio/analyze``."""

import asyncio
import threading
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from vocoder.features import feature_file

from .. import openapi
from ..http import recordings
from ..http.bodies import UNTYPED, content_type
from ..http.disconnect import while_connected
from ..schemas import AnalyzeOptions
from ..service.jobs import Stopped
from ..service.service import ServiceDependency

RECORDING_TYPES = (
    *("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"),
    *("audio/flac", "audio/x-flac", "audio/mpeg", "audio/mp3", "audio/ogg"),
    "application/octet-stream",
)
FEATURE_FILE_TYPE = "application/x-safetensors"

_HEADERS = {
    "X-Voice": ("string", "voice id"),
    "X-Voice-Hash": ("string", "SHA-256 of the voice's weights"),
    "X-Audio-Seconds": ("number", "length of the recording"),
    "x-request-id": ("string", "id of the request, also in the server's log"),
}

RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The feature file, as safetensors.",
        "content": {FEATURE_FILE_TYPE: openapi.BINARY},
        "headers": openapi.headers(_HEADERS),
    },
    **{status: error for status, error in openapi.ERRORS.items() if status != 400},
    404: openapi.error(
        "There is no such voice.",
        "not_found",
        "voice 'nobody' is unknown: choose one of arctic",
        "voice",
    ),
    415: openapi.error(
        "The body's content type is not supported.",
        "unsupported_media_type",
        "content-type text/plain is not supported: send a recording as audio/wav, audio/flac, "
        "audio/mpeg, audio/ogg or application/octet-stream",
    ),
    422: openapi.error(
        "The body is not a recording, the recording is too long, or an option is unknown.",
        "invalid_audio",
        "cannot read the body as audio (format not recognised): send a WAV, FLAC, MP3 or OGG file",
    ),
}

REQUEST_BODY: dict[str, Any] = {
    "requestBody": {
        "description": "The recording: a WAV, FLAC, MP3 or OGG file.",
        "required": True,
        "content": dict.fromkeys(
            ("audio/wav", "audio/flac", "audio/mpeg", "audio/ogg", "application/octet-stream"),
            openapi.BINARY,
        ),
    }
}
"""The body, for ``openapi_extra``."""

PATH = "/v1/audio/analyze"

router = APIRouter(tags=["audio"])


@router.post(
    PATH,
    summary="Turn a recording into features",
    response_class=Response,
    responses=RESPONSES,
    openapi_extra=REQUEST_BODY,
)
async def analyze(
    request: Request, query: Annotated[AnalyzeOptions, Query()], service: ServiceDependency
) -> Response:
    """Post a recording; the response is a feature file.

    The recording is mixed to mono and resampled to the voice's rate. The feature file is
    safetensors with the tensor `mel` (n_mels, frames) and, as metadata, the analysis settings. Post
    it to `/v1/audio/vocode` to hear the voice say it. `vocoder analyze` writes the same file and
    also `f0`, which no voice needs.
    """
    content_type(
        request,
        (*RECORDING_TYPES, *UNTYPED),
        "a recording as audio/wav, audio/flac, audio/mpeg, audio/ogg or application/octet-stream",
    )
    voice = await service.voice(query.voice)
    body = await request.body()
    config = voice.config.features

    def job(stop: threading.Event) -> tuple[int, bytes]:
        samples = recordings.read(body, config.sample_rate_hz, service.settings.max_audio_s)
        if stop.is_set():
            raise Stopped
        # Without F0: librosa's search for it would block all other threads for seconds.
        found = feature_file.analyze(samples, config, with_f0=False)
        return len(samples), feature_file.serialize(found)

    count, data = await while_connected(request, asyncio.create_task(service.jobs.run(job)))
    audio_s = round(count / config.sample_rate_hz, 3)
    request.state.log.update(voice=voice.id, audio_s=audio_s)
    headers = {"X-Voice": voice.id, "X-Voice-Hash": voice.digest, "X-Audio-Seconds": f"{audio_s:g}"}
    return Response(data, media_type=FEATURE_FILE_TYPE, headers=headers)
