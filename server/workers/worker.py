"""One of several processes that serve the same address; :mod:`.supervisor` starts it.

A pair of connected sockets links it to the supervisor. The worker reports that it is serving, or
why it cannot start; and when one of the two dies, the other reads the end of the stream.
"""

import contextlib
import json
import logging.config
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import NamedTuple

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder for files that the workers share."""

LOAD_TABLE = "loads"
"""The load table's file in that folder."""


class Start(NamedTuple):
    """A worker's parameters, passed on its command line.

    Attributes:
        worker: its index.
        workers: the number of workers.
        cores: CPU cores to run on; any if empty.
        listener: file descriptor of the listening socket.
        channel: file descriptor of the socket to the supervisor.
    """

    worker: int
    workers: int
    cores: list[int]
    listener: int
    channel: int


def work(start: Start) -> None:
    """Serve; to be called first in a process of its own."""
    if start.cores:
        os.sched_setaffinity(0, start.cores)  # Before any library counts the cores.
    channel = socket.socket(fileno=start.channel)
    threading.Thread(target=_end_with_supervisor, args=(channel,), daemon=True).start()

    from prometheus_client import values

    # Keyed by index and not by process id, so that a restarted worker continues the counts.
    values.ValueClass = values.MultiProcessValue(lambda: start.worker)  # type: ignore[no-untyped-call]

    import uvicorn

    from vocoder.errors import UserError

    from .. import app, logs
    from ..service.service import Service
    from ..settings import ServerSettings
    from .connection_sharing import ConnectionSharing, SharingServer
    from .load_table import LoadTable

    def report(mistake: str | None) -> None:
        with contextlib.suppress(OSError):
            channel.sendall(json.dumps({"mistake": mistake}).encode() + b"\n")

    def make_server(config: uvicorn.Config, service: Service) -> SharingServer:
        loads = LoadTable(Path(os.environ[FOLDER_VARIABLE]) / LOAD_TABLE, start.workers)
        return SharingServer(
            config,
            service.draining,
            ConnectionSharing(loads, start.worker, cores=len(start.cores) or 1),
            grace_s=service.settings.shutdown_grace_s,
            on_started=lambda: report(None),
            ready=service.readiness.settled,
            unhealthy=service.unhealthy,
        )

    try:
        settings = ServerSettings.load()
        logging.config.dictConfig(logs.config(settings.log_format, settings.log_level))
        with socket.socket(fileno=start.listener) as listener:
            app.run(settings, listener, make_server)
    except UserError as error:
        report(str(error))
        sys.exit(2)


def _end_with_supervisor(channel: socket.socket) -> None:
    with contextlib.suppress(OSError):
        channel.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    work(Start(**json.loads(sys.argv[1])))
