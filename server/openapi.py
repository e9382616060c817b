"""Parts of the OpenAPI document that FastAPI cannot infer: bodies, audio, headers, errors."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from vocoder.audio import io as audio
from vocoder.generation.noise import MAX_SEED

from .schemas import ErrorResponse

BINARY = {"schema": {"type": "string", "format": "binary"}}

HEADERS = {
    "X-Sample-Rate": ("integer", "sample rate of this audio, in Hz"),
    "X-Seed": ("integer", "the seed used; sending it again gives the same audio"),
    "X-Engine": ("string", "the engine used"),
    "X-Voice": ("string", "voice id"),
    "X-Voice-Hash": ("string", "SHA-256 over the voice's weights and settings"),
    "X-Speaker": ("string", "speaker, percent-encoded if not ASCII"),
    "Server-Timing": ("string", "milliseconds before the first audio: queue, text, first-audio"),
    "X-Real-Time-Factor": ("number", "generation time per second of audio; only for whole files"),
    "x-request-id": ("string", "id of the request, also in the server's log"),
}


def headers(named: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """Response headers, from each one's type and meaning."""
    return {
        name: {"schema": {"type": kind}, "description": meaning}
        for name, (kind, meaning) in named.items()
    }


def audio_answer(description: str) -> dict[str, Any]:
    """A response of audio in any format."""
    return {
        "description": description,
        "content": dict.fromkeys(audio.MEDIA_TYPES.values(), BINARY),
        "headers": headers(HEADERS),
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
        "The body is not JSON, or there are options in the query as well.",
        "invalid_json",
        "the body is not JSON: EOF while parsing a value at line 1 column 0",
    ),
    404: error(
        "There is no such voice or speaker.",
        "not_found",
        "speaker 'nobody' is unknown: voice arctic has bdl, slt",
        "speaker",
    ),
    409: error(
        "The voice's files are damaged.",
        "invalid_voice",
        "the files of voice 'arctic' are damaged on this server: "
        "use another voice, or have it reinstalled",
        "voice",
    ),
    413: error(
        "The body is over the limit; the connection is closed.",
        "body_too_large",
        "the body is 20000000 bytes: the limit is 16777216 bytes",
    ),
    415: error(
        "The body's content type is not supported.",
        "unsupported_media_type",
        "content-type text/plain is not supported: send application/json",
    ),
    429: error(
        "The server is at its limit of concurrent streams; see `retry-after`.",
        "overloaded",
        "the server's limit is 12 streams: try again in 4 s",
    ),
    503: error(
        "The queue is full, or no voice is installed; see `retry-after`.",
        "overloaded",
        "18 requests are running or waiting, which is the server's limit: try again in 5 s",
    ),
}
"""Errors that every request for audio can have."""


def install(app: FastAPI) -> None:
    """Correct the document where FastAPI rounds it."""
    generate = app.openapi

    def document() -> dict[str, Any]:
        fresh = app.openapi_schema is None
        found = generate()
        if fresh:
            _whole_bounds(found)
        return found

    app.openapi = document  # type: ignore[method-assign] # FastAPI's own way to extend it


def _whole_bounds(part: Any) -> None:
    """Write bounds of integers as integers: as floats, 64-bit bounds lose their last digits."""
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
    """Content of a JSON body, with all definitions written out in place."""
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
