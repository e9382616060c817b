"""Freed memory goes back to the operating system, and threads share a few heaps."""

import subprocess
import sys
import textwrap

import pytest

PROGRAM = textwrap.dedent(
    """
    import ctypes, threading
    from vocoder.server import memory

    def resident():
        fields = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
        return int(fields["VmRSS"].split()[0])

    LIMIT
    library = ctypes.CDLL(None)
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]

    def work():
        # Too small to be mapped one by one; the last one keeps the heap from shrinking by itself.
        blocks = [library.malloc(100_000) for _ in range(500)]
        for block in blocks:
            ctypes.memset(block, 1, 100_000)
        for block in blocks[:-1]:
            library.free(block)

    for _ in range(4):
        threads = [threading.Thread(target=work) for _ in range(2)]
        [t.start() for t in threads]
        [t.join() for t in threads]
    before = resident()
    memory.return_free_memory()
    print(before - resident())
    """
)


@pytest.mark.skipif(sys.platform != "linux", reason="the GNU C library's allocator")
def test_freed_memory_is_returned() -> None:
    program = PROGRAM.replace("LIMIT", "memory.tune_allocator()")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(done.stdout) > 40_000  # kB
