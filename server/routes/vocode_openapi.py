"""What OpenAPI says of the vocode endpoint beyond what FastAPI sees: two bodies, audio, headers."""

from typing import Any

from server.schemas import ErrorResponse, VocodeRequest

_BINARY = {"schema": {"type": "string", "format": "binary"}}

_HEADERS = {
    "X-Sample-Rate": ("integer", "samples a second of this audio"),
    "X-Seed": ("integer", "the seed that was used: given again, it gives the same audio"),
    "X-Engine": ("string", "the engine that ran"),
    "X-Voice": ("string", "voice id"),
    "X-Voice-Hash": ("string", "SHA-256 of the voice's weights"),
    "X-Speaker": ("string", "speaker, percent-encoded where not ASCII"),
    "x-request-id": ("string", "the request's id, in the server's log too"),
}


def _error(description: str, code: str, message: str, param: str | None = None) -> dict[str, Any]:
    kind = {"not_found": "not_found_error", "overloaded": "overloaded_error"}
    error = {
        "message": message,
        "type": kind.get(code, "invalid_request_error"),
        "param": param,
        "code": code,
    }
    content = {"application/json": {"example": {"error": error}}}
    return {"model": ErrorResponse, "description": description, "content": content}


RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The audio, 16-bit mono.",
        "content": {"audio/wav": _BINARY, "audio/flac": _BINARY, "audio/pcm": _BINARY},
        "headers": {
            name: {"schema": {"type": kind}, "description": description}
            for name, (kind, description) in _HEADERS.items()
        },
    },
    400: _error(
        "The body is not JSON, or options are in the query as well.",
        "invalid_json",
        "the body is not JSON: EOF while parsing a value at line 1 column 0",
    ),
    404: _error(
        "No such voice or speaker.",
        "not_found",
        "speaker 'nobody' is unknown: voice arctic has bdl, slt",
        "speaker",
    ),
    409: _error(
        "The voice's files are damaged.",
        "invalid_voice",
        "the files of voice 'arctic' are damaged on this server: "
        "name another voice, or have it installed again",
        "voice",
    ),
    413: _error(
        "The body is over the limit; the connection closes.",
        "body_too_large",
        "the body is 20000000 bytes: this server takes at most 16777216 bytes",
    ),
    415: _error(
        "The body's type is not understood.",
        "unsupported_media_type",
        "content-type text/plain is not understood: send a feature file as "
        "application/octet-stream, or application/json",
    ),
    422: _error(
        "Features that the voice cannot use, too long audio, or an option out of range.",
        "invalid_features",
        "features were made with hop_length 256, the voice needs 200",
        "hop_length",
    ),
    503: _error(
        "As many requests as may wait are waiting, or no voice is installed; see `retry-after`.",
        "overloaded",
        "18 requests are being served or wait, this server takes no more than 18: try again in 5 s",
    ),
}


def request_body() -> dict[str, Any]:
    """The two bodies, for ``openapi_extra``."""
    example = {
        "voice": "arctic",
        "speaker": "slt",
        "seed": 1,
        "response_format": "wav",
        "features": {"sample_rate_hz": 16000, "hop_length": 200, "n_mels": 2},
        "mel": [[-9.1, -8.7, -8.9], [-10.2, -10.0, -9.8]],
    }
    schema = VocodeRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)  # OutputRate is a component already: the query uses it.
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": _BINARY,
                "application/x-safetensors": _BINARY,
                "application/json": {"schema": schema, "example": example},
            },
        }
    }
