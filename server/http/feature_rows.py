"""Features in JSON bodies, which can be long: their rows are parsed piece by piece.

One call that parses millions of numbers would hold the interpreter, and with it every stream. So
each innermost array of numbers is cut out of the body and replaced by its index; what is left is
small and fits the schema as before. The rows are then parsed in pieces.
"""

from typing import Annotated

import torch
from pydantic import FailFast, Strict, TypeAdapter, ValidationError
from torch import Tensor

from vocoder.errors import FeatureError

from ..errors import Refusal
from ..json_input import MOST_VALUES, count, outside_strings, refusal_of, too_many_values
from ..schemas import VocodeRequest

MOST_ROWS = 2**13
"""Bands or channels; no voice has more."""

MOST_STRINGS = 500
"""Keys and strings in a body with features."""

MOST_LEFT_BYTES = 2**20
"""Size of a body without its rows."""

PIECE_BYTES = 2**15
"""Length of the pieces of a row that are parsed at once."""

_NUMBERS = TypeAdapter(Annotated[list[Annotated[float, Strict()]], FailFast()])


class FeatureRows:
    """The arrays of numbers that were cut out of a body, by index."""

    def __init__(self, rows: list[bytes]) -> None:
        self._rows = rows

    def frames(self, indices: list[list[float]]) -> int:
        """Length of the first row, counted without parsing it."""
        return count(self._row(indices[0]), b",") + 1 if indices and indices[0] else 0

    def matrix(self, indices: list[list[float]], name: str, kind: str) -> Tensor:
        """Rows of equal length as float32 (R, F).

        Args:
            indices: of the rows, each in a list of its own; an empty list is an empty row.
            name: of the key, for messages.
            kind: what a row is, for messages.

        Raises:
            Refusal: 400, a row is not JSON; 422, a value is not a number.
            FeatureError: the rows differ in length.
        """
        if not indices:
            return torch.empty(0, 0)
        rows: list[Tensor] = []
        for number, index in enumerate(indices):
            row = _numbers(self._row(index), f"{name}[{number}]", name)
            if rows and len(row) != len(rows[0]):
                raise FeatureError(
                    f"{name} has {len(row)} frames in {kind} {number} and {len(rows[0])} in "
                    f"{kind} 0: every {kind} needs the same number",
                    param=name,
                )
            rows.append(row)
        return torch.stack(rows)

    def _row(self, index: list[float]) -> bytes:
        return self._rows[int(index[0])] if index else b""


def parse(body: bytes) -> tuple[VocodeRequest, FeatureRows]:
    """A request with an index in place of each row's numbers, and the rows.

    Raises:
        Refusal: 400, it is not JSON; 422, it does not fit the schema or has too many values.
    """
    if count(body, b'"') > 2 * MOST_STRINGS:
        raise too_many_values("the body")
    left, rows = _cut(body)
    if count(left, b",") > MOST_VALUES + len(rows):
        raise too_many_values("the body")
    if len(left) > MOST_LEFT_BYTES:
        message = f"the body has more than {MOST_LEFT_BYTES} bytes besides arrays of numbers"
        raise Refusal(422, message, code="too_many_values")
    try:
        return VocodeRequest.model_validate_json(left), FeatureRows(rows)
    except ValidationError as error:
        raise refusal_of(error, VocodeRequest) from None


def _cut(body: bytes) -> tuple[bytes, list[bytes]]:
    """The body with ``[index]`` in place of each innermost array, and their contents.

    Empty arrays stay, and those with strings or objects in them.
    """
    parts: list[bytes] = []
    rows: list[bytes] = []
    kept = found = 0
    for start, end in outside_strings(body):
        at = start
        while (close := body.find(b"]", at, end)) >= 0:
            opening = body.rfind(b"[", at, close)
            at = close + 1
            found += 1
            if found > MOST_ROWS:
                message = f"the body has more than {MOST_ROWS} arrays: no voice has as many bands"
                raise Refusal(422, message, code="too_many_values")
            if opening < 0 or body.find(b"{", opening, close) >= 0:
                continue
            content = body[opening + 1 : close]
            if content.isspace() or not content:
                continue
            parts += [body[kept:opening], b"[%d]" % len(rows)]
            rows.append(content)
            kept = at
    parts.append(body[kept:])
    return b"".join(parts), rows


def _numbers(row: bytes, place: str, name: str) -> Tensor:
    """The numbers in an array, without its brackets (F,)."""
    if not row.strip():
        return torch.empty(0)
    pieces: list[Tensor] = []
    at = done = 0
    while at <= len(row):
        cut = row.find(b",", at + PIECE_BYTES)
        end = len(row) if cut < 0 else cut
        try:
            values = _NUMBERS.validate_json(b"[%b]" % row[at:end])
        except ValidationError as error:
            raise _refusal(error, place, name, done) from None
        if not values:  # A comma with nothing behind it.
            message = f"the body is not JSON: a value is missing in {place}"
            raise Refusal(400, message, code="invalid_json")
        pieces.append(torch.tensor(values, dtype=torch.float32))
        done += len(values)
        at = end + 1
    return torch.cat(pieces)


def _refusal(error: ValidationError, place: str, name: str, done: int) -> Refusal:
    first = error.errors(include_input=False, include_url=False)[0]
    if first["type"] == "json_invalid":
        # Line and column would be those of the piece.
        detail = first["msg"].removeprefix("Invalid JSON: ").partition(" at line ")[0]
        return Refusal(400, f"the body is not JSON: {detail} in {place}", code="invalid_json")
    index = done + int(first["loc"][0])
    message = f"JSON key {place}[{index}]: {first['msg']}"
    return Refusal(422, message, code="invalid_request", param=name)
