"""What a training step keeps in memory."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor


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
