"""Hooks of schemathesis, for what it cannot infer from the OpenAPI document.

    SCHEMATHESIS_HOOKS=openapi_rules PYTHONPATH=tests/server \
        schemathesis run http://127.0.0.1:8000/openapi.json

``FEATURE_FILE`` names features of the default voice, where that is not the shipped one.
"""

import json
import os
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import RejectedPositiveData

NO_SCHEMA_SAYS = {
    "invalid_text": "a text with nothing to speak, or a word spelled outside the IPA",
    "invalid_features": "bytes that are no feature file, or features of another voice's settings",
    "invalid_audio": "bytes that are no recording",
    "engine_unavailable": "which engines there are depends on the machine",
    "engine_not_allowed": "which engines may be named depends on the server",
    "options_in_query": "parameters are for feature files: OpenAPI ties none to a body's type",
    "timings_without_events": "timings go with stream_format sse only, but with every plan",
}
"""Error codes that a request can get although it fits its schema, and why."""

KNOWN = {"model": "arctic", "voice": "arctic", "speaker": "slt", "engine": "cpu"}
RECORDING = Path(__file__).parents[1] / "assets" / "speech" / "slt_arctic_a0090.flac"
FEATURE_FILE = Path(os.environ.get("FEATURE_FILE", RECORDING.with_suffix(".safetensors")))
FILES: dict[str, tuple[Path, str, dict[str, str]]] = {
    "/v1/audio/vocode": (FEATURE_FILE, "application/octet-stream", {}),
    "/v1/audio/analyze": (RECORDING, "audio/flac", {}),
}
"""Bodies that no schema can generate, their types, and their parameters."""

schemathesis.serializer.alias(
    ["application/x-safetensors", *(f"audio/{kind}" for kind in ("wav", "flac", "mpeg", "ogg"))],
    "application/octet-stream",
)


@schemathesis.hook
def filter_failure(
    context: schemathesis.HookContext,
    failure: Failure,
    case: schemathesis.Case,
    response: schemathesis.Response,
) -> bool:
    """Whether a failure counts: a request can fit its schema and still be impossible."""
    if not isinstance(failure, RejectedPositiveData):
        return True
    return bool(json.loads(response.content)["error"]["code"] not in NO_SCHEMA_SAYS)


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """Use existing names in most cases, or only refusals would be tested."""
    return _with_known_names(body) if isinstance(body, dict) else body


@schemathesis.hook
def map_query(context: schemathesis.HookContext, query: Any) -> Any:
    """The same for bodies."""
    return _with_known_names(query) if isinstance(query, dict) else query


def _with_known_names(options: dict[str, Any]) -> dict[str, Any]:
    def usable(name: object) -> bool:
        return isinstance(name, str) and 0 < len(name) <= 200 and name.isascii()

    return options | {
        key: name for key, name in KNOWN.items() if key in options and usable(options[key])
    }


@schemathesis.hook
def before_add_examples(
    context: schemathesis.HookContext, examples: list[schemathesis.Case]
) -> None:
    """Send files to operations that take them, and request events, which are rarely generated."""
    operation = context.operation
    if operation is not None and operation.path in FILES:
        path, media_type, query = FILES[operation.path]
        body = path.read_bytes()
        examples.append(operation.Case(body=body, media_type=media_type, query=dict(query)))
    elif operation is not None and operation.path == "/v1/audio/speech":
        events = {"input": "Hello. Hello.", "stream_format": "sse", "timings": True}
        examples.append(operation.Case(body=events, media_type="application/json"))
