"""What OpenAPI says of the vocode endpoint beyond what FastAPI sees: two bodies, audio, headers."""

from typing import Any

from .. import openapi
from ..schemas import VocodeRequest

RESPONSES: dict[int | str, dict[str, Any]] = {
    200: openapi.audio_answer("The audio, mono."),
    **openapi.ERRORS,
    415: openapi.error(
        "The body's type is not understood.",
        "unsupported_media_type",
        "content-type text/plain is not understood: send a feature file as "
        "application/octet-stream, or application/json",
    ),
    422: openapi.error(
        "Features that the voice cannot use, too long audio, or an option out of range.",
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
"""The two bodies, for ``openapi_extra``."""
