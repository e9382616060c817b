"""PyTorch layers in native code: stacks of convolutions over frames, with packed weights."""

import threading
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any, Generic, NamedTuple, TypeVar

from torch import Tensor, nn

from vocoder.native import library as native

Source = TypeVar("Source", bound=nn.Module)
Packed = TypeVar("Packed")


class _Entry(NamedTuple):
    parameters: list[nn.Parameter]
    state: object
    packed: Any


class PackedModules(Generic[Source, Packed]):
    """A cache of each module's packed weights, which are repacked after the weights change."""

    def __init__(self, pack: Callable[[Source, ModuleType, str], Packed]) -> None:
        """``pack`` takes a module, the native library and the instruction set."""
        self._pack = pack
        self._lock = threading.Lock()
        self._entries: weakref.WeakKeyDictionary[Source, _Entry] = weakref.WeakKeyDictionary()

    def get(self, source: Source) -> Packed | None:
        """The packed form of a module on the CPU; None without the native library."""
        library = native.find()
        if library is None:
            return None
        instructions = native.instruction_set(library)
        with self._lock:
            entry = self._entries.get(source)
            if entry is None or entry.state != _state(entry.parameters, instructions):
                parameters = list(source.parameters())
                state = _state(parameters, instructions)
                entry = _Entry(parameters, state, self._pack(source, library, instructions))
                self._entries[source] = entry
            packed: Packed = entry.packed
            return packed


def _state(parameters: list[nn.Parameter], instructions: str) -> object:
    # Inference tensors have no version counter; they are assumed not to change.
    return instructions, [(p.data_ptr(), 0 if p.is_inference() else p._version) for p in parameters]


def weights_of(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution, or scale and shift of a normalisation."""
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)
    assert isinstance(bias, Tensor)
    return weight.detach().float().contiguous(), bias.detach().float().contiguous()
