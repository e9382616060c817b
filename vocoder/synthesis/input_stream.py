"""Items that arrive over time, from one thread to another, read without waiting."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class EndOfStream(Exception):
    """Raised by :meth:`InputStream.take`: the feed is closed, and everything in it was taken."""


class InputStream(Generic[Item]):
    """A queue that is written by whoever receives, and read by whoever prepares speech."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._closed = False
        self._lock = threading.Lock()
        self._changed: Callable[[], None] = _nothing

    def put(self, item: Item) -> None:
        """Add an item; never waits."""
        with self._lock:
            assert not self._closed, "put into a closed feed"
            self._items.append(item)
        self._changed()

    def close(self) -> None:
        """Say that no more items will come."""
        with self._lock:
            self._closed = True
        self._changed()

    def take(self) -> Item | None:
        """The next item; None where there is none yet.

        Raises:
            EndOfStream: there will be none.
        """
        with self._lock:
            if self._items:
                return self._items.popleft()
            if self._closed:
                raise EndOfStream
            return None

    def reschedule(self) -> None:
        """Have the reader told as if something had come: it was not done with what it took."""
        self._changed()

    def on_change(self, call: Callable[[], None]) -> None:
        """Have ``call`` called, in the writer's thread, whenever an item comes or the feed ends."""
        self._changed = call


def _nothing() -> None:
    pass
