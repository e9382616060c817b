"""Time limits of a connection."""

import asyncio
from collections.abc import Callable

from .limits import SLOWEST_BYTES_PER_S


class Deadline:
    """Calls a function unless it is stopped in time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self._loop, self._expired = loop, expired
        self._timer: asyncio.TimerHandle | None = None

    @property
    def running(self) -> bool:
        """Whether it has been started, and neither stopped nor expired."""
        return self._timer is not None

    def start(self, seconds: float) -> None:
        """Expire after ``seconds``, whatever was set before."""
        self.stop()
        self._timer = self._loop.call_later(seconds, self._expire)

    def stop(self) -> None:
        """Do not expire."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        self._expired()


class WriteWatch:
    """Aborts a connection whose client has stopped reading what is sent.

    A client that reads slowly makes progress as long as it takes ``SLOWEST_BYTES_PER_S``.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        stalled_s: float,
        stalled: Callable[[], None],
    ) -> None:
        """Watch a connection; ``stalled`` is called before it is aborted."""
        self._transport, self._stalled_s, self._stalled = transport, stalled_s, stalled
        self._deadline = Deadline(loop, self._check)
        self._unsent = 0

    def start(self) -> None:
        """There is something that the client has to read."""
        if not self._deadline.running:
            self._unsent = self._transport.get_write_buffer_size()
            self._deadline.start(self._stalled_s)

    def stop(self) -> None:
        """The client has read, or the connection is lost."""
        self._deadline.stop()

    def _check(self) -> None:
        unsent = self._transport.get_write_buffer_size()
        if not unsent:
            return
        if self._unsent - unsent >= SLOWEST_BYTES_PER_S * self._stalled_s:
            self.start()
            return
        self._stalled()
        self._transport.abort()
