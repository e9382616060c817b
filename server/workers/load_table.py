"""The load of each worker, in a file that all of them map into memory."""

import math
import mmap
from pathlib import Path

ABSENT = math.inf
"""Load of a worker that accepts no connections."""

LEAVING = 1e9
"""Load of a worker that is shutting down: it only accepts connections if all workers are."""


class LoadTable:
    """Connections per core, by worker."""

    def __init__(self, path: Path, workers: int) -> None:
        """Map the file, creating it if necessary."""
        with path.open("a+b") as file:
            file.truncate(8 * workers)
            self._values = memoryview(mmap.mmap(file.fileno(), 8 * workers)).cast("d")

    def __setitem__(self, worker: int, load: float) -> None:
        self._values[worker] = load

    def is_least(self, worker: int) -> bool:
        """Whether no other worker has a lower load."""
        return self._values[worker] <= min(self._values)
