"""The building blocks: causal convolution, gated residual layer, and a stack of them.

Sequences are (B, T, C), channels last, so that every convolution is one matrix product.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vocoder.config import ContextConfig, StackConfig


class CausalConv1d(nn.Module):
    """Dilated convolution over present and past inputs only, with zeros before the start.

    ``y_t = b + sum_j W_j x_{t - (k-1-j) d}``; tap k-1 is the present.
    """

    def __init__(self, channels: int, out_channels: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.kernel_size, self.dilation = kernel_size, dilation
        self.linear = nn.Linear(kernel_size * channels, out_channels)

    @property
    def past(self) -> int:
        """Number of past inputs that an output reaches back to."""
        return (self.kernel_size - 1) * self.dilation

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, channels) -> (B, T, out_channels)."""
        length = x.shape[1]
        padded = F.pad(x, (0, 0, self.past, 0))
        taps = [padded[:, j * self.dilation :][:, :length] for j in range(self.kernel_size)]
        return self.linear(torch.cat(taps, dim=-1))

    def of_codes(self, codes: Tensor) -> Tensor:
        """Like forward on one-hot codes (B, T, channels), but by column lookup.

        Args:
            codes: (B, T), int64 in [0, channels).
        """
        columns = self.linear.weight.unflatten(1, (self.kernel_size, -1)).unbind(1)
        total = self.linear.bias.expand(*codes.shape, -1)
        for j, column in enumerate(columns):
            late = min((self.kernel_size - 1 - j) * self.dilation, codes.shape[1])
            found = F.embedding(codes[:, : codes.shape[1] - late], column.T)
            total = total + F.pad(found, (0, 0, late, 0))
        return total


def gated_unit(x: Tensor) -> Tensor:
    """``tanh(a) * sigmoid(b)`` of the two halves of the channels (van den Oord 2016, eq. 2)."""
    filter_, gate = x.chunk(2, dim=-1)
    return torch.tanh(filter_) * torch.sigmoid(gate)


class ResidualBlock(nn.Module):
    """One layer: dilated convolution, conditioning, gated unit, residual connection."""

    def __init__(self, config: StackConfig, dilation: int, *, last: bool) -> None:
        super().__init__()
        self.dilated = CausalConv1d(
            config.residual_channels, config.gate_channels, config.kernel_size, dilation
        )
        # The last layer's residual output would be unused.
        self.residual = (
            None if last else nn.Linear(config.gate_channels // 2, config.residual_channels)
        )

    def forward(self, x: Tensor, conditioning: Tensor) -> tuple[Tensor, Tensor]:
        """Advance the residual path and return this layer's contribution to the skips.

        Args:
            x: residual path (B, T, residual_channels), T a multiple of N.
            conditioning: added before the gate (B, N, gate_channels), each held for T / N samples.

        Returns:
            The residual path and the gated unit's output (B, T, gate_channels / 2).
        """
        blocks = conditioning.shape[1]
        hidden = self.dilated(x).unflatten(1, (blocks, -1)) + conditioning.unsqueeze(2)
        gated = gated_unit(hidden.flatten(1, 2))
        return (x if self.residual is None else x + self.residual(gated)), gated


class ResidualStack(nn.Module):
    """Residual layers with doubling dilations, their conditioning, and the sum of their skips.

    The 1x1 skip convolutions of all layers are one matrix over the concatenated gated outputs,
    which computes the same sum in one product. The 1x1 convolutions of the conditioning likewise.
    """

    def __init__(
        self,
        config: StackConfig,
        local_channels: int,
        global_channels: int,
        context_channels: int = 0,
    ) -> None:
        super().__init__()
        self.config = config
        dilations, layers = config.dilations, config.layers
        self.blocks = nn.ModuleList(
            ResidualBlock(config, dilation, last=i == layers - 1)
            for i, dilation in enumerate(dilations)
        )
        self.local_projection = nn.Linear(local_channels, layers * config.gate_channels, bias=False)
        self.global_projection = nn.Linear(
            global_channels, layers * config.gate_channels, bias=False
        )
        self.context_projection = (
            nn.Linear(context_channels, layers * config.gate_channels, bias=False)
            if context_channels
            else None
        )
        self.skip = nn.Linear(layers * config.gate_channels // 2, config.skip_channels)
        self.checkpointed = False
        """Whether the backward pass recomputes each layer instead of storing its activations."""

    def project(self, local: Tensor, speaker: Tensor, context: Tensor | None = None) -> Tensor:
        """The conditioning's contribution to every gate: ``V * y + V^T h`` (eq. 3 and 4).

        Args:
            local: local conditioning (B, N, local_channels).
            speaker: global conditioning (B, global_channels).
            context: the context stacks' outputs (B, N, context_channels).

        Returns:
            (B, N, layers * gate_channels).
        """
        gates: Tensor = self.local_projection(local)
        if self.context_projection is not None:
            gates = gates + self.context_projection(context)
        return gates + self.global_projection(speaker).unsqueeze(1)

    def forward(self, x: Tensor, conditioning: Tensor) -> Tensor:
        """(B, T, residual_channels) and :meth:`project`'s output -> skips (B, T, skip_channels)."""
        gated = []
        layers = conditioning.chunk(self.config.layers, dim=-1)
        for block, layer_conditioning in zip(self.blocks, layers, strict=True):
            if self.checkpointed and torch.is_grad_enabled():
                x, output = checkpoint(block, x, layer_conditioning, use_reentrant=False)
            else:
                x, output = block(x, layer_conditioning)
            gated.append(output)
        skips: Tensor = self.skip(torch.cat(gated, dim=-1))
        return skips


class ContextStack(nn.Module):
    """A stack over windows of past samples that conditions the main stack locally.

    van den Oord et al. 2016, section 2.6. A learned projection turns a window of ``pool`` samples
    into one step; average pooling would keep nothing, because audio has zero mean.
    """

    def __init__(self, config: ContextConfig) -> None:
        super().__init__()
        self.config = config
        stack = config.stack
        self.input = nn.Linear(config.pool, stack.residual_channels)
        self.blocks = nn.ModuleList(
            ResidualBlock(stack, dilation, last=i == stack.layers - 1)
            for i, dilation in enumerate(stack.dilations)
        )
        self.skip = nn.Linear(stack.layers * stack.gate_channels // 2, stack.skip_channels)
        self.output = nn.Linear(stack.skip_channels, config.channels)

    def forward(self, samples: Tensor, known: Tensor | None = None) -> Tensor:
        """The output for each window, computed from the windows before it.

        Args:
            samples: companded (B, M * pool).
            known: number of valid samples at the end of each row (B,), int64, multiples of
                ``pool``; all if None.

        Returns:
            (B, M, channels): for window m, from the samples before ``m * pool``. A window of
            silence precedes a row's first window.
        """
        pool = self.config.pool
        windows = F.pad(samples, (pool, -pool)).unflatten(1, (-1, pool))
        x = self.input(windows)
        there = None
        if known is not None:
            index = torch.arange(windows.shape[1], device=samples.device)
            there = (index >= windows.shape[1] - known.unsqueeze(1) // pool).unsqueeze(-1)
            x = x * there
        nothing = x.new_zeros(len(x), 1, self.config.stack.gate_channels)
        gated = []
        for block in self.blocks:
            x, output = block(x, nothing)
            if there is not None:
                # Steps before the start are zero in every layer, as in generation.
                x = x * there
            gated.append(output)
        return self.outputs(torch.cat(gated, dim=-1))

    def outputs(self, gated: Tensor) -> Tensor:
        """Concatenated gated units of all layers (..., L * G / 2) -> (..., channels)."""
        given: Tensor = self.output(F.relu(self.skip(gated)))
        return given
