"""What a connection speaks: how its messages are read, and how answers are written."""

from collections.abc import Callable
from dataclasses import dataclass

from .messages import ClientMessage, parse
from .outgoing import MessageOut


@dataclass(frozen=True)
class Dialect:
    """One protocol.

    Attributes:
        parse: a client's message; raises ``Refusal`` where it is none.
        shape: an answer as this protocol has it; None where it has no such answer.
        greets: whether Metadata comes before the client says anything.
    """

    parse: Callable[[str], ClientMessage]
    shape: Callable[[MessageOut], MessageOut | None]
    greets: bool = False


OWN = Dialect(parse=parse, shape=lambda message: message)
