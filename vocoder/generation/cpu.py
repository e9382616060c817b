"""The native CPU engine: the sample loop in C++, called once per chunk."""

from typing import Any, Literal, get_args

import torch
from torch import Tensor

from vocoder.config import ModelConfig, MuLawConfig, StackConfig
from vocoder.errors import EngineError
from vocoder.generation.noise import Noise
from vocoder.generation.state import GenerationState, Trace
from vocoder.machine import processors
from vocoder.native import library as native
from vocoder.wavenet import mu_law
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.model import Signal, WaveNet

Weights = Literal["fp32", "bf16", "int8"]
"""Number formats of the weights. All accumulate in float32 (int8: exact integers, then float32)."""

DEFAULT_WEIGHTS = "bf16"

TILE_ROWS = 16
"""Rows of one product in the native code."""

_LOOP_WEIGHTS = ("input.", "stack.", "contexts.", "head.", "output.")


class CpuEngine:
    """Runs every model shape on the CPU; the presets' shapes have compiled fast paths."""

    name = "cpu"
    max_concurrency: int | None = None

    def __init__(
        self,
        model: WaveNet,
        *,
        temperature: float = 1.0,
        weights: str | None = None,
        threads: int | None = None,
    ) -> None:
        """Pack the weights.

        Args:
            model: on the CPU.
            temperature: scale of the sampling spread.
            weights: number format, one of :data:`Weights`; bf16 if None.
            threads: threads that share the rows; one for each available CPU if None.

        Raises:
            EngineError: the native library is missing, or the requested instruction set or number
                format is not available.
        """
        library = native.load()
        self.weights = DEFAULT_WEIGHTS if weights is None else weights
        if self.weights not in get_args(Weights):
            known = ", ".join(get_args(Weights))
            raise EngineError(
                f"weights format {weights!r} is unknown: choose one of {known}", param="weights"
            )
        self.config = model.config
        self.instructions = native.instruction_set(library)
        self.threads = threads or processors()
        self._input_channels = model.input_channels
        self._network = library.Network(
            **_shape(model, temperature),
            weights=_loop_weights(model),
            format=self.weights,
            instructions=self.instructions,
        )

    @staticmethod
    def supports(config: ModelConfig, device: torch.device) -> tuple[bool, str]:
        """Whether this engine can run the model on the device, and the reason."""
        if device.type != "cpu":
            return False, f"the model is on {device.type}"
        try:
            instructions = native.instruction_set(native.load())
        except EngineError as error:
            return False, str(error)
        return True, f"native code for {instructions}"

    @property
    def weight_bytes(self) -> int:
        """Size of the packed weights."""
        size: int = self._network.bytes
        return size

    @property
    def batch_rows(self) -> int:
        """Best number of rows to advance together: a full tile for each thread."""
        return TILE_ROWS * self.threads

    def start(self, rows: int) -> GenerationState:
        """State of ``rows`` streams that have generated nothing yet."""
        return GenerationState.start(
            self.config, self._input_channels, mu_law.SILENCE, rows, torch.device("cpu")
        )

    def generate(
        self,
        state: GenerationState,
        conditioning: Conditioning,
        noise: Tensor | Noise,
        rows: Tensor | None = None,
        *,
        covered: bool = False,
    ) -> Tensor:
        """Advance rows by T samples; see :meth:`ReferenceEngine.generate`.

        Raises:
            ValueError: an array has the wrong shape or type, or the conditioning does not cover the
                samples.
        """
        uniforms = state.uniforms(noise, rows)
        audio = torch.empty(uniforms.shape[:2])
        self._advance(state, conditioning, uniforms, rows, audio)
        return audio

    def trace(
        self,
        state: GenerationState,
        conditioning: Conditioning,
        signal: Signal,
        noise: Tensor | Noise,
        rows: Tensor | None = None,
    ) -> Trace:
        """Advance rows along a known signal; see :meth:`ReferenceEngine.trace`."""
        uniforms = state.uniforms(noise, rows)
        audio = torch.empty(uniforms.shape[:2])
        parameters = torch.empty(*uniforms.shape[:2], self.config.distribution.parameters)
        self._advance(
            state,
            conditioning,
            uniforms,
            rows,
            audio,
            forced=signal.samples.contiguous(),
            forced_codes=None if signal.codes is None else signal.codes.contiguous(),
            trace=parameters,
        )
        return Trace(parameters, audio)

    def _advance(
        self,
        state: GenerationState,
        conditioning: Conditioning,
        noise: Tensor,
        rows: Tensor | None,
        audio: Tensor,
        **forced: Tensor | None,
    ) -> None:
        local, speaker, prediction, first = conditioning
        self._network.advance(
            state=state.tensors(),
            rows=state.members(rows),
            local=local.contiguous(),
            speaker=speaker.contiguous(),
            first=first,
            prediction=None if prediction is None else [part.contiguous() for part in prediction],
            noise=noise.contiguous(),
            audio=audio,
            threads=self.threads,
            **forced,
        )


def _shape(model: WaveNet, temperature: float) -> dict[str, Any]:
    config, stack = model.config, model.config.stack
    distribution, prediction = config.distribution, config.linear_prediction
    return {
        **_stack_shape(stack),
        "contexts": [
            {"pool": context.pool, "channels": context.channels, **_stack_shape(context.stack)}
            for context in config.contexts
        ],
        "parameters": distribution.parameters,
        "input_channels": model.input_channels,
        "local_channels": config.conditioning.channels,
        "global_channels": config.global_channels,
        "distribution": distribution.kind,
        "log_scale_min": (
            0.0 if isinstance(distribution, MuLawConfig) else distribution.log_scale_min
        ),
        "temperature": temperature,
        "pre_emphasis": config.pre_emphasis,
        "order": prediction.order if prediction else 0,
        "hold": config.hold,
        "bands": config.bands,
        "head_channels": config.head_width,
    }


def _stack_shape(stack: StackConfig) -> dict[str, Any]:
    return {
        "dilations": list(stack.dilations),
        "kernel_size": stack.kernel_size,
        "residual_channels": stack.residual_channels,
        "gate_channels": stack.gate_channels,
        "skip_channels": stack.skip_channels,
    }


def _loop_weights(model: WaveNet) -> dict[str, Tensor]:
    """The weights that the sample loop needs, under their names in the model."""
    weights = {
        name: tensor.float().contiguous()
        for name, tensor in model.state_dict().items()
        if name.startswith(_LOOP_WEIGHTS)
    }
    if model.config.distribution.kind == "mu_law":
        weights["decode"] = mu_law.decode(torch.arange(mu_law.CLASSES))
    return weights
