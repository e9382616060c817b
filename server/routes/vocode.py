"""Features to audio: ``POST /v1/audio/vocode``."""

import asyncio
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from vocoder.features import feature_file
from vocoder.features.feature_file import Features
from vocoder.synthesis.request import Vocoding
from vocoder.voices.voice import Voice

from .. import openapi
from ..errors import Refusal
from ..http import feature_rows
from ..http.audio_response import AudioResponse
from ..http.bodies import JSON_TYPE, UNTYPED, content_type, refuse_query
from ..http.features import check_length, digest, features_of_json
from ..http.speakers import Speaker
from ..schemas import VocodeOptions, VocodeRequest
from ..service.service import Service, ServiceDependency

FEATURE_FILE_TYPES = ("application/octet-stream", "application/x-safetensors")

RESPONSES: dict[int | str, dict[str, Any]] = {
    200: openapi.audio_answer("The audio, mono."),
    **openapi.ERRORS,
    415: openapi.error(
        "The body's content type is not supported.",
        "unsupported_media_type",
        "content-type text/plain is not supported: send a feature file as "
        "application/octet-stream, or application/json",
    ),
    422: openapi.error(
        "The features do not fit the voice, the audio is too long, or an option is out of range.",
        "invalid_features",
        "features were made with hop_length 256, the voice needs 200",
        "hop_length",
    ),
}

REQUEST_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": openapi.BINARY,
            "application/x-safetensors": openapi.BINARY,
            **openapi.json_body(
                VocodeRequest,
                {
                    "voice": "arctic",
                    "speaker": "slt",
                    "seed": 1,
                    "response_format": "wav",
                    "features": {"sample_rate_hz": 16000, "hop_length": 200, "n_mels": 2},
                    "mel": [[-9.1, -8.7, -8.9], [-10.2, -10.0, -9.8]],
                },
            ),
        },
    }
}
"""The two kinds of body, for ``openapi_extra``."""

PATH = "/v1/audio/vocode"

router = APIRouter(tags=["audio"])


@router.post(
    PATH,
    summary="Turn features into speech",
    response_class=Response,
    responses=RESPONSES,
    openapi_extra=REQUEST_BODY,
)
async def vocode(
    request: Request, query: Annotated[VocodeOptions, Query()], service: ServiceDependency
) -> Response:
    """Post a feature file with the options in the query, or JSON that includes the options.

    A feature file is what `vocoder analyze` and `vocoder speak --features` write: safetensors with
    the tensor `mel` (n_mels, frames), or `linguistic` (channels, frames) for a voice that is
    conditioned on linguistic features, and the analysis settings as metadata. The settings must be
    the voice's own, which `GET /v1/audio/voices` lists.
    """
    options, voice, features = await _read(request, query, service)
    speaker = Speaker.of(voice, options.speaker)
    voice.check_tags(options.tags)
    check_length(features.frames, features.config, service.settings.max_audio_s)
    response = await AudioResponse.prepare(
        request,
        service,
        speaker,
        seed=options.seed,
        engine=options.engine,
        audio_format=options.response_format,
        rate_hz=options.sample_rate,
        whole=not options.stream,
    )
    content = Vocoding(features, speaker.name, response.seed, tuple(options.tags), options.clarity)
    features_digest = await asyncio.to_thread(digest, features)
    return await response.send(
        content,
        cached_by={
            "features": features_digest,
            "tags": options.tags,
            "clarity": options.clarity,
        },
    )


async def _read(
    request: Request, query: VocodeOptions, service: Service
) -> tuple[VocodeOptions, Voice, Features]:
    kind = content_type(
        request,
        (*FEATURE_FILE_TYPES, JSON_TYPE, *UNTYPED),
        f"a feature file as {FEATURE_FILE_TYPES[0]}, or {JSON_TYPE}",
    )
    if kind == JSON_TYPE:
        refuse_query(request)
        body = await request.body()
        given, rows = await service.parse(partial(feature_rows.parse, body), len(body))
        voice = await service.voice(given.voice)
        config, limit_s = voice.config.features, service.settings.max_audio_s
        read = partial(features_of_json, given, rows, config, limit_s)
        features = await service.parse(read, len(body))
        return given, voice, features
    voice = await service.voice(query.voice)
    body = await request.body()
    # safetensors begins with a length in 8 bytes, the last of them zero; neither JSON nor what
    # curl -d makes of a file contains a zero byte.
    if kind in UNTYPED and b"\0" not in body[:8]:
        raise Refusal(
            415,
            f"the body, sent with {f'type {kind}' if kind else 'no type'}, is not a feature file: "
            f"with curl use --data-binary @FILE; for JSON add the header content-type: {JSON_TYPE}",
            code="unsupported_media_type",
        )
    features = await asyncio.to_thread(feature_file.deserialize, body, voice.config.features)
    return query, voice, features
