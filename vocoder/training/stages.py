"""Where a training step's time goes."""

import contextlib
import time
from collections.abc import Iterator

import torch
from torch.profiler import record_function

STAGES = ("data", "forward", "backward", "optimiser")


class Stages:
    """Seconds spent in each stage of a step, and their names in a profile."""

    def __init__(self, device: torch.device) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self.exact = False
        """Whether to wait for a GPU at each stage's end, which slows training."""
        self._device = device

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Count what happens within as the stage ``name``."""
        began = time.perf_counter()
        with record_function(f"step/{name}"):
            yield
            if self.exact and self._device.type == "cuda":
                torch.cuda.synchronize(self._device)
        self.seconds[name] += time.perf_counter() - began
