"""Errors in one format, ``{"error": {"message", "type", "param", "code"}}`` (OpenAI's).

It is used for the server's own :class:`Refusal`, for the vocoder's :class:`UserError` with a status
from one table, and for what FastAPI raises. Unexpected exceptions are handled by the middleware.
"""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from vocoder.errors import (
    AudioError,
    ConfigError,
    EngineError,
    FeatureError,
    NotFoundError,
    TextError,
    UserError,
    VoiceError,
)

STATUSES: dict[type[UserError], int] = {
    NotFoundError: 404,
    VoiceError: 409,
    AudioError: 422,
    ConfigError: 422,
    EngineError: 422,
    FeatureError: 422,
    TextError: 422,
}
"""Status of each kind of user error; 400 if a kind is not listed."""

CODES = {404: "not_found", 405: "method_not_allowed"}


class Refusal(HTTPException):
    """A request that the server refuses, and not the vocoder."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, dict(headers) if headers else None)
        self.code = code
        self.param = param


def error_response(
    status: int,
    message: str,
    *,
    code: str,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """An error as a response."""
    body = error_body(status, message, code=code, param=param)
    return JSONResponse(body, status, headers)


def error_body(
    status: int, message: str, *, code: str, param: str | None = None
) -> dict[str, dict[str, str | None]]:
    """An error as JSON; its ``type`` follows from the status."""
    kind = {404: "not_found_error", 429: "overloaded_error", 503: "overloaded_error"}.get(
        status, "server_error" if status >= 500 else "invalid_request_error"
    )
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def status_of(error: UserError) -> int:
    """The HTTP status of a user error."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 400)


def validation_refusal(errors: Sequence[Any], known: Sequence[str], where: str) -> Refusal:
    """The first of pydantic's errors as a refusal.

    Args:
        errors: from ``ValidationError.errors()``; each ``loc`` starts with the field's name.
        known: valid names, to suggest in place of an unknown one.
        where: what the fields are, such as ``query parameter``.
    """
    first = errors[0]
    loc: Sequence[int | str] = first["loc"]
    if first["type"] == "json_invalid":
        detail = first["msg"].removeprefix("Invalid JSON: ")
        return Refusal(400, f"the body is not JSON: {detail}", code="invalid_json")
    if not loc:
        return Refusal(422, f"the body: {first['msg']}", code="invalid_request")
    param = str(loc[0])
    if first["type"] == "extra_forbidden":
        message = f"{where} {param[:64]!r} is unknown: known are {', '.join(known)}"
        return Refusal(422, message, code="unknown_parameter", param=param[:64])
    place = param + "".join(f"[{part}]" for part in loc[1:] if isinstance(part, int))
    return Refusal(422, f"{where} {place}: {first['msg']}", code="invalid_request", param=param)


def install(app: FastAPI, reported: Callable[[str], None] = lambda code: None) -> None:
    """Make ``app`` answer every error in this format; ``reported`` is called with its code."""

    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers) if error.headers else None
        if isinstance(error, Refusal):
            reported(error.code)
            return error_response(
                error.status_code, error.detail, code=error.code, param=error.param, headers=headers
            )
        message = error.detail
        if error.status_code in CODES:
            asked = f"{request.method} {request.url.path[:200]}"
            allowed = f", allowed: {headers['Allow']}" if headers and "Allow" in headers else ""
            message = f"{asked}: {message.lower()}{allowed} (see /docs)"
        code = CODES.get(error.status_code, HTTPStatus(error.status_code).name.lower())
        return error_response(error.status_code, message, code=code, headers=headers)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        # FastAPI puts "query", "path" or "body" before the field's name.
        first = error.errors()[0]
        place = str(first["loc"][0])
        route = request.scope.get("route")
        known = [p["name"] for p in _parameters(request.app, route) if p["in"] == place]
        errors = [{**first, "loc": first["loc"][1:]}]
        refusal = validation_refusal(errors, known, f"{place} parameter")
        return await refused(request, refusal)

    async def mistaken(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, UserError)
        reported(error.code)
        return error_response(status_of(error), str(error), code=error.code, param=error.param)

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(UserError, mistaken)


def _parameters(app: FastAPI, route: Any) -> list[dict[str, Any]]:
    operations = app.openapi()["paths"].get(getattr(route, "path", ""), {})
    return [p for operation in operations.values() for p in operation.get("parameters", [])]
