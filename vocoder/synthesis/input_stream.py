"""A stream of items that arrive over time, passed from one thread to another without blocking."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class EndOfStream(Exception):
    """Raised by :meth:`InputStream.take`: the stream is closed, and all its items were taken."""


class InputStream(Generic[Item]):
    """A queue between the thread that receives text or features and those that prepare speech."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._closed = False
        self._lock = threading.Lock()
        self._on_change: Callable[[], None] = _nothing

    def put(self, item: Item) -> None:
        """Add an item; never blocks."""
        with self._lock:
            assert not self._closed, "put into a closed input stream"
            self._items.append(item)
        self._on_change()

    def close(self) -> None:
        """Mark the end of the stream."""
        with self._lock:
            self._closed = True
        self._on_change()

    def take(self) -> Item | None:
        """Remove and return the next item; None if there is none yet.

        Raises:
            EndOfStream: there are no more items.
        """
        with self._lock:
            if self._items:
                return self._items.popleft()
            if self._closed:
                raise EndOfStream
            return None

    def reschedule(self) -> None:
        """Notify the reader as if an item had arrived: called by a reader that takes a break."""
        self._on_change()

    def on_change(self, call: Callable[[], None]) -> None:
        """Have ``call`` called, in the writer's thread, when an item arrives or the stream ends."""
        self._on_change = call


def _nothing() -> None:
    pass
