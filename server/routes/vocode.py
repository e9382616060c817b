"""Features in, audio out: ``POST /v1/audio/vocode``."""

import asyncio
import hashlib
from typing import Annotated

import torch
from fastapi import APIRouter, Query, Request, Response

from server.bodies import JSON_TYPE, UNTYPED, content_type, read_json
from server.caching import Kept
from server.delivery import admitted, answer, prepare
from server.errors import Refusal
from server.routes import vocode_openapi
from server.schemas import VocodeOptions, VocodeRequest
from server.service import Service, ServiceDependency
from server.websocket.features import check_settings
from vocoder import audio, features
from vocoder.config import FeatureConfig
from vocoder.errors import FeatureError
from vocoder.features import Features
from vocoder.voice import Voice

FEATURE_FILE_TYPES = ("application/octet-stream", "application/x-safetensors")

router = APIRouter(prefix="/v1/audio", tags=["audio"])


@router.post(
    "/vocode",
    summary="Turn features into speech",
    response_class=Response,
    responses=vocode_openapi.RESPONSES,
    openapi_extra=vocode_openapi.REQUEST_BODY,
)
async def vocode(
    request: Request, query: Annotated[VocodeOptions, Query()], service: ServiceDependency
) -> Response:
    """Post a feature file, with the options in the query; or JSON, with the options in it.

    A feature file is what `vocoder analyze` writes: safetensors with the tensor `mel`
    (n_mels, frames) and, as metadata, the settings it was made with. They must be the voice's
    own, which `GET /v1/audio/voices` lists.
    """
    options, voice, wanted = await _read(request, query, service)
    voice.speaker_index(options.speaker)
    _check_length(wanted, service.settings.max_audio_s)
    delivery = await prepare(
        request,
        service,
        voice,
        speaker=options.speaker,
        seed=options.seed,
        engine=options.engine,
        audio_format=options.response_format,
        rate_hz=options.sample_rate,
        whole=not options.stream,
    )

    media_type = audio.MEDIA_TYPES[options.response_format]
    kept = Kept.of(service, delivery, {"mel": await asyncio.to_thread(_digest, wanted)})
    if (known := await kept.answer(media_type)) is not None:
        return known
    place = await admitted(request, service, delivery, options.engine)
    listener = service.vocode(
        wanted,
        voice=voice,
        speaker=delivery.speaker,
        seed=delivery.seed,
        engine=options.engine,
        place=place,
        offline=delivery.whole,
    )
    parts = kept.keep(delivery.parts(listener), delivery)
    return await answer(request, delivery, listener, parts, media_type, kept.headers)


async def _read(
    request: Request, query: VocodeOptions, service: Service
) -> tuple[VocodeOptions, Voice, Features]:
    kind = content_type(
        request,
        (*FEATURE_FILE_TYPES, JSON_TYPE, *UNTYPED),
        f"a feature file as {FEATURE_FILE_TYPES[0]}, or {JSON_TYPE}",
    )
    if kind == JSON_TYPE:
        given = await read_json(request, VocodeRequest)
        voice = await service.voice(given.voice)
        return given, voice, await asyncio.to_thread(_json_features, given, voice.config.features)
    voice = await service.voice(query.voice)
    body = await request.body()
    # safetensors begins with a length in 8 bytes, the last of them zero; neither JSON nor what
    # curl -d makes of a file holds a zero byte.
    if kind in UNTYPED and b"\0" not in body[:8]:
        raise Refusal(
            415,
            f"the body, sent as {kind or 'no type'}, is not a feature file: with curl use "
            f"--data-binary @FILE; for JSON add the header content-type: {JSON_TYPE}",
            code="unsupported_media_type",
        )
    wanted = await asyncio.to_thread(features.deserialize, body, voice.config.features)
    return query, voice, wanted


def _json_features(request: VocodeRequest, config: FeatureConfig) -> Features:
    check_settings(request.features or {}, config)
    frames = len(request.mel[0]) if request.mel else 0
    for band, values in enumerate(request.mel):
        if len(values) != frames:
            raise FeatureError(
                f"mel has {len(values)} frames in band {band} and {frames} in band 0: "
                "every band needs as many",
                param="mel",
            )
    mel = torch.tensor(request.mel, dtype=torch.float32).reshape(len(request.mel), frames)
    return Features(mel=features.validate_mel(mel, config), config=config)


def _digest(wanted: Features) -> str:
    return hashlib.sha256(wanted.mel.contiguous().numpy().tobytes()).hexdigest()


def _check_length(wanted: Features, max_audio_s: float) -> None:
    seconds = wanted.frames / wanted.config.frame_rate_hz
    if seconds > max_audio_s:
        raise Refusal(
            422,
            f"the features are {seconds:.3f} s of audio, this server makes at most "
            f"{max_audio_s:g} s a request",
            code="audio_too_long",
            param="mel",
        )
