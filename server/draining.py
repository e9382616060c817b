"""An orderly end: from a signal on no new work is taken, and what runs goes on to its end.

Uvicorn's own shutdown closes every WebSocket at once; here it begins only when nothing runs any
more, or the time for that is over.
"""

import asyncio
import logging
import math
import socket
import time
from collections.abc import Callable
from types import FrameType

import uvicorn

REPEAT_S = 1.0
"""A signal so soon after the first is the same one, sent to a whole group of processes."""

LAST_BYTES_S = 1
"""Least time for what is still in the buffers of connections when their requests have ended."""

logger = logging.getLogger(__name__)


class Draining(asyncio.Event):
    """Set from when no new work is taken.

    Attributes:
        running: HTTP requests and WebSocket connections that have not ended. A connection on which
            nothing is being spoken is expected to close itself when the event is set.
    """

    def __init__(self) -> None:
        super().__init__()
        self.running = 0


class DrainingServer(uvicorn.Server):
    """Drains at SIGTERM and SIGINT, then stops with status 0; a second signal stops it at once."""

    def __init__(
        self,
        config: uvicorn.Config,
        draining: Draining,
        *,
        grace_s: float,
        on_started: Callable[[], None] = lambda: None,
    ) -> None:
        """Serve an application that has a :class:`DrainingGate` of ``draining``.

        Args:
            config: whose ``timeout_graceful_shutdown`` is set here.
            draining: of the application.
            grace_s: the longest that is waited for what runs.
            on_started: called when connections are accepted.
        """
        super().__init__(config)
        self.draining = draining
        self._grace_s = grace_s
        self._on_started = on_started
        self._loop: asyncio.AbstractEventLoop | None = None
        self._signalled: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See :class:`uvicorn.Server`."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self._on_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal. Not kept for raising it again, which would make it the exit status."""
        if self._signalled is None:
            self._signalled = time.monotonic()
            if self.started and self._loop:
                self._loop.call_soon_threadsafe(self.draining.set)
            else:
                self.should_exit = True
        elif time.monotonic() - self._signalled > REPEAT_S:
            self.force_exit = self.should_exit  # Where that goes on already, it is cut short.
            self.config.timeout_graceful_shutdown = 0
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        if self._signalled is not None and not self.should_exit:
            self._drain(self._signalled + self._grace_s - time.monotonic())
        return await super().on_tick(counter)

    def _drain(self, left_s: float) -> None:
        running = self.draining.running
        if running and left_s > 0:
            return
        if running:
            logger.warning("stopping, though %d requests have not ended", running)
        self.config.timeout_graceful_shutdown = max(LAST_BYTES_S, math.ceil(left_s))
        self.should_exit = True
