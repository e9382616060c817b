"""The machine: the devices that can run a model, and the CPU's cores and name."""

import logging
import platform
from pathlib import Path

import torch
from joblib import cpu_count

from vocoder.errors import EngineError

AUTO = "auto"

OLDEST = (8, 0)
"""Minimum compute capability for ``auto``: older GPUs have no bfloat16 tensor cores."""

CPU = torch.device("cpu")

CPU_INFO = Path("/proc/cpuinfo")

logger = logging.getLogger(__name__)


def resolve(name: str = AUTO) -> torch.device:
    """The device with the given name.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:1`` ...; or ``auto`` for a GPU if a recent enough one is
            present, otherwise the CPU.

    Raises:
        EngineError: the device is unknown or not present.
    """
    if name == AUTO:
        return _best()
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise EngineError(
            f"device {name[:64]!r} is unknown: choose auto, cpu or cuda", param="device"
        )
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            have = f"this machine has {count} GPUs" if count else "no NVIDIA GPU is usable"
            raise EngineError(f"device {name} is not available: {have}", param="device")
    return device


def _best() -> torch.device:
    if not torch.cuda.is_available():
        return CPU
    capability = torch.cuda.get_device_capability()
    if capability < OLDEST:
        logger.info(
            "using device cpu: the GPU's compute capability %d.%d is below %d.%d",
            *(*capability, *OLDEST),
        )
        return CPU
    return torch.device("cuda")


def fast_bf16(device: torch.device) -> bool:
    """Whether training in bf16 is faster than in float32 on a device.

    A CPU without AVX-512 (or AMX) emulates bf16 and takes several times as long as with float32.
    """
    if device.type != "cpu":
        return True
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def processors() -> int:
    """Number of CPUs that this process may use, respecting its affinity and container limits."""
    return int(cpu_count())


def processor() -> str:
    """The CPU's model name."""
    if CPU_INFO.exists():
        for line in CPU_INFO.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()
