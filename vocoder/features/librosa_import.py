"""librosa, whose compiled parts are made by one process at a time.

Numba compiles parts of librosa when they are first imported, and keeps what it made for later
processes. Processes that do this at the same time may leave parts that do not fit each other: from
then on whoever calls them ends by a segmentation fault, until librosa is installed anew
(https://github.com/numba/numba/issues/10128). So whoever uses librosa takes it from here.
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
"""What is used of librosa; their import compiles all of it that is compiled by an import."""


def lock_path() -> Path:
    """The file that is locked meanwhile: near Numba's cache, so that who shares one has both."""
    installed = Path(uncompiled.__file__).parent
    if os.access(installed, os.W_OK):
        return installed / ".vocoder.lock"
    return Path(tempfile.gettempdir()) / f"vocoder-librosa-{os.getuid()}.lock"


@functools.cache
def librosa() -> Any:
    """Import librosa: some seconds, and half a minute where it has never been used before."""
    with filelock.FileLock(lock_path()):
        for part in PARTS:
            importlib.import_module(part)
    return uncompiled
