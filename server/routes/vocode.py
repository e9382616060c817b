"""Features in, audio out: ``POST /v1/audio/vocode``."""

import asyncio
import hashlib
from typing import Annotated

import torch
from fastapi import APIRouter, Query, Request, Response
from torch import Tensor

from vocoder.audio import io as audio
from vocoder.config import FeatureConfig
from vocoder.errors import FeatureError
from vocoder.features import feature_file as features
from vocoder.features.feature_file import Features
from vocoder.voices.voice import Voice

from ..errors import Refusal
from ..http.audio_response import admitted, answer, prepare
from ..http.bodies import JSON_TYPE, UNTYPED, content_type, read_json
from ..http.cached_response import CachedResponse
from ..schemas import VocodeOptions, VocodeRequest
from ..service.service import Service, ServiceDependency
from ..websocket.feature_frames import check_settings
from . import vocode_openapi

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

    A feature file is what `vocoder analyze` and `vocoder speak --features` write: safetensors with
    the tensor `mel` (n_mels, frames), or `linguistic` (channels, frames) for a voice that is
    conditioned on it, and, as metadata, the settings they were made with. They must be the voice's
    own, which `GET /v1/audio/voices` lists.
    """
    options, voice, wanted = await _read(request, query, service)
    voice.identity(options.speaker, options.tags)
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
    asked = {"features": await asyncio.to_thread(_digest, wanted), "tags": options.tags}
    kept = CachedResponse.of(service, delivery, asked)
    if (known := await kept.answer(media_type)) is not None:
        return known
    place = await admitted(request, service, delivery, options.engine)
    listener = service.vocode(
        wanted,
        voice=voice,
        speaker=delivery.speaker,
        seed=delivery.seed,
        tags=options.tags,
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
    given = request.model_fields_set & {"mel", "linguistic", "seconds"}
    if not given or ("seconds" in given and len(given) > 1):
        raise FeatureError(
            "give mel, linguistic or both, or seconds alone, as the voice needs it", param="mel"
        )
    if request.seconds is not None:
        return Features.lasting(request.seconds, config)
    mel = torch.empty(config.n_mels, 0)
    if "mel" in given:
        mel = features.validate_mel(_matrix(request.mel, "mel", "band"), config)
    linguistic = None
    if "linguistic" in given:
        linguistic = _matrix(request.linguistic, "linguistic", "channel")
    return Features(mel, config, linguistic=linguistic)


def _matrix(rows: list[list[float]], name: str, kind: str) -> Tensor:
    """Rows of as many frames each, float32 (R, F)."""
    frames = len(rows[0]) if rows else 0
    for row, values in enumerate(rows):
        if len(values) != frames:
            raise FeatureError(
                f"{name} has {len(values)} frames in {kind} {row} and {frames} in {kind} 0: "
                f"every {kind} needs as many",
                param=name,
            )
    return torch.tensor(rows, dtype=torch.float32).reshape(len(rows), frames)


def _digest(wanted: Features) -> str:
    digest = hashlib.sha256(repr((wanted.frames, wanted.layout)).encode())
    for tensor in (wanted.mel, wanted.linguistic):
        if tensor is not None:
            digest.update(repr(tuple(tensor.shape)).encode())
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


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
