"""Resources of a server's processes: memory, files, threads."""

import time
from dataclasses import dataclass
from typing import Self

import psutil

POOLED_THREADS = 4
"""How many threads a server's pools may still start after a warm-up."""


@dataclass(frozen=True)
class Holdings:
    """Resources of all processes of a server at one time.

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
        """The current resources of a process and its children.

        Raises:
            psutil.NoSuchProcess: it does not exist.
        """
        first = psutil.Process(pid)
        rss = files = threads = 0
        for process in [first, *first.children(recursive=True)]:
            try:
                with process.oneshot():
                    rss += process.memory_info().rss
                    files += process.num_fds()
                    threads += process.num_threads()
            except psutil.NoSuchProcess:  # A child can exit at any time.
                if process.pid == pid:
                    raise
        return cls(time.monotonic(), rss / 1e6, files, threads)

    def __str__(self) -> str:
        return f"{self.rss_mb:.0f} MB, {self.files} files, {self.threads} threads"


def listening_on(port: int) -> int | None:
    """The process that listens on a port of this machine; the first if there are several."""
    for process in sorted(psutil.process_iter(["pid"]), key=lambda process: process.pid):
        try:
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return process.pid
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    return None
