"""A connection's protocol: how its messages are read, and how answers are written."""

from collections.abc import Callable
from dataclasses import dataclass

from .messages import ClientMessage, parse
from .outgoing import MessageOut


@dataclass(frozen=True)
class Dialect:
    """One protocol.

    Attributes:
        parse: reads a client's message; raises ``Refusal`` if it is invalid.
        shape: converts an answer to this protocol; None if it has no such answer.
        greets: whether Metadata is sent before the client has sent anything.
    """

    parse: Callable[[str], ClientMessage]
    shape: Callable[[MessageOut], MessageOut | None]
    greets: bool = False


OWN = Dialect(parse=parse, shape=lambda message: message)
