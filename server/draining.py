"""Graceful shutdown: after a signal no new work is accepted, and running work is completed.

Uvicorn's own shutdown closes every WebSocket at once. Here it only begins when nothing is running
any more, or the grace period is over.
"""

import asyncio
import errno
import logging
import math
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn

REPEAT_S = 1.0
"""A second signal within this time is taken as the same one, sent to a whole process group."""

OUT_OF_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
LOGGED_EVERY_S = 30.0

LAST_BYTES_S = 1
"""Minimum time to flush connection buffers after all requests have ended."""

logger = logging.getLogger(__name__)


class Draining(asyncio.Event):
    """Set once the server stops accepting new work.

    Attributes:
        running: HTTP requests and WebSocket connections that have not ended. An idle connection is
            expected to close itself when the event is set.
    """

    def __init__(self) -> None:
        super().__init__()
        self.running = 0


class _AcceptErrors:
    """Logs in a line, and not too often, that there are no files for further connections."""

    def __init__(self) -> None:
        self._logged = -math.inf

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in OUT_OF_FILES:
            loop.default_exception_handler(context)
        elif loop.time() - self._logged > LOGGED_EVERY_S:
            self._logged = loop.time()
            logger.error("cannot accept connections: %s", error.strerror)


class DrainingServer(uvicorn.Server):
    """Drains on SIGTERM or SIGINT, then exits with status 0; a second signal stops it at once."""

    def __init__(
        self,
        config: uvicorn.Config,
        draining: Draining,
        *,
        grace_s: float,
        on_started: Callable[[], None] = lambda: None,
    ) -> None:
        """Serve an application that uses a :class:`DrainingGate` with the same ``draining``.

        Args:
            config: uvicorn's; its ``timeout_graceful_shutdown`` is set here.
            draining: the application's.
            grace_s: maximum time to wait for running requests.
            on_started: called once connections are accepted.
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
        self._loop.set_exception_handler(_AcceptErrors())
        await super().startup(sockets)
        self._on_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a signal; unlike uvicorn's, it is not raised again, so the exit status is 0."""
        if self._signalled is None:
            self._signalled = time.monotonic()
            if self.started and self._loop:
                self._loop.call_soon_threadsafe(self.draining.set)
            else:
                self.should_exit = True
        elif time.monotonic() - self._signalled > REPEAT_S:
            self.force_exit = self.should_exit  # Cut a shutdown in progress short.
            self.config.timeout_graceful_shutdown = 0
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second."""
        if self._signalled is not None and not self.should_exit:
            self._drain(self._signalled + self._grace_s - time.monotonic())
        return await super().on_tick(counter)

    def _drain(self, left_s: float) -> None:
        running = self.draining.running
        if running and left_s > 0:
            return
        if running:
            logger.warning("stopping although %d requests are still running", running)
        self.config.timeout_graceful_shutdown = max(LAST_BYTES_S, math.ceil(left_s))
        self.should_exit = True
