"""The state of incremental generation as an explicit value, with one row per stream."""

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vocoder.config import ModelConfig, StackConfig
from vocoder.generation.noise import Noise


@dataclass
class StackState:
    """The queues of one stack.

    Attributes:
        storage: all rings of a row side by side (rows, N); :func:`ring_offsets` locates each.
        buffers: for each layer a ring of its past inputs (rows, (k-1) * dilation, channels), a view
            of ``storage``. The input at time t is stored in slot t mod the ring's length, so until
            then that slot holds the input of t - (k-1) * dilation.
    """

    storage: Tensor
    buffers: list[Tensor]

    @classmethod
    def start(cls, config: StackConfig, rows: int, device: torch.device) -> "StackState":
        """Rings of zeros, like the padding of the parallel forward."""
        past, channels = config.kernel_size - 1, config.residual_channels
        *offsets, end = ring_offsets(config)
        storage = _zeros(rows, -(-end // _PAGE) * _PAGE + 5 * _CACHE_LINE, device)
        buffers = [
            storage[:, offset : offset + past * dilation * channels].unflatten(1, (-1, channels))
            for offset, dilation in zip(offsets, config.dilations, strict=True)
        ]
        return cls(storage, buffers)


_CACHE_LINE, _PAGE = 16, 1024
"""In float32 values. Ring lengths are powers of two. If their sum were the row stride, the same
slot of all rows would map to the same cache set: each row is shifted by a few more cache lines."""


def _zeros(rows: int, length: int, device: torch.device) -> Tensor:
    """Zeros (rows, length); on the CPU, a row takes memory only once it is written.

    ``torch.zeros`` writes to every page, so a batch would take the memory of all its rows at once.
    """
    if device.type != "cpu":
        return torch.zeros(rows, length, device=device)
    memory = np.zeros(rows * length + _CACHE_LINE, dtype=np.float32)
    first = -(memory.ctypes.data // memory.itemsize) % _CACHE_LINE
    return torch.from_numpy(memory)[first : first + rows * length].view(rows, length)


def ring_offsets(config: StackConfig) -> list[int]:
    """The offset of each layer's ring in a row of the storage, and the end of the last one."""
    offsets = [0]
    for dilation in config.dilations:
        size = (config.kernel_size - 1) * dilation * config.residual_channels
        offsets.append(offsets[-1] + -(-size // _CACHE_LINE) * _CACHE_LINE)
    return offsets


@dataclass
class GenerationState:
    """Everything that the next sample of each row depends on, besides conditioning and noise.

    Attributes:
        stacks: the residual stacks: the main one, then the context stacks.
        windows: for each context stack the companded samples of the window that is being filled
            (rows, pool).
        contexts: for each context stack its output during that window (rows, channels).
        inputs: ring of the input convolution's past inputs (rows, k - 1, C).
        history: for each band, 1 without bands, a ring of past samples for linear prediction
            (rows, M, order); order 0 without it.
        position: samples generated so far (rows,), int64, a multiple of M.
        sample: last sample of each band on the distribution's grid (rows, M).
        code: last mu-law code (rows,), int64; silence at the start.
        excitation: last samples minus their predictions, in units of the gain (rows, M).
        output: last samples after de-emphasis (rows, M).
    """

    stacks: list[StackState]
    windows: list[Tensor]
    contexts: list[Tensor]
    inputs: Tensor
    history: Tensor
    position: Tensor
    sample: Tensor
    code: Tensor
    excitation: Tensor
    output: Tensor

    @classmethod
    def start(
        cls, config: ModelConfig, input_channels: int, silence: int, rows: int, device: torch.device
    ) -> "GenerationState":
        """Rows that have generated nothing yet."""
        order = config.linear_prediction.order if config.linear_prediction else 0
        past, bands = config.stack.kernel_size - 1, config.bands
        stacks = [config.stack, *(context.stack for context in config.contexts)]
        return cls(
            stacks=[StackState.start(stack, rows, device) for stack in stacks],
            windows=[torch.zeros(rows, c.pool, device=device) for c in config.contexts],
            contexts=[torch.zeros(rows, c.channels, device=device) for c in config.contexts],
            inputs=torch.zeros(rows, past, input_channels, device=device),
            history=torch.zeros(rows, bands, order, device=device),
            position=torch.zeros(rows, dtype=torch.int64, device=device),
            sample=torch.zeros(rows, bands, device=device),
            code=torch.full((rows,), silence, dtype=torch.int64, device=device),
            excitation=torch.zeros(rows, bands, device=device),
            output=torch.zeros(rows, bands, device=device),
        )

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.position.shape[0]

    def members(self, rows: Tensor | None) -> Tensor:
        """``rows``, or the indices of all rows if None."""
        return torch.arange(self.rows, device=self.position.device) if rows is None else rows

    def uniforms(self, noise: Tensor | Noise, rows: Tensor | None) -> Tensor:
        """The next uniforms (n, T, 2) of rows; a given tensor is returned as it is."""
        if isinstance(noise, Noise):
            return noise.uniforms(self.position[self.members(rows)])
        return noise

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name, to save the state; the first dimension is the row."""
        named = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("stacks", "windows", "contexts")
        }
        for s, (window, context) in enumerate(zip(self.windows, self.contexts, strict=True)):
            named |= {f"windows.{s}": window, f"contexts.{s}": context}
        for s, stack in enumerate(self.stacks):
            named |= {f"stacks.{s}.{layer}": ring for layer, ring in enumerate(stack.buffers)}
        return named

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Overwrite this state with saved tensors of the same shapes.

        Raises:
            ValueError: names or shapes differ.
        """
        own = self.tensors()
        if own.keys() != tensors.keys():
            raise ValueError(f"the state has {sorted(own)}, the saved one has {sorted(tensors)}")
        for name, tensor in own.items():
            if tensor.shape != tensors[name].shape:
                raise ValueError(
                    f"{name} is {tuple(tensor.shape)}, saved as {tuple(tensors[name].shape)}"
                )
            tensor.copy_(tensors[name])

    def copy_rows(self, to: Tensor, source: "GenerationState", rows: Tensor) -> None:
        """Copy the rows ``rows`` (n,) of ``source`` over the rows ``to`` (n,) of this state."""
        theirs = source.tensors()
        for name, tensor in self.tensors().items():
            tensor[to] = theirs[name][rows]


class Trace(NamedTuple):
    """An engine's output along a known signal.

    Attributes:
        parameters: of each sample's distribution, given the samples before it (n, T, P).
        audio: samples drawn from these with the given noise, after de-emphasis (n, T).
    """

    parameters: Tensor
    audio: Tensor
