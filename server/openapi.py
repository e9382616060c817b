"""What OpenAPI says beyond what FastAPI sees: bodies, audio, its headers, errors."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from vocoder.audio import io as audio
from vocoder.generation.noise import MAX_SEED

from .schemas import ErrorResponse

BINARY = {"schema": {"type": "string", "format": "binary"}}

HEADERS = {
    "X-Sample-Rate": ("integer", "samples a second of this audio"),
    "X-Seed": ("integer", "the seed that was used: given again, it gives the same audio"),
    "X-Engine": ("string", "the engine that ran"),
    "X-Voice": ("string", "voice id"),
    "X-Voice-Hash": ("string", "SHA-256 over the voice's weights and settings"),
    "X-Speaker": ("string", "speaker, percent-encoded where not ASCII"),
    "Server-Timing": ("string", "milliseconds before the first audio: queue, text, first-audio"),
    "X-Real-Time-Factor": ("number", "time it took by the audio's length; of whole files only"),
    "x-request-id": ("string", "the request's id, in the server's log too"),
}


def audio_answer(description: str) -> dict[str, Any]:
    """An answer of audio in any format."""
    return {
        "description": description,
        "content": dict.fromkeys(audio.MEDIA_TYPES.values(), BINARY),
        "headers": {
            name: {"schema": {"type": kind}, "description": meaning}
            for name, (kind, meaning) in HEADERS.items()
        },
    }


def error(description: str, code: str, message: str, param: str | None = None) -> dict[str, Any]:
    """An error's description and an example of it."""
    kind = {"not_found": "not_found_error", "overloaded": "overloaded_error"}
    example = {
        "message": message,
        "type": kind.get(code, "invalid_request_error"),
        "param": param,
        "code": code,
    }
    content = {"application/json": {"example": {"error": example}}}
    return {"model": ErrorResponse, "description": description, "content": content}


ERRORS: dict[int | str, dict[str, Any]] = {
    400: error(
        "The body is not JSON, or options are in the query as well.",
        "invalid_json",
        "the body is not JSON: EOF while parsing a value at line 1 column 0",
    ),
    404: error(
        "No such voice or speaker.",
        "not_found",
        "speaker 'nobody' is unknown: voice arctic has bdl, slt",
        "speaker",
    ),
    409: error(
        "The voice's files are damaged.",
        "invalid_voice",
        "the files of voice 'arctic' are damaged on this server: "
        "name another voice, or have it installed again",
        "voice",
    ),
    413: error(
        "The body is over the limit; the connection closes.",
        "body_too_large",
        "the body is 20000000 bytes: this server takes at most 16777216 bytes",
    ),
    415: error(
        "The body's type is not understood.",
        "unsupported_media_type",
        "content-type text/plain is not understood: send application/json",
    ),
    429: error(
        "As many listeners as the machine can serve at once are being served; see `retry-after`.",
        "overloaded",
        "12 streams are being served, this server takes no more than 12: try again in 4 s",
    ),
    503: error(
        "As many requests as may wait are waiting, or no voice is installed; see `retry-after`.",
        "overloaded",
        "18 requests are being served or wait, this server takes no more than 18: try again in 5 s",
    ),
}
"""Errors of every request for audio."""


def install(app: FastAPI) -> None:
    """Make the document exact where FastAPI rounds it."""
    generate = app.openapi

    def document() -> dict[str, Any]:
        fresh = app.openapi_schema is None
        found = generate()
        if fresh:
            _whole_bounds(found)
        return found

    app.openapi = document  # type: ignore[method-assign] # FastAPI's own way to extend it


def _whole_bounds(part: Any) -> None:
    """Bounds of integers as integers: as floats, those of 64 bits lose their last digits."""
    if isinstance(part, list):
        for item in part:
            _whole_bounds(item)
    if not isinstance(part, dict):
        return
    if part.get("type") == "integer":
        for bound in {"minimum", "maximum"} & part.keys():
            part[bound] = min(int(part[bound]), MAX_SEED)
    for item in part.values():
        _whole_bounds(item)


def json_body(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """Content of a JSON body, which stands for itself: its definitions are written out in place."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def inlined(part: Any) -> Any:
        if isinstance(part, list):
            return [inlined(item) for item in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            definition = definitions[part["$ref"].rpartition("/")[2]]
            return inlined(definition | {k: v for k, v in part.items() if k != "$ref"})
        return {key: inlined(value) for key, value in part.items()}

    return {"application/json": {"schema": inlined(schema), "example": example}}
