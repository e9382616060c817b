"""Memory of a serving process, by the GNU C library's allocator; elsewhere these do nothing."""

import ctypes
import sys

ARENAS = 2
"""Heaps that threads share. By default each thread gets its own, and keeps what it has freed."""

_M_ARENA_MAX = -8


def limit_arenas() -> None:
    """Have all threads share a few heaps; call it before they are started."""
    library = _library()
    if library is not None and hasattr(library, "mallopt"):
        library.mallopt(_M_ARENA_MAX, ARENAS)


def return_free_memory() -> None:
    """Return freed memory to the operating system."""
    library = _library()
    if library is not None and hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def _library() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform == "linux" else None
