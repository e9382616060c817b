"""A recording in, its features out: ``POST /v1/audio/analyze``."""

import asyncio
import threading
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from vocoder.features import feature_file as features

from ..http import recordings
from ..http.bodies import UNTYPED, content_type
from ..schemas import AnalyzeOptions
from ..service.jobs import Stopped, while_connected
from ..service.service import ServiceDependency
from . import analyze_openapi

RECORDING_TYPES = (
    *("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"),
    *("audio/flac", "audio/x-flac", "audio/mpeg", "audio/mp3", "audio/ogg"),
    "application/octet-stream",
)

router = APIRouter(prefix="/v1/audio", tags=["audio"])


@router.post(
    "/analyze",
    summary="Turn a recording into features",
    response_class=Response,
    responses=analyze_openapi.RESPONSES,
    openapi_extra=analyze_openapi.REQUEST_BODY,
)
async def analyze(
    request: Request, query: Annotated[AnalyzeOptions, Query()], service: ServiceDependency
) -> Response:
    """Post a recording; the answer is a feature file.

    The recording is mixed to mono and resampled to the voice's rate. The feature file is
    safetensors with the tensor `mel` (n_mels, frames) and, as metadata, the settings it was made
    with. Post it to `/v1/audio/vocode` to hear the voice say it again. `vocoder analyze` writes the
    same and `f0`, which no voice needs.
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
        # Librosa's search for F0 would keep all other threads waiting for seconds.
        found = features.analyze(samples, config, with_f0=False)
        return len(samples), features.serialize(found)

    work = asyncio.create_task(service.generations.run(job))
    count, data = await while_connected(request, work)
    audio_s = round(count / config.sample_rate_hz, 3)
    request.state.log.update(voice=voice.id, audio_s=audio_s)
    headers = {"X-Voice": voice.id, "X-Voice-Hash": voice.digest, "X-Audio-Seconds": f"{audio_s:g}"}
    return Response(data, media_type=analyze_openapi.FEATURE_FILE, headers=headers)
