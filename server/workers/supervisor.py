"""Several processes serving one address, each with its own engine on its own share of the cores.

The supervisor opens the listening socket and starts the workers, which accept connections from it.
It restarts workers that die and forwards signals, and never imports the synthesizer.
:mod:`.worker` is the other side.
"""

import asyncio
import contextlib
import itertools
import json
import logging
import logging.config
import os
import signal
import socket
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import Sequence
from pathlib import Path

from prometheus_client import multiprocess

from vocoder.errors import UserError

from .. import logs
from ..settings import ServerSettings
from ..sockets import listening, url_of
from .load_table import ABSENT, LoadTable
from .worker import FOLDER_VARIABLE, LOAD_TABLE, Start

STEADY_S = 30.0
"""A worker that ran this long is restarted at once when it dies."""

LONGEST_PAUSE_S = 30.0
FIRST_PAUSE_S = 0.5

STARTS = 3
"""Consecutive failed starts after which the supervisor gives up, if no worker has ever served."""

LAST_S = 5.0
"""Time beyond the grace period before workers are killed."""

logger = logging.getLogger(__name__)


def supervise(settings: ServerSettings) -> None:
    """Serve with ``settings.workers`` processes until a signal stops them.

    Raises:
        UserError: the workers cannot start, or the address is not available.
    """
    with listening(settings) as listener:
        logging.config.dictConfig(logs.config(settings.log_format, settings.log_level))
        asyncio.run(Supervisor(settings, listener).run())


def shares(cores: Sequence[int], count: int) -> list[list[int]]:
    """The cores split among workers, neighbours together; cores are shared if there are too few."""
    if count > len(cores):
        return [[cores[index % len(cores)]] for index in range(count)]
    ends = [len(cores) * index // count for index in range(count + 1)]
    return [list(cores[first:end]) for first, end in itertools.pairwise(ends)]


def pause_s(deaths: int) -> float:
    """How long to wait before restarting a worker.

    Args:
        deaths: how many times in a row it has died soon after starting.
    """
    return 0.0 if deaths < 2 else min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (deaths - 2))


class Supervisor:
    """Keeps the workers running."""

    def __init__(self, settings: ServerSettings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        self._stopping = asyncio.Event()
        self._processes: dict[int, Process] = {}
        self._serving: set[int] = set()
        self._announced = False

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises:
            UserError: the workers cannot start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        count = self._settings.workers
        shared = shares(cores, count) if cores else [[]] * count
        with tempfile.TemporaryDirectory(prefix="vocoder-workers-") as folder:
            self._folder = Path(folder)
            self._loads = LoadTable(self._folder / LOAD_TABLE, count)
            for index in range(count):
                self._loads[index] = ABSENT
            tasks = [asyncio.create_task(self._keep(*share)) for share in enumerate(shared)]
            stopped = asyncio.create_task(self._stopping.wait())
            await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            if not stopped.done():
                self._stop()
            _, pending = await asyncio.wait(tasks, timeout=self._settings.shutdown_grace_s + LAST_S)
            if pending:
                logger.error("%d workers did not stop: killing them", len(pending))
                self._signal(signal.SIGKILL)
            await stopped
            errors = await asyncio.gather(*tasks, return_exceptions=True)
        for error in filter(None, errors):
            raise error

    def _stop(self) -> None:
        self._stopping.set()
        self._signal(signal.SIGTERM)

    def _reload(self) -> None:
        self._signal(signal.SIGHUP)

    def _signal(self, number: signal.Signals) -> None:
        for index, process in list(self._processes.items()):
            # SIGHUP would kill a worker that is not serving yet.
            if number != signal.SIGHUP or index in self._serving:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(number)

    async def _keep(self, index: int, cores: list[int]) -> None:
        """Keep one worker running until the supervisor stops."""
        deaths = failed = 0
        while not self._stopping.is_set():
            start = time.monotonic()
            try:
                mistake, served, status = await self._run_worker(index, cores)
            except OSError as error:  # Out of processes or file descriptors.
                mistake, served, status = str(error), False, 0
            if self._stopping.is_set():
                return
            failed = 0 if served else failed + 1
            if not self._announced and not self._serving and (mistake or failed == STARTS):
                raise UserError(mistake or f"a worker died while starting ({_ending(status)})")
            lived = time.monotonic() - start
            deaths = 1 if lived > STEADY_S else deaths + 1
            pause = pause_s(deaths)
            fields = {"worker": index, "lived_s": round(lived, 1), "pause_s": pause}
            logger.error(
                "a worker %s and will be restarted",
                f"cannot start: {mistake}" if mistake else _ending(status),
                extra={"fields": fields},
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()

    async def _run_worker(self, index: int, cores: list[int]) -> tuple[str | None, bool, int]:
        """Run one worker from start to exit.

        Returns:
            The user error that kept it from starting, whether it served, and its exit status.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            files = self._listener.fileno(), theirs.fileno()
            start = Start(index, self._settings.workers, cores, *files)
            process = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-P",
                    "-m",
                    "vocoder.server.workers.worker",
                    json.dumps(start._asdict()),
                ),
                pass_fds=files,
                env=os.environ
                | self._settings.to_environment()
                | {FOLDER_VARIABLE: str(self._folder)},
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C only reaches the supervisor, which forwards it.
            )
        self._processes[index] = process
        if self._stopping.is_set():
            process.terminate()
        reader, writer = await asyncio.open_connection(sock=ours)
        mistake, served = None, False
        try:
            if line := await reader.readline():
                mistake = json.loads(line)["mistake"]
                served = mistake is None
            if served:
                self._serving.add(index)
                self._announce(index, process, cores)
            return mistake, served, await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
            writer.close()
            self._serving.discard(index)
            del self._processes[index]
            self._loads[index] = ABSENT
            multiprocess.mark_process_dead(index, str(self._folder))  # type: ignore[no-untyped-call]

    def _announce(self, index: int, process: Process, cores: list[int]) -> None:
        fields = {"worker": index, "pid": process.pid, "cores": cores}
        logger.info("worker is serving", extra={"fields": fields})
        if not self._announced:
            self._announced = True
            url = url_of(self._settings, self._listener)
            count = self._settings.workers
            logger.info("serving on %s, documentation at %s/docs, workers: %d", url, url, count)


def _ending(status: int) -> str:
    name = signal.Signals(-status).name if status < 0 else ""
    return f"was killed by {name}" if name else f"exited with status {status}"
