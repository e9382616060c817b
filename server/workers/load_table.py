"""How busy each of several workers is, in a file that all of them map."""

import math
import mmap
from pathlib import Path

ABSENT = math.inf
"""Load of a worker that takes no connections."""

LEAVING = 1e9
"""Load of a worker that is about to stop: others go first, and where all do, it says so."""


class LoadTable:
    """Connections of each worker for each of its cores."""

    def __init__(self, path: Path, workers: int) -> None:
        """Map the file, which is made where there is none."""
        with path.open("a+b") as file:
            file.truncate(8 * workers)
            self._values = memoryview(mmap.mmap(file.fileno(), 8 * workers)).cast("d")

    def __setitem__(self, worker: int, load: float) -> None:
        self._values[worker] = load

    def is_least(self, worker: int) -> bool:
        """Whether no other worker has less."""
        return self._values[worker] <= min(self._values)
