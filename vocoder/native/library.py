"""Loads the native library; no other module does.

``VOCODER_CPU_INSTRUCTIONS`` selects an instruction set other than the best one that the processor
supports, for tests and debugging.
"""

import functools
import importlib
import os
from types import ModuleType

from vocoder.errors import EngineError

INSTRUCTIONS_VARIABLE = "VOCODER_CPU_INSTRUCTIONS"


def load() -> ModuleType:
    """Load the native library.

    Raises:
        EngineError: it was not built or cannot be loaded; the message says what to do.
    """
    try:
        return importlib.import_module("vocoder.native._native")
    except ImportError as error:
        raise EngineError(
            f"the native library is missing ({error}): install a C++20 compiler and run "
            "`pip install .` in the repository again"
        ) from None


def find() -> ModuleType | None:
    """The native library, or None if it is missing, for code with a fallback."""
    try:
        return load()
    except EngineError:
        return None


def transforms(n_fft: int) -> bool:
    """Whether the native code supports Fourier transforms of that length."""
    return 256 <= n_fft <= 1 << 16 and n_fft & (n_fft - 1) == 0


def instruction_set(library: ModuleType) -> str:
    """The instruction set to use: the best, or the one named by the environment.

    Raises:
        EngineError: this processor does not support it.
    """
    available = _available(library)
    wanted = os.environ.get(INSTRUCTIONS_VARIABLE)
    if wanted is None:
        return available[0]
    if wanted not in available:
        raise EngineError(
            f"{INSTRUCTIONS_VARIABLE}={wanted}: this processor supports {', '.join(available)}"
        )
    return wanted


@functools.cache
def _available(library: ModuleType) -> tuple[str, ...]:
    # Cached: on a virtual machine CPUID can take longer than the work itself.
    return tuple(library.instruction_sets())
