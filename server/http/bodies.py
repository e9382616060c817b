"""Request bodies: their content type, and JSON validated by a schema."""

import functools
from collections.abc import Sequence
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel

from .. import json_input
from ..errors import Refusal
from ..service.service import Service

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
    if encoding not in ("identity", ""):
        raise Refusal(
            415,
            f"content-encoding {encoding[:64]} is not supported: send the body uncompressed",
            code="unsupported_content_encoding",
        )
    return kind


async def read_json(request: Request, schema: type[Schema]) -> Schema:
    """A JSON body without features, which holds all options.

    Raises:
        Refusal: 400, it is not JSON, or there is a query; 422, it does not fit the schema.
    """
    refuse_query(request)
    return await parsed_json(request, schema)


async def parsed_json(request: Request, schema: type[Schema]) -> Schema:
    """A JSON body without features, beside options in the query.

    Raises:
        Refusal: 400, it is not JSON; 422, it does not fit the schema.
    """
    service: Service = request.app.state.service
    body = await request.body()
    work = functools.partial(json_input.parse, body, schema)
    return await service.parse(work, len(body))


def refuse_query(request: Request) -> None:
    """Check that a request with a JSON body has no options in its query.

    Raises:
        Refusal: 400, it has.
    """
    if request.query_params:
        raise Refusal(
            400,
            "with a JSON body the options belong in the body, not in the query",
            code="options_in_query",
            param=next(iter(request.query_params))[:64],
        )
