"""One of several processes that serve one address; :mod:`vocoder.server.workers` starts it.

A pair of connected sockets joins it to the supervisor: the worker says that it serves, or why it
cannot; and whichever of the two dies, the other reads the end of it.
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
"""Variable that names a folder for what the workers share."""

LOADS = "loads"
"""File in that folder."""


class Start(NamedTuple):
    """What a worker is told at its start, on its command line.

    Attributes:
        worker: its number.
        workers: how many there are.
        cores: to run on; any where empty.
        listener: the supervisor's socket, as a file descriptor.
        channel: to the supervisor, as a file descriptor.
    """

    worker: int
    workers: int
    cores: list[int]
    listener: int
    channel: int


def work(start: Start) -> None:
    """Serve; to be called first thing in a process of its own."""
    if start.cores:
        os.sched_setaffinity(0, start.cores)  # Before any library counts them.
    channel = socket.socket(fileno=start.channel)
    threading.Thread(target=_end_with_supervisor, args=(channel,), daemon=True).start()

    from prometheus_client import values

    # Named by number and not by process, a worker started again goes on where the last one was.
    values.ValueClass = values.MultiProcessValue(lambda: start.worker)  # type: ignore[no-untyped-call]

    from vocoder.errors import UserError

    from .. import app, logs
    from ..settings import ServerSettings
    from .connection_sharing import ConnectionSharing
    from .load_table import LoadTable

    def tell(mistake: str | None) -> None:
        with contextlib.suppress(OSError):
            channel.sendall(json.dumps({"mistake": mistake}).encode() + b"\n")

    loads = LoadTable(Path(os.environ[FOLDER_VARIABLE]) / LOADS, start.workers)
    turns = ConnectionSharing(loads, start.worker, cores=len(start.cores) or 1)
    try:
        settings = ServerSettings.load()
        logging.config.dictConfig(logs.config(settings.log_format))
        with socket.socket(fileno=start.listener) as listener:
            app.run(settings, listener, lambda: tell(None), turns)
    except UserError as error:
        tell(str(error))
        sys.exit(2)


def _end_with_supervisor(channel: socket.socket) -> None:
    with contextlib.suppress(OSError):
        channel.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    work(Start(**json.loads(sys.argv[1])))
