"""Progress: one line that is overwritten on a terminal, an occasional line elsewhere."""

import sys
import time

LINE_EVERY_S = 10.0


class Progress:
    """Shows one line on standard error."""

    def __init__(self) -> None:
        self._latest = time.monotonic()

    def show(self, text: str) -> None:
        """Show the current state."""
        if sys.stderr.isatty():
            print(f"\r{text}\x1b[K", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self._latest >= LINE_EVERY_S:
            self._latest = time.monotonic()
            print(text, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Clear the line of a terminal."""
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
