"""A description of the machine and software that a benchmark ran on."""

import importlib.metadata
import os
import platform
from pathlib import Path

import torch

import vocoder
from vocoder.bench import peer
from vocoder.machine import processor
from vocoder.native import library as native

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def describe() -> dict[str, str]:
    """Describe the machine by parts; unknown parts are omitted.

    Raises:
        EngineError: the native library is missing.
    """
    parts = {
        "processor": processor(),
        "cores": str(cores()),
        "caches of the first core": ", ".join(caches()),
        "instruction sets": ", ".join(instruction_sets()),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
        "load average at the start": load(),
    }
    return {name: text for name, text in parts.items() if text}


def cores() -> int:
    """Number of logical processors."""
    return os.cpu_count() or 1


def caches() -> list[str]:
    """Level, kind and size of the first core's caches, if the system reports them."""
    found = []
    for folder in sorted(CACHES.glob("index*")):
        try:
            level, kind, size = (
                (folder / name).read_text().strip() for name in ("level", "type", "size")
            )
        except OSError:
            continue
        found.append(f"L{level} {kind.lower()} {size}")
    return found


def instruction_sets() -> list[str]:
    """The instruction sets that the native engine can use here, best first.

    Raises:
        EngineError: the native library is missing.
    """
    names: list[str] = native.load().instruction_sets()
    return names


def versions() -> dict[str, str]:
    """Versions of the software that affects the results."""
    found = {
        "vocoder": vocoder.__version__,
        "Python": platform.python_version(),
        "torch": str(torch.__version__),
    }
    if peer.installed():
        try:
            found[peer.PEER] = importlib.metadata.version(peer.PEER)
        except importlib.metadata.PackageNotFoundError:
            found[peer.PEER] = "(unknown version)"
    return found


def load() -> str:
    """Load averages over the last 1, 5 and 15 minutes."""
    if not hasattr(os, "getloadavg"):
        return ""
    return ", ".join(f"{value:.2f}" for value in os.getloadavg())
