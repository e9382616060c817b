"""Results of commands run by the fixture ``vocoder``, and an assertion on rejected ones."""

from collections.abc import Callable
from typing import NamedTuple


class Result(NamedTuple):
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


def assert_rejected(result: Result, message: str) -> None:
    """Check that a command exited 2 with a single line of error that contains ``message``."""
    assert result.code == 2, result
    assert result.out == ""
    assert len(result.err.strip().splitlines()) == 1, result.err
    assert message in result.err
