"""The native library, and the only place that loads it.

``VOCODER_CPU_INSTRUCTIONS`` names the instruction set to run instead of the best one that the
processor has; the lower ones are there for tests, and for finding faults.
"""

import functools
import importlib
import os
from types import ModuleType

from vocoder.errors import EngineError

INSTRUCTIONS_VARIABLE = "VOCODER_CPU_INSTRUCTIONS"


def load() -> ModuleType:
    """The native library.

    Raises:
        EngineError: it was not built, or cannot be loaded here; the message says what to do.
    """
    try:
        return importlib.import_module("vocoder.native._native")
    except ImportError as error:
        raise EngineError(
            f"the native library is not there ({error}): install a C++20 compiler and run "
            "`pip install .` in the repository again"
        ) from None


def find() -> ModuleType | None:
    """The native library where there is one; for what can also be done without it."""
    try:
        return load()
    except EngineError:
        return None


def transforms(n_fft: int) -> bool:
    """Whether the native code has Fourier transforms of that length."""
    return 256 <= n_fft <= 1 << 16 and n_fft & (n_fft - 1) == 0


def instruction_set(library: ModuleType) -> str:
    """The instruction set to run: the best, or the one that the environment names.

    Raises:
        EngineError: this processor has no such instruction set.
    """
    available = _available(library)
    wanted = os.environ.get(INSTRUCTIONS_VARIABLE)
    if wanted is None:
        return available[0]
    if wanted not in available:
        raise EngineError(
            f"{INSTRUCTIONS_VARIABLE}={wanted}: this processor has {', '.join(available)}"
        )
    return wanted


@functools.cache
def _available(library: ModuleType) -> tuple[str, ...]:
    # Asked once: on a virtual machine the question can take longer than what it is asked for.
    return tuple(library.instruction_sets())
