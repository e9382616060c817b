"""Progress of long tasks: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track as rich_track

Item = TypeVar("Item")
LINE_EVERY_S = 5.0


def track(items: Iterable[Item], what: str, total: int) -> Iterator[Item]:
    """Yield ``items`` and report on standard error how many of ``total`` are done."""
    if sys.stderr.isatty():
        yield from rich_track(items, description=what, total=total, console=Console(stderr=True))
        return
    latest = time.monotonic()
    for count, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - latest >= LINE_EVERY_S:
            latest = time.monotonic()
            print(f"{what}: {count} of {total}", file=sys.stderr, flush=True)
