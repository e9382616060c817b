"""What OpenAPI says of the analyze endpoint beyond what FastAPI sees: its bodies and headers."""

from typing import Any

from .. import openapi

FEATURE_FILE = "application/x-safetensors"

_HEADERS = {
    "X-Voice": ("string", "voice id"),
    "X-Voice-Hash": ("string", "SHA-256 of the voice's weights"),
    "X-Audio-Seconds": ("number", "length of the recording"),
    "x-request-id": ("string", "the request's id, in the server's log too"),
}

RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The feature file, in safetensors.",
        "content": {FEATURE_FILE: openapi.BINARY},
        "headers": {
            name: {"schema": {"type": kind}, "description": meaning}
            for name, (kind, meaning) in _HEADERS.items()
        },
    },
    **{status: said for status, said in openapi.ERRORS.items() if status != 400},
    404: openapi.error(
        "No such voice.",
        "not_found",
        "voice 'nobody' is unknown: choose one of arctic",
        "voice",
    ),
    415: openapi.error(
        "The body's type is not understood.",
        "unsupported_media_type",
        "content-type text/plain is not understood: send a recording as audio/wav, audio/flac, "
        "audio/mpeg, audio/ogg or application/octet-stream",
    ),
    422: openapi.error(
        "A body that is not a recording, a recording that is too long, or an unknown option.",
        "invalid_audio",
        "the body is not readable as audio (format not recognised): "
        "send a WAV, FLAC, MP3 or OGG file",
    ),
}

_TYPES = ("audio/wav", "audio/flac", "audio/mpeg", "audio/ogg", "application/octet-stream")

REQUEST_BODY: dict[str, Any] = {
    "requestBody": {
        "description": "The recording: a WAV, FLAC, MP3 or OGG file.",
        "required": True,
        "content": dict.fromkeys(_TYPES, openapi.BINARY),
    }
}
"""The body, for ``openapi_extra``."""
