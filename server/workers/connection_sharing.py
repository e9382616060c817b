"""Which of several workers takes the next connection: the one with the fewest, for its cores.

All workers wait on one socket. Left to themselves, whichever wakes first would take a whole burst,
and refuse listeners for whom another had room.
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
"""How long a connection is left to a worker that has fewer, before it is looked at again."""

DEFERRALS = 10
"""After so many the other one must be stuck."""

OUT_OF_FILES_S = 1.0
"""How long nothing is accepted after the system has refused a socket."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConnectionSharing:
    """One worker's part in sharing a socket.

    Attributes:
        loads: of all workers.
        worker: its number.
        cores: how many it has.
    """

    loads: LoadTable
    worker: int
    cores: int

    def tell(self, connections: int) -> None:
        """Tell the others how many connections there are."""
        self.loads[self.worker] = connections / self.cores

    def leave(self) -> None:
        """Have the others go first."""
        self.loads[self.worker] = LEAVING

    def end(self) -> None:
        """Tell the others that nothing is taken here any more."""
        self.loads[self.worker] = ABSENT

    async def come(self) -> None:
        """Wait until it is this worker's turn, or the one whose it is must be stuck."""
        for _ in range(DEFERRALS):
            if self.loads.is_least(self.worker):
                return
            await asyncio.sleep(DEFER_S)


class SharingServer(DrainingServer):
    """Takes connections in turns with other workers, as soon as it can serve them."""

    def __init__(
        self,
        config: uvicorn.Config,
        draining: Draining,
        turns: ConnectionSharing,
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
            turns: this worker's.
            grace_s: see there.
            on_started: see there.
            ready: returns when connections may be taken.
            unhealthy: says why this worker should make room for a new one, if it should.
        """
        super().__init__(config, draining, grace_s=grace_s)
        self._turns = turns
        self._on_accepting = on_started
        self._ready = ready
        self._unhealthy = unhealthy
        self._arriving: set[asyncio.Task[Any]] = set()
        self._accepting: asyncio.Task[None] | None = None
        self._is_open = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See :class:`uvicorn.Server`, which is given no socket to take connections from."""
        assert sockets
        await super().startup([])
        self._accepting = asyncio.create_task(self._accept(sockets[0]))

    async def on_tick(self, counter: int) -> bool:
        """See :class:`DrainingServer`."""
        if self._accepting and self._accepting.done():
            self._accepting.result()
        self._tell()
        if not self.draining.is_set() and (reason := self._unhealthy()):
            logger.error("this worker stops, and is started again: %s", reason)
            self.handle_exit(signal.SIGTERM, None)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See :class:`uvicorn.Server`."""
        if self._accepting:
            self._accepting.cancel()
            await asyncio.wait({self._accepting})
        self._turns.end()
        await super().shutdown(sockets)

    def _tell(self) -> None:
        if self._is_open and self.draining.is_set():
            self._turns.leave()
        elif self._is_open:
            self._turns.tell(len(self.server_state.connections) + len(self._arriving))

    async def _accept(self, listener: socket.socket) -> None:
        await self._ready()
        self._is_open = True
        self._tell()
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
            await self._turns.come()
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, ConnectionError):
                continue  # Another worker was faster, or the client has gone.
            except OSError as error:
                logger.error("no connection can be accepted: %s", error)
                await asyncio.sleep(OUT_OF_FILES_S)
                continue
            connection.setblocking(False)
            task = loop.create_task(loop.connect_accepted_socket(self._protocol, connection))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)
            self._tell()

    def _protocol(self) -> asyncio.Protocol:
        """What uvicorn makes for a connection that it has accepted."""
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol
