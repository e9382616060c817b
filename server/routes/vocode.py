"""Features in, audio out: ``POST /v1/audio/vocode``."""

import asyncio
import secrets
import threading
import time
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import quote

import numpy as np
import torch
from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError
from starlette.responses import StreamingResponse

from server.errors import Refusal, validation_refusal
from server.generations import Stopped, while_connected
from server.routes import vocode_openapi
from server.schemas import VocodeOptions, VocodeRequest
from server.service import Service, ServiceDependency
from server.streaming import begin, resume, stream
from vocoder import audio, features
from vocoder.audio import Samples
from vocoder.config import FeatureConfig
from vocoder.errors import FeatureError
from vocoder.features import Features
from vocoder.voice import Voice

FEATURE_FILE_TYPES = ("application/octet-stream", "application/x-safetensors")
JSON_TYPE = "application/json"
# What curl says of --data-binary, and nothing at all: taken for a feature file.
UNTYPED = ("", "application/x-www-form-urlencoded")
LARGEST_DRAWN_SEED = 2**53
"""Every JSON reader holds integers up to here exactly."""

router = APIRouter(prefix="/v1/audio", tags=["audio"])


@router.post(
    "/vocode",
    summary="Turn features into speech",
    response_class=Response,
    responses=vocode_openapi.RESPONSES,
    openapi_extra=vocode_openapi.request_body(),
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
    engine = await asyncio.to_thread(service.synthesizer.engine_name, voice, options.engine)

    seed = secrets.randbelow(LARGEST_DRAWN_SEED) if options.seed is None else options.seed
    rate = voice.config.features.sample_rate_hz
    output_rate = int(options.sample_rate or rate)
    speaker = options.speaker or voice.speakers[0]
    log: dict[str, object] = request.state.log
    log |= {"voice": voice.id, "speaker": speaker, "seed": seed, "engine": engine}
    asked = time.perf_counter()
    headers = {
        "X-Sample-Rate": str(output_rate),
        "X-Seed": str(seed),
        "X-Engine": engine,
        "X-Voice": voice.id,
        "X-Voice-Hash": voice.digest,
        "X-Speaker": quote(speaker),  # A name may be outside Latin-1, a header may not.
        "Cache-Control": "no-cache",
    }

    def generate() -> Iterator[Samples]:
        started = time.perf_counter()
        log["queue_ms"] = round((started - asked) * 1000, 1)
        count = 0
        for chunk in service.synthesizer.vocode(
            wanted, voice=voice, speaker=speaker, seed=seed, engine=options.engine
        ):
            if not count:
                log["first_audio_ms"] = round((time.perf_counter() - asked) * 1000, 1)
            count += len(chunk)
            yield chunk
        log["generation_ms"] = round((time.perf_counter() - started) * 1000, 1)
        log["audio_s"] = round(count / rate, 3)

    media_type = audio.MEDIA_TYPES[options.response_format]
    if options.stream:
        _check_streamable(options, rate)

        def parts() -> Iterator[bytes]:
            header = audio.wav_header(rate) if options.response_format == "wav" else b""
            for chunk in generate():
                yield header + audio.encode(chunk, rate, "pcm")
                header = b""

        live = stream(service.generations, parts)
        first = await while_connected(request, asyncio.create_task(begin(live)))
        return StreamingResponse(resume(first, live), media_type=media_type, headers=headers)

    def job(stop: threading.Event) -> bytes:
        chunks = []
        for chunk in generate():
            if stop.is_set():
                raise Stopped
            chunks.append(chunk)
        samples = audio.resample(np.concatenate(chunks), rate, output_rate)
        return audio.encode(samples, output_rate, options.response_format)

    work = asyncio.create_task(service.generations.run(job))
    encoded = await while_connected(request, work)
    return Response(encoded, media_type=media_type, headers=headers)


def _check_streamable(options: VocodeOptions, rate_hz: int) -> None:
    """Refuse what can only be made of whole audio."""
    if options.response_format not in ("wav", "pcm"):
        raise Refusal(
            400,
            f"{options.response_format} is not streamed: ask for wav or pcm, or leave stream out",
            code="not_streamable",
            param="response_format",
        )
    if options.sample_rate not in (None, rate_hz):
        raise Refusal(
            400,
            f"streamed audio has the voice's own {rate_hz} Hz: leave sample_rate out, or stream",
            code="not_streamable",
            param="sample_rate",
        )


async def _read(
    request: Request, query: VocodeOptions, service: Service
) -> tuple[VocodeOptions, Voice, Features]:
    kind = _content_type(request)
    if kind == JSON_TYPE:
        if request.query_params:
            raise Refusal(
                400,
                "with a JSON body the options go into the body, not into the query",
                code="options_in_query",
                param=next(iter(request.query_params))[:64],
            )
        given = await asyncio.to_thread(_parse_json, await request.body())
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


def _content_type(request: Request) -> str:
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    known = (*FEATURE_FILE_TYPES, JSON_TYPE)
    if kind not in (*known, *UNTYPED):
        raise Refusal(
            415,
            f"content-type {kind[:64]} is not understood: send a feature file as "
            f"{FEATURE_FILE_TYPES[0]}, or {JSON_TYPE}",
            code="unsupported_media_type",
        )
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise Refusal(
            415,
            f"content-encoding {encoding[:64]} is not understood: send the body as it is",
            code="unsupported_content_encoding",
        )
    return kind


def _parse_json(body: bytes) -> VocodeRequest:
    try:
        return VocodeRequest.model_validate_json(body)
    except ValidationError as error:
        known = tuple(VocodeRequest.model_fields)
        errors = error.errors(include_input=False, include_url=False)
        raise validation_refusal(errors, known, "JSON key") from None


def _json_features(request: VocodeRequest, config: FeatureConfig) -> Features:
    for key, value in (request.features or {}).items():
        expected = getattr(config, key) if key in FeatureConfig.model_fields else None
        if expected is None:
            known = ", ".join(FeatureConfig.model_fields)
            raise FeatureError(
                f"features.{key[:64]} is unknown: known are {known}", param="features"
            )
        if value != expected:
            features.check_fingerprint({**config.fingerprint(), key: str(value)}, config)
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
