"""Balances connections between workers: the next one goes to the worker with the fewest per core.

All workers accept from one socket. Without balancing, the first to wake would take a whole burst
and refuse clients that another worker had room for.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import uvicorn

from ..draining import Draining, DrainingServer
from .load_table import ABSENT, LEAVING, LoadTable

DEFER_S = 0.005
"""How long a connection is left to a less loaded worker before checking again."""

DEFERRALS = 10
"""After this many the less loaded worker is assumed to be stuck."""

OUT_OF_FILES_S = 1.0
"""Pause after the system has refused a socket, for example because files have run out."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConnectionSharing:
    """One worker's part in sharing the socket.

    Attributes:
        loads: of all workers.
        worker: this worker's index.
        cores: the number of its CPU cores.
    """

    loads: LoadTable
    worker: int
    cores: int

    def report(self, connections: int) -> None:
        """Report this worker's number of connections."""
        self.loads[self.worker] = connections / self.cores

    def leave(self) -> None:
        """Let the other workers go first."""
        self.loads[self.worker] = LEAVING

    def end(self) -> None:
        """Report that this worker accepts no more connections."""
        self.loads[self.worker] = ABSENT

    async def wait_turn(self) -> None:
        """Wait until this worker is the least loaded, or the one that is seems stuck."""
        for _ in range(DEFERRALS):
            if self.loads.is_least(self.worker):
                return
            await asyncio.sleep(DEFER_S)


class SharingServer(DrainingServer):
    """Shares its socket with other workers, once it is ready to serve."""

    def __init__(
        self,
        config: uvicorn.Config,
        draining: Draining,
        sharing: ConnectionSharing,
        *,
        grace_s: float,
        on_started: Callable[[], None],
        ready: Callable[[], Awaitable[None]],
        unhealthy: Callable[[], str | None] = lambda: None,
    ) -> None:
        """See :class:`DrainingServer`.

        Args:
            config: see there.
            draining: see there.
            sharing: this worker's part in sharing the socket.
            grace_s: see there.
            on_started: see there.
            ready: returns when connections can be accepted.
            unhealthy: the reason why this worker should be restarted, or None.
        """
        super().__init__(config, draining, grace_s=grace_s)
        self._sharing = sharing
        self._on_accepting = on_started
        self._ready = ready
        self._unhealthy = unhealthy
        self._arriving: set[asyncio.Task[Any]] = set()
        self._accepting: asyncio.Task[None] | None = None
        self._is_open = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See :class:`uvicorn.Server`, which gets no socket: connections are accepted here."""
        assert sockets
        await super().startup([])
        self._accepting = asyncio.create_task(self._accept(sockets[0]))

    async def on_tick(self, counter: int) -> bool:
        """See :class:`DrainingServer`."""
        if self._accepting and self._accepting.done():
            self._accepting.result()
        self._report()
        if not self.draining.is_set() and (reason := self._unhealthy()):
            logger.error("this worker stops and will be restarted: %s", reason)
            self.handle_exit(signal.SIGTERM, None)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See :class:`uvicorn.Server`."""
        if self._accepting:
            self._accepting.cancel()
            await asyncio.wait({self._accepting})
        self._sharing.end()
        await super().shutdown(sockets)

    def _report(self) -> None:
        if self._is_open and self.draining.is_set():
            self._sharing.leave()
        elif self._is_open:
            self._sharing.report(len(self.server_state.connections) + len(self._arriving))

    async def _accept(self, listener: socket.socket) -> None:
        await self._ready()
        self._is_open = True
        self._report()
        self._on_accepting()
        listener.setblocking(False)
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        while True:
            loop.add_reader(listener, readable.set)
            try:
                await readable.wait()
            finally:
                loop.remove_reader(listener)
            readable.clear()
            await self._sharing.wait_turn()
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, ConnectionError):
                continue  # Another worker was faster, or the client is gone.
            except OSError as error:
                logger.error("cannot accept connections: %s", error)
                await asyncio.sleep(OUT_OF_FILES_S)
                continue
            connection.setblocking(False)
            task = loop.create_task(loop.connect_accepted_socket(self._protocol, connection))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)
            self._report()

    def _protocol(self) -> asyncio.Protocol:
        """The protocol that uvicorn creates for an accepted connection."""
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol
