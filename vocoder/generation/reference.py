"""The incremental step in plain PyTorch: the reference that every engine is tested against.

Each layer keeps a queue of its past inputs, so a sample costs one product per layer instead of the
whole receptive field (Paine et al. 2016, "Fast WaveNet", arXiv 1611.09482). It computes the
parallel forward of :mod:`vocoder.wavenet.model`, one step at a time: one sample, or with a filter
bank the M band samples ``M t`` to ``M t + M - 1``, each drawn with its own noise.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.config import GaussianConfig, ModelConfig, MuLawConfig
from vocoder.errors import EngineError
from vocoder.generation.noise import Noise
from vocoder.generation.projection import (
    TILE,
    Projection,
    apply_in_tiles,
    check_covered,
    check_steps,
    project,
)
from vocoder.generation.state import GenerationState, Trace
from vocoder.wavenet import distributions, mu_law
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.linear_prediction import LinearPrediction
from vocoder.wavenet.model import Signal, WaveNet
from vocoder.wavenet.modules import CausalConv1d, ContextStack, ResidualBlock, gated_unit


class ReferenceEngine:
    """Runs any model on any device that PyTorch supports."""

    name = "reference"
    max_concurrency = 1

    weights = "fp32"

    def __init__(
        self,
        model: WaveNet,
        *,
        temperature: float = 1.0,
        weights: str | None = None,
        threads: int | None = None,
    ) -> None:
        """Run a model.

        Args:
            model: on any device.
            temperature: scale of the sampling spread.
            weights: fp32 or None, which means the same.
            threads: ignored; PyTorch has its own setting.

        Raises:
            EngineError: another number format was requested.
        """
        if weights not in (None, self.weights):
            raise EngineError(
                f"this engine keeps its weights in {self.weights}, not {weights}",
                param="weights",
            )
        self.model = model
        self.config: ModelConfig = model.config
        self.temperature = temperature

    @staticmethod
    def supports(config: ModelConfig, device: torch.device) -> tuple[bool, str]:
        """Whether this engine can run the model on the device, and the reason."""
        return True, "plain PyTorch runs every shape on every device"

    @property
    def batch_rows(self) -> int:
        """Best number of rows to advance together: one tile of the products."""
        return TILE

    def start(self, rows: int) -> GenerationState:
        """State of ``rows`` streams that have generated nothing yet."""
        return GenerationState.start(
            self.config, self.model.input_channels, mu_law.SILENCE, rows, self.model.device
        )

    @torch.inference_mode()
    def generate(
        self,
        state: GenerationState,
        conditioning: Conditioning,
        noise: Tensor | Noise,
        rows: Tensor | None = None,
        *,
        covered: bool = False,
    ) -> Tensor:
        """Advance rows by T samples.

        Args:
            state: updated in place.
            conditioning: of the n advancing rows; its blocks cover their next T samples.
            noise: uniforms in (0, 1) (n, T, 2), or the seeds to draw them from; T is a multiple of
                the number of bands.
            rows: the rows of the state that advance (n,), int64; all if None. They may be at
                different positions.
            covered: whether the caller guarantees that the conditioning covers the samples. A GPU
                engine then skips a check that waits for the device.

        Returns:
            Audio (n, T), float32 in [-1, 1); with bands, band samples (n, T), which
            :mod:`vocoder.wavenet.filter_bank` joins.

        Raises:
            ValueError: the conditioning does not cover the samples, or the bands do not divide
                them.
        """
        rows = state.members(rows)
        uniforms = state.uniforms(noise, rows)
        audio = torch.empty(uniforms.shape[:2], device=uniforms.device)
        for now, step in self._steps(state, conditioning, uniforms.shape[1], rows):
            sample, code = self._draw(step, uniforms[:, now])
            self._push(state, step, sample, code)
            audio[:, now] = state.output[step.rows]
        return audio

    @torch.inference_mode()
    def trace(
        self,
        state: GenerationState,
        conditioning: Conditioning,
        signal: Signal,
        noise: Tensor | Noise,
        rows: Tensor | None = None,
    ) -> Trace:
        """Advance rows along a known signal (teacher forcing), and also draw each sample.

        Other engines are tested against this trace.

        Args:
            state: updated in place.
            conditioning: as in :meth:`generate`.
            signal: of T samples, from :meth:`WaveNet.signal`.
            noise: as in :meth:`generate`.
            rows: as in :meth:`generate`.
        """
        parameters, audio = [], []
        rows = state.members(rows)
        uniforms = state.uniforms(noise, rows)
        for now, step in self._steps(state, conditioning, uniforms.shape[1], rows):
            sample, _ = self._draw(step, uniforms[:, now])
            audio.append(sample + self.config.pre_emphasis * state.output[step.rows])
            parameters.append(step.parameters)
            code = None if signal.codes is None else signal.codes[:, now]
            self._push(state, step, signal.samples[:, now], code)
        return Trace(torch.cat(parameters, dim=1), torch.cat(audio, dim=1))

    def _steps(
        self, state: GenerationState, conditioning: Conditioning, samples: int, rows: Tensor
    ) -> Iterator[tuple[slice, "_Step"]]:
        """Run the network once per step, and say which samples it is for.

        The caller pushes each step's samples before the next step.
        """
        check_steps(self.config, samples)
        check_covered(conditioning, state.position[rows], self.config.hold, samples)
        projection = project(self.model, conditioning, state.position[rows], samples)
        for first in range(0, samples, self.config.bands):
            now = slice(first, first + self.config.bands)
            yield now, self._step(state, projection, rows)

    def _step(self, state: GenerationState, projection: Projection, rows: Tensor) -> "_Step":
        """Run the network for the next samples of each row."""
        position = state.position[rows]
        step = position // self.config.bands
        index = torch.arange(len(rows), device=rows.device)
        block = position // self.config.hold - projection.first
        given = projection.prediction
        if given is not None:
            given = LinearPrediction(*(part[index, block] for part in given))
        shift, gain, level = self._prediction(state, given, step, rows)
        inputs = self._inputs(state, shift, level, rows)
        gates = projection.gates[index, block]
        if self.model.stack.context_projection is not None:
            context = self._context(state, position, rows)
            gates = gates + apply_in_tiles(self.model.stack.context_projection, context)
        parameters = self._network(state, inputs, gates, step, rows)
        return _Step(rows, position, parameters, shift, gain)

    def _context(self, state: GenerationState, position: Tensor, rows: Tensor) -> Tensor:
        """The context stacks' outputs (n, context_channels).

        Each stack advances at the first sample of a window. The step is computed for every row at
        every sample and kept only where it is due: the operations do not depend on the data, so
        they can be recorded as a CUDA graph.
        """
        given = []
        layers = zip(
            self.model.contexts, state.stacks[1:], state.windows, state.contexts, strict=True
        )
        for stack, queues, window, context in layers:
            assert isinstance(stack, ContextStack)
            pool = stack.config.pool
            due = (position % pool == 0).unsqueeze(1)
            step = position // pool
            x = apply_in_tiles(stack.input, window[rows])
            gated = []
            for layer, ring in zip(stack.blocks, queues.buffers, strict=True):
                assert isinstance(layer, ResidualBlock)
                hidden = _convolve(layer.dilated, ring, x, step, rows, due)
                gated.append(gated_unit(hidden))
                if layer.residual is not None:
                    x = x + apply_in_tiles(layer.residual, gated[-1])
            hidden = F.relu(apply_in_tiles(stack.skip, torch.cat(gated, dim=-1)))
            output = apply_in_tiles(stack.output, hidden)
            context[rows] = torch.where(due, output, context[rows])
            given.append(context[rows])
        return torch.cat(given, dim=-1)

    def _prediction(
        self,
        state: GenerationState,
        prediction: LinearPrediction | None,
        step: Tensor,
        rows: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Prediction of the next samples, excitation scale and signal scale: (n, M) each.

        ``prediction`` is that of the rows' current blocks (n, M, ...).
        """
        if prediction is None:
            one = torch.ones(len(rows), self.config.bands, device=rows.device)
            return torch.zeros_like(one), one, one
        coefficients, gain, level = prediction
        order = coefficients.shape[-1]
        lags = torch.arange(1, order + 1, device=rows.device)
        slots = (step.unsqueeze(1) - lags) % order
        # Contiguous, so that the order of the sum does not depend on the number of rows.
        past = state.history[rows.unsqueeze(1), :, slots].transpose(1, 2).contiguous()
        return (coefficients * past).sum(-1), gain, level

    def _inputs(self, state: GenerationState, shift: Tensor, level: Tensor, rows: Tensor) -> Tensor:
        """The network's input (n, C); see :meth:`WaveNet.inputs`."""
        if self.config.distribution.kind == "mu_law":
            return F.one_hot(state.code[rows], mu_law.CLASSES).float()
        if self.config.linear_prediction is None:
            return state.sample[rows]
        past = state.sample[rows] / level
        return torch.cat((past, shift / level, state.excitation[rows]), dim=-1)

    def _network(
        self, state: GenerationState, inputs: Tensor, gate: Tensor, step: Tensor, rows: Tensor
    ) -> Tensor:
        """Distribution parameters (n, M, P) of the next samples; updates every queue."""
        model = self.model
        x = _convolve(model.input, state.inputs, inputs, step, rows)
        gated = []
        layers = zip(
            model.stack.blocks,
            state.stacks[0].buffers,
            gate.chunk(self.config.stack.layers, dim=-1),
            strict=True,
        )
        for layer, ring, bias in layers:
            assert isinstance(layer, ResidualBlock)
            gated.append(gated_unit(_convolve(layer.dilated, ring, x, step, rows) + bias))
            if layer.residual is not None:
                x = x + apply_in_tiles(layer.residual, gated[-1])
        skips = apply_in_tiles(model.stack.skip, torch.cat(gated, dim=-1))
        hidden = F.relu(apply_in_tiles(model.head, F.relu(skips)))
        return model.by_sample(apply_in_tiles(model.output, hidden).unsqueeze(1))

    def _draw(self, step: "_Step", noise: Tensor) -> tuple[Tensor, Tensor | None]:
        """Draw the next samples (n, M) and mu-law codes (n, 1); None for other distributions."""
        distribution = self.config.distribution
        if not isinstance(distribution, MuLawConfig):
            draw = (
                distributions.gaussian_sample
                if isinstance(distribution, GaussianConfig)
                else distributions.logistics_sample
            )
            floor, limit = distribution.log_scale_min, float(self.config.bands)
            sample = draw(
                step.parameters, noise, floor, step.shift, step.gain, self.temperature, limit
            )
            return sample, None
        code = distributions.categorical_sample(step.parameters / self.temperature, noise)
        return mu_law.decode(code), code

    def _push(
        self, state: GenerationState, step: "_Step", sample: Tensor, code: Tensor | None
    ) -> None:
        """Record ``sample`` (n, M) as the latest of the rows, and advance their position."""
        rows, bands = step.rows, self.config.bands
        if code is not None:
            state.code[rows] = code.squeeze(1)
        if order := state.history.shape[2]:
            state.history[rows, :, step.position // bands % order] = sample
        if state.windows:
            slots = step.position.unsqueeze(1) + torch.arange(bands, device=rows.device)
            for window in state.windows:
                window[rows.unsqueeze(1), slots % window.shape[1]] = mu_law.compand(sample)
        state.sample[rows] = sample
        state.excitation[rows] = (sample - step.shift) / step.gain
        state.output[rows] = sample + self.config.pre_emphasis * state.output[rows]
        state.position[rows] = step.position + bands


class _Step(NamedTuple):
    """The network's outputs for n rows, before a sample is drawn or given."""

    rows: Tensor
    position: Tensor
    parameters: Tensor
    shift: Tensor
    gain: Tensor


def _convolve(
    convolution: CausalConv1d,
    ring: Tensor,
    x: Tensor,
    position: Tensor,
    rows: Tensor,
    due: Tensor | None = None,
) -> Tensor:
    """One output (n, C') of a causal convolution; ``x`` (n, C) replaces the ring's oldest input.

    Rows that are not ``due`` (n, 1) keep their ring unchanged.
    """
    length = ring.shape[1]
    taps = []
    for j in range(convolution.kernel_size - 1):
        ago = (convolution.kernel_size - 1 - j) * convolution.dilation
        taps.append(ring[rows, (position - ago) % length])
    newest = position % length
    ring[rows, newest] = x if due is None else torch.where(due, x, ring[rows, newest])
    return apply_in_tiles(convolution.linear, torch.cat((*taps, x), dim=-1))
