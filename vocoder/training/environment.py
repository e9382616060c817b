"""The environment of a run, for its log: versions and machine."""

import os
import platform

import numpy as np
import torch

import vocoder
from vocoder import machine
from vocoder.training.process import Process


def describe(process: Process) -> dict[str, str | int]:
    """Versions of the code and its libraries, the machine, and the threads and processes used."""
    found: dict[str, str | int] = {
        "vocoder": vocoder.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": machine.processor(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "processes": process.world_size,
    }
    if process.device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(process.device)
    return found
