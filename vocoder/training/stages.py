"""Where the time and the memory of a training step go."""

import contextlib
import time
from collections.abc import Iterator

import torch
from torch import Tensor
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


class Activations:
    """Memory that a forward pass keeps for the backward pass.

    Attributes:
        bytes: of all storages kept, each counted once, weights left out.
    """

    def __init__(self, parameters: list[Tensor]) -> None:
        self.bytes = 0
        self._known = {p.untyped_storage().data_ptr() for p in parameters}

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Count what autograd keeps of the operations within."""
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            yield
        self.bytes += sum(size for place, size in kept.items() if place not in self._known)
