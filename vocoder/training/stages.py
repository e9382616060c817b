"""Time and memory use of a training step."""

import contextlib
import time
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.profiler import record_function

STAGES = ("data", "forward", "backward", "optimiser")


class Stages:
    """Measures the time spent in each stage of a step, and names the stages in a profile."""

    def __init__(self, device: torch.device) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self.exact = False
        """Whether to synchronise the GPU at the end of each stage, which slows training."""
        self._device = device

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Attribute the time inside the context to the stage ``name``."""
        began = time.perf_counter()
        with record_function(f"step/{name}"):
            yield
            if self.exact and self._device.type == "cuda":
                torch.cuda.synchronize(self._device)
        self.seconds[name] += time.perf_counter() - began


class Activations:
    """Measures the memory that a forward pass keeps for the backward pass.

    Attributes:
        bytes: total size of the storages kept, without the weights; each counts once.
    """

    def __init__(self, parameters: list[Tensor]) -> None:
        self.bytes = 0
        self._parameters = {p.untyped_storage().data_ptr() for p in parameters}

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Count the tensors that autograd saves inside the context."""
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            yield
        self.bytes += sum(size for pointer, size in kept.items() if pointer not in self._parameters)
