"""What a server's processes hold: memory, files, threads."""

import time
from dataclasses import dataclass
from typing import Self

import psutil

POOLED_THREADS = 4
"""That a server's pools may still open after a warm-up: they do when they are first needed."""


@dataclass(frozen=True)
class Holdings:
    """What all processes of a server held together at one time.

    Attributes:
        at: ``time.monotonic``.
        rss_mb: resident memory, in MB of 10^6 bytes.
        files: open file descriptors.
        threads: of all kinds.
    """

    at: float
    rss_mb: float
    files: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """What the process and those it started hold now.

        Raises:
            psutil.NoSuchProcess: there is none.
        """
        first = psutil.Process(pid)
        rss = files = threads = 0
        for process in [first, *first.children(recursive=True)]:
            try:
                with process.oneshot():
                    rss += process.memory_info().rss
                    files += process.num_fds()
                    threads += process.num_threads()
            except psutil.NoSuchProcess:  # A child may end at any time.
                if process.pid == pid:
                    raise
        return cls(time.monotonic(), rss / 1e6, files, threads)

    def __str__(self) -> str:
        return f"{self.rss_mb:.0f} MB, {self.files} files, {self.threads} threads"


def listening_on(port: int) -> int | None:
    """The process that listens on a port of this machine: the first, where several do."""
    for process in sorted(psutil.process_iter(["pid"]), key=lambda process: process.pid):
        try:
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return process.pid
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    return None
