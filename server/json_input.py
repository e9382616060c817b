"""JSON from clients: checked before anything large is built from it, up to the first mistake.

Pydantic collects every mistake of a body in one call that holds the interpreter, and a body of a
megabyte can make half a million of them. A body is therefore counted first, and refused if it has
more values than any request can use.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from .errors import Refusal, validation_refusal

MOST_VALUES = 2500
"""Values in a request, besides features: a lexicon has the most, two for each of 1,000 words."""

LARGE_BYTES = 2**12
"""From this size on, JSON is parsed in the parsing thread and not on the event loop."""

COUNTED_BYTES = 2**20
"""The interpreter is free for others after each of these."""

Schema = TypeVar("Schema", bound=BaseModel)


def parse(body: bytes, schema: type[Schema]) -> Schema:
    """A body that fits a schema without features.

    Raises:
        Refusal: 400, it is not JSON; 422, it does not fit the schema or has too many values.
    """
    check_commas(body, "the body")
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        raise refusal_of(error, schema) from None


def refusal_of(error: ValidationError, schema: type[BaseModel]) -> Refusal:
    """The first mistake in a JSON body as a refusal."""
    errors = error.errors(include_input=False, include_url=False)
    return validation_refusal(errors, tuple(schema.model_fields), "JSON key")


def check_commas(body: bytes, what: str) -> None:
    """Check the number of values in JSON by its commas, of which only those outside strings count.

    Raises:
        Refusal: 422, it has more than ``MOST_VALUES``.
    """
    left = MOST_VALUES
    if count(body, b",") <= left:
        return
    for start, end in outside_strings(body):
        left -= body.count(b",", start, end)
        if left < 0:
            raise too_many_values(what)


def outside_strings(body: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of each stretch of JSON without strings."""
    start = at = 0
    inside = False
    while (quote := body.find(b'"', at)) >= 0:
        if not inside:
            yield start, quote
            inside = True
        else:
            run = body[at:quote]
            inside = (len(run) - len(run.rstrip(b"\\"))) % 2 == 1  # An escaped quote.
        start = at = quote + 1
    if not inside:
        yield start, len(body)


def decoded(data: bytes | str, what: str) -> Any:
    """The value of JSON.

    Raises:
        Refusal: 400, it is not JSON.
    """
    try:
        return from_json(data)
    except ValueError as error:
        raise Refusal(400, f"{what} is not JSON: {error}", code="invalid_json") from None


def check_count(value: Any, what: str, *, besides: Sequence[str] = ()) -> None:
    """Check the number of values in a decoded value.

    Args:
        value: to count.
        what: it is, for the message.
        besides: keys of the outermost object whose values do not count.

    Raises:
        Refusal: 422, it has more than ``MOST_VALUES``.
    """
    if isinstance(value, dict):
        value = {key: one for key, one in value.items() if key not in besides}
    left, waiting = MOST_VALUES, [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict | list):
            left -= len(one)
            if left < 0:
                raise too_many_values(what)
            waiting.extend(one.values() if isinstance(one, dict) else one)


def too_many_values(what: str) -> Refusal:
    """The refusal of JSON with too many values."""
    message = f"{what} has more than {MOST_VALUES} values: send only what the request needs"
    return Refusal(422, message, code="too_many_values")


def count(data: bytes, byte: bytes) -> int:
    """How often a byte occurs, without holding the interpreter for long."""
    ends = range(0, len(data), COUNTED_BYTES)
    return sum(data.count(byte, start, start + COUNTED_BYTES) for start in ends)
