"""What OpenAPI says of the speech endpoints beyond what FastAPI sees."""

from typing import Any

from .. import openapi
from ..schemas import SpeechRequest

_AUDIO = openapi.audio_answer("The audio, mono; or with `stream_format` `sse` events that hold it.")
_AUDIO["content"]["text/event-stream"] = {
    "itemSchema": {
        "type": "object",
        "required": ["data"],
        "properties": {
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": {
                    "type": "object",
                    "required": ["type"],
                    "properties": {
                        "type": {
                            "enum": [
                                "speech.audio.delta",
                                "speech.audio.timings",
                                "speech.audio.done",
                                "error",
                            ]
                        }
                    },
                },
            }
        },
    },
    "example": 'data: {"type":"speech.audio.delta","audio":"UklGRv////9XQVZF"}\n\n'
    'data: {"type":"speech.audio.done","usage":'
    '{"input_tokens":12,"output_tokens":83,"total_tokens":95}}\n\n',
}

_ERRORS: dict[int | str, dict[str, Any]] = {
    **openapi.ERRORS,
    422: openapi.error(
        "A text that cannot be spoken or is too long, or an option out of range.",
        "invalid_text",
        "the text has nothing to speak: give words or numbers",
        "input",
    ),
}

RESPONSES: dict[int | str, dict[str, Any]] = {
    200: _AUDIO,
    **_ERRORS,
}

PLAN_RESPONSES = _ERRORS

REQUEST_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": openapi.json_body(
            SpeechRequest,
            {
                "model": "tts-1",
                "input": "Hello there. It is 5:30 pm.",
                "voice": "alloy",
                "response_format": "mp3",
            },
        ),
    }
}
"""The body, for ``openapi_extra``."""
