"""Request bodies: their content type, and JSON validated by a schema."""

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from ..errors import Refusal, validation_refusal

JSON_TYPE = "application/json"
UNTYPED = ("", "application/x-www-form-urlencoded")
"""No type at all, and what curl sends with --data-binary: the body itself has to tell."""

Schema = TypeVar("Schema", bound=BaseModel)


def content_type(request: Request, known: Sequence[str], wanted: str) -> str:
    """The body's type in lower case, without parameters; empty if the request has none.

    Args:
        request: with the header.
        known: supported types.
        wanted: what to send, for the error message.

    Raises:
        Refusal: 415, the type is not supported, or the body is compressed.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in known:
        raise Refusal(
            415,
            f"content-type {kind[:64]} is not supported: send {wanted}"
            if kind
            else f"there is no content-type: send {wanted}",
            code="unsupported_media_type",
        )
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise Refusal(
            415,
            f"content-encoding {encoding[:64]} is not supported: send the body uncompressed",
            code="unsupported_content_encoding",
        )
    return kind


async def read_json(request: Request, schema: type[Schema]) -> Schema:
    """A JSON body, which holds all options.

    Raises:
        Refusal: 400, it is not JSON, or there is a query; 422, it does not fit the schema.
    """
    if request.query_params:
        raise Refusal(
            400,
            "with a JSON body the options belong in the body, not in the query",
            code="options_in_query",
            param=next(iter(request.query_params))[:64],
        )
    return await asyncio.to_thread(_parse, await request.body(), schema)


def _parse(body: bytes, schema: type[Schema]) -> Schema:
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        errors = error.errors(include_input=False, include_url=False)
        raise validation_refusal(errors, tuple(schema.model_fields), "JSON key") from None
