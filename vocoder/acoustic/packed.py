"""The acoustic model for inference: its layers in native code, with packed weights.

Native code is several times as fast as PyTorch, releases the interpreter, and its results do not
depend on the number of threads. Durations, F0 and voicing, which decide or count something, are
computed in float32; the decoder and the refiner, which produce the mel, use bf16 weights.
"""

from collections.abc import Iterable
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

from vocoder.acoustic.model import AcousticModel
from vocoder.acoustic.modules import ConvStack, ResidualConv
from vocoder.acoustic.refiner import TIME_CHANNELS, Refiner, time_waves
from vocoder.native.packed_modules import PackedModules, weights_of

EXACT, FAST = "fp32", "bf16"


def packed(model: AcousticModel) -> AcousticModel:
    """The model with its layers in native code, or the model itself if that is not available.

    Packed once, and again after its weights have changed.
    """
    if model.symbol.weight.device.type != "cpu":
        return model
    return _packed.get(model) or model


def _pack(model: AcousticModel, library: Any, instructions: str) -> AcousticModel:
    def stack(inputs: int, format: str) -> Any:
        return library.Stack(inputs=inputs, same=True, format=format, instructions=instructions)

    encoder: list[nn.Module] = []
    if len(model.encoder):
        layers = stack(model.config.encoder_channels, EXACT)
        _add(layers, model.encoder)
        encoder.append(PackedLayers(layers, model.config.encoder_channels))
    twin = copy(model)
    twin._modules = {
        **model._modules,
        "encoder": nn.ModuleList(encoder),
        "duration": PackedStack(model.duration, stack, EXACT),
        "prosody": PackedStack(model.prosody, stack, EXACT),
        "decoder": PackedStack(model.decoder, stack, FAST),
        "refiner": (
            PackedRefiner(model.refiner, stack) if model.config.refiner_steps else model.refiner
        ),
    }
    return twin


def _add(stack: Any, layers: Iterable[nn.Module]) -> None:
    for layer in layers:
        assert isinstance(layer, ResidualConv)
        stack.residual(
            norm=weights_of(layer.norm),
            kernel=weights_of(layer.conv),
            activation="gelu",
            mix=weights_of(layer.mix),
        )


_packed: PackedModules[AcousticModel, AcousticModel] = PackedModules(_pack)


class PackedLayers(nn.Module):
    """A native stack that takes masked sequences as :class:`ConvStack` does."""

    def __init__(self, stack: Any, outputs: int) -> None:
        super().__init__()
        self._stack, self._outputs = stack, outputs

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Sequence (B, C, T) and its mask (B, 1, T) -> (B, outputs, T), zeros in the padding."""
        out = torch.zeros(len(x), x.shape[2], self._outputs)
        for row, length in enumerate(mask.sum((1, 2)).long().tolist()):
            frames = x[row, :, :length].T.contiguous()
            self._stack.run(frames.numpy(), out[row, :length].numpy())
        return out.transpose(1, 2)


class PackedStack(nn.Module):
    """A :class:`ConvStack` in native code."""

    def __init__(self, source: ConvStack, stack: Any, format: str) -> None:
        super().__init__()
        channels, outputs = source.input.out_channels, source.output.out_channels
        before = stack(source.input.in_channels, format)
        before.convolve(kernel=weights_of(source.input))
        _add(before, source.layers)
        before.normalise(weights_of(source.norm))
        after = stack(channels, format)
        after.convolve(kernel=weights_of(source.output))
        self._hidden = PackedLayers(before, channels)
        self._output = PackedLayers(after, outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """See :meth:`ConvStack.forward`."""
        return self._output(self._hidden(x, mask), mask)

    def hidden(self, x: Tensor, mask: Tensor) -> Tensor:
        """See :meth:`ConvStack.hidden`."""
        return self._hidden(x, mask)

    def output(self, hidden: Tensor) -> Tensor:
        """The output projection of every frame of :meth:`hidden`."""
        return self._output(hidden, torch.ones_like(hidden[:, :1]))


class PackedRefiner(nn.Module):
    """A :class:`Refiner` that takes all its steps in native code.

    The condition is the same in every step, so its part of the first convolution is computed once.
    """

    def __init__(self, source: Refiner, stack: Any) -> None:
        super().__init__()
        field, bands = source.field, source.field.output.out_channels
        weight, bias = weights_of(field.input)
        channels, conditions = len(weight), weight.shape[1] - bands - TIME_CHANNELS
        residual_weight, condition_weight, time_weight = weight.split(
            (bands, conditions, TIME_CHANNELS), 1
        )
        self.steps = source.steps
        self._condition = stack(conditions, FAST)
        self._condition.convolve(kernel=(condition_weight.contiguous(), bias))
        self._field = stack(bands, FAST)
        self._field.convolve(kernel=(residual_weight.contiguous(), torch.zeros(channels)))
        _add(self._field, field.layers)
        self._field.normalise(weights_of(field.norm))
        self._field.convolve(kernel=weights_of(field.output))
        times = torch.arange(self.steps) / max(1, self.steps)
        self._times = time_waves(times) @ time_weight[..., 0].T
        self._channels = channels

    def draw(self, noise: Tensor, condition: Tensor, mask: Tensor) -> Tensor:
        """See :meth:`Refiner.draw`; zeros in the padding."""
        drawn = torch.zeros_like(noise)
        for row, length in enumerate(mask.sum(1).long().tolist()):
            frames = noise[row, :, :length].T.contiguous()
            base = torch.empty(length, self._channels)
            self._condition.run(condition[row, :, :length].T.contiguous().numpy(), base.numpy())
            self._field.flow(frames.numpy(), base.numpy(), self._times.numpy())
            drawn[row, :, :length] = frames.T
        return drawn
