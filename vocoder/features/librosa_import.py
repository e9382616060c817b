"""Imports librosa under a lock, so that only one process at a time compiles its Numba functions.

Numba compiles parts of librosa on first import and caches the result. Processes that do this at the
same time can leave an inconsistent cache, which makes every later call crash with a segmentation
fault until librosa is reinstalled (https://github.com/numba/numba/issues/10128). Import librosa
through this module only.
"""

import functools
import importlib
import os
import tempfile
from pathlib import Path
from typing import Any

import filelock
import librosa as uncompiled

PARTS = ("librosa.core.pitch", "librosa.feature.spectral", "librosa.sequence")
"""The modules in use; importing them compiles everything that is compiled on import."""


def lock_path() -> Path:
    """The lock file: next to Numba's cache, so that processes with a common cache share it."""
    installed = Path(uncompiled.__file__).parent
    if os.access(installed, os.W_OK):
        return installed / ".vocoder.lock"
    return Path(tempfile.gettempdir()) / f"vocoder-librosa-{os.getuid()}.lock"


@functools.cache
def librosa() -> Any:
    """Import librosa. This takes a few seconds, and half a minute on first use."""
    with filelock.FileLock(lock_path()):
        for part in PARTS:
            importlib.import_module(part)
    return uncompiled
