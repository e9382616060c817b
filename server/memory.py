"""Memory of a serving process, by the GNU C library's allocator; elsewhere these do nothing."""

import ctypes
import sys

ARENAS = 2
"""Heaps that threads share. By default each thread gets its own, and keeps what it has freed."""

MAPPED_BYTES = 1 << 20
"""Blocks from this size on are mapped one by one and unmapped when freed.

By default the C library raises this to 32 MB as blocks are freed; those of finished streams would
then stay in the heaps.
"""

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8


def tune_allocator() -> None:
    """Have all threads share a few heaps without large blocks; call it before they are started."""
    library = _library()
    if library is not None and hasattr(library, "mallopt"):
        library.mallopt(_M_ARENA_MAX, ARENAS)
        library.mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)


def return_free_memory() -> None:
    """Return freed memory to the operating system."""
    library = _library()
    if library is not None and hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def _library() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform == "linux" else None
