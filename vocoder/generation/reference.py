"""The incremental step in plain PyTorch: the definition of correct for every engine.

Each layer keeps a queue of its past inputs, so a sample costs one product a layer and not the
whole receptive field (Paine et al. 2016, "Fast WaveNet", arXiv 1611.09482). What it computes is
the parallel forward of :mod:`vocoder.wavenet.model`, one sample at a time.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder import quantization
from vocoder.config import LogisticsConfig, ModelConfig
from vocoder.generation.state import GenerationState
from vocoder.wavenet import distributions
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.model import WaveNet
from vocoder.wavenet.modules import CausalConv1d, gated_unit


class ReferenceEngine:
    """Runs any model on any device that PyTorch knows."""

    name = "reference"

    def __init__(self, model: WaveNet, *, temperature: float = 1.0) -> None:
        self.model = model
        self.config: ModelConfig = model.config
        self.temperature = temperature

    @staticmethod
    def supports(config: ModelConfig, device: torch.device) -> tuple[bool, str]:
        """Whether this engine can run such a model there, and why."""
        return True, "plain PyTorch runs every shape on every device"

    def start(self, rows: int) -> GenerationState:
        """State of ``rows`` streams that have generated nothing yet."""
        return GenerationState.start(
            self.config, self.model.input_channels, quantization.SILENCE, rows, self.model.device
        )

    @torch.inference_mode()
    def generate(
        self,
        state: GenerationState,
        conditioning: Conditioning,
        noise: Tensor,
        rows: Tensor | None = None,
    ) -> Tensor:
        """Advance rows by T samples.

        Args:
            state: updated in place.
            conditioning: of the n advancing rows; its blocks cover their next T samples.
            noise: uniforms in (0, 1) (n, T, 2).
            rows: which rows of the state advance (n,), int64; all where None. They may be at
                different positions.

        Returns:
            Audio (n, T), float32 in [-1, 1).
        """
        if rows is None:
            rows = torch.arange(state.rows, device=state.position.device)
        steps = noise.shape[1]
        audio = torch.empty(len(rows), steps, device=noise.device)
        # Projected for the blocks at hand, and once a block rather than once a sample.
        first = int((state.position[rows] // self.config.hold - conditioning.first).min())
        last = int(((state.position[rows] + steps - 1) // self.config.hold - conditioning.first).max())
        if first < 0 or last >= conditioning.blocks:
            raise ValueError(
                f"conditioning has blocks 0 to {conditioning.blocks - 1}, generation needs "
                f"{first} to {last}"
            )
        gates = self._project(conditioning, first, last + 1)
        for step in range(steps):
            parameters, block = self.step(state, conditioning, gates, first, rows)
            audio[:, step] = self._draw(state, conditioning, parameters, block, noise[:, step], rows)
        return audio

    def step(
        self,
        state: GenerationState,
        conditioning: Conditioning,
        gates: Tensor,
        first: int,
        rows: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Distribution parameters (n, P) of the next sample, and each row's block (n,).

        Pushes the inputs of every layer onto its queue; the sample itself is drawn, or forced,
        by what the caller does next.
        """
        model, position = self.model, state.position[rows]
        block = position // self.config.hold - conditioning.first
        gate = gates[torch.arange(len(rows)), block - first].chunk(self.config.stack.layers, dim=-1)
        x = _step_convolution(model.input, state.inputs, self._input(state, conditioning, block, rows), position, rows)
        gated = []
        for layer, ring, bias in zip(model.stack.blocks, state.stacks[0].buffers, gate, strict=True):
            hidden = _step_convolution(layer.dilated, ring, x, position, rows) + bias
            gated.append(gated_unit(hidden))
            if layer.residual is not None:
                x = x + _apply(layer.residual, gated[-1])
        skips = _apply(model.stack.skip, torch.cat(gated, dim=-1))
        hidden = F.relu(_apply(model.head, F.relu(skips)))
        return _apply(model.output, hidden), block

    def _project(self, conditioning: Conditioning, first: int, last: int) -> Tensor:
        """What conditioning adds to the gates of blocks [first, last): (n, last - first, L * G)."""
        local = conditioning.local[:, first:last]
        stack = self.model.stack
        projected = _apply(stack.local_projection, local.flatten(0, 1)).unflatten(0, local.shape[:2])
        return projected + _apply(stack.global_projection, conditioning.speaker).unsqueeze(1)

    def _shift(
        self, state: GenerationState, conditioning: Conditioning, block: Tensor, rows: Tensor
    ) -> Tensor:
        """Linear prediction of the next sample (n,)."""
        if conditioning.prediction is None:
            return torch.zeros(len(rows), device=state.sample.device)
        coefficients = conditioning.prediction.coefficients[torch.arange(len(rows)), block]
        order = coefficients.shape[-1]
        lags = torch.arange(1, order + 1, device=state.position.device)
        slots = (state.position[rows].unsqueeze(1) - lags) % order
        return (coefficients * state.history[rows.unsqueeze(1), slots]).sum(-1)

    def _input(
        self, state: GenerationState, conditioning: Conditioning, block: Tensor, rows: Tensor
    ) -> Tensor:
        """The network's input (n, C): see :meth:`WaveNet.inputs`."""
        if self.config.distribution.kind == "mu_law":
            return F.one_hot(state.code[rows], quantization.CLASSES).float()
        sample = state.sample[rows]
        if conditioning.prediction is None:
            return sample.unsqueeze(-1)
        level = conditioning.prediction.level[torch.arange(len(rows)), block]
        shift = self._shift(state, conditioning, block, rows)
        return torch.stack((sample / level, shift / level, state.excitation[rows]), dim=-1)

    def _draw(
        self,
        state: GenerationState,
        conditioning: Conditioning,
        parameters: Tensor,
        block: Tensor,
        noise: Tensor,
        rows: Tensor,
    ) -> Tensor:
        """Draw the next sample, remember it, and return it after de-emphasis (n,)."""
        distribution = self.config.distribution
        if isinstance(distribution, LogisticsConfig):
            shift = self._shift(state, conditioning, block, rows)
            gain = torch.ones_like(shift)
            if conditioning.prediction is not None:
                gain = conditioning.prediction.gain[torch.arange(len(rows)), block]
            sample = distributions.logistics_sample(
                parameters, noise, distribution.log_scale_min, shift, gain, self.temperature
            )
            self.force(state, sample, None, shift, gain, rows)
        else:
            code = distributions.categorical_sample(parameters / self.temperature, noise)
            sample = quantization.mu_law_decode(code)
            self.force(state, sample, code, torch.zeros_like(sample), torch.ones_like(sample), rows)
        return state.output[rows]

    def force(
        self,
        state: GenerationState,
        sample: Tensor,
        code: Tensor | None,
        shift: Tensor,
        gain: Tensor,
        rows: Tensor,
    ) -> None:
        """Make ``sample`` (n,) the next sample of the rows, and move them on."""
        position = state.position[rows]
        if code is not None:
            state.code[rows] = code
        if state.history.shape[1]:
            state.history[rows, position % state.history.shape[1]] = sample
        state.sample[rows] = sample
        state.excitation[rows] = (sample - shift) / gain
        state.output[rows] = sample + self.config.pre_emphasis * state.output[rows]
        state.position[rows] = position + 1


def _apply(linear: nn.Linear, x: Tensor) -> Tensor:
    """``linear`` of rows (n, in), each row a product of its own.

    A product of all rows at once rounds differently with their number, and a row's result must not
    depend on who stands beside it.
    """
    weight = linear.weight.t().expand(x.shape[0], -1, -1)
    product = torch.bmm(x.unsqueeze(1), weight).squeeze(1)
    return product if linear.bias is None else product + linear.bias


def _step_convolution(
    convolution: CausalConv1d, ring: Tensor, x: Tensor, position: Tensor, rows: Tensor
) -> Tensor:
    """One output (n, C') of a causal convolution; ``x`` (n, C) replaces the oldest in the ring."""
    length = ring.shape[1]
    taps = []
    for j in range(convolution.kernel_size - 1):
        ago = (convolution.kernel_size - 1 - j) * convolution.dilation
        taps.append(ring[rows, (position - ago) % length])
    ring[rows, position % length] = x
    return _apply(convolution.linear, torch.cat((*taps, x), dim=-1))
