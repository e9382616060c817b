"""The Triton engine: queues, weights and sampling stay on the GPU, with one launch per chunk."""

import importlib.util
import os
import threading
from typing import Any

import torch
from torch import Tensor

from vocoder.config import ModelConfig, MuLawConfig
from vocoder.errors import EngineError
from vocoder.generation.cuda import modules, packing
from vocoder.generation.cuda.chunk_engine import ChunkEngine
from vocoder.generation.cuda.matrices import FORMATS
from vocoder.generation.cuda.packing import GATE_COLUMNS, GATE_DEPTH, TILE_ROWS
from vocoder.generation.noise import Noise, steps_of
from vocoder.generation.projection import steps_within, window
from vocoder.generation.state import GenerationState, Trace
from vocoder.machine import OLDEST
from vocoder.wavenet import mu_law
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.model import Signal, WaveNet

DEFAULT_WEIGHTS = "bf16"

INTERPRETER_VARIABLE = "TRITON_INTERPRET"
"""If set to 1, Triton runs kernels in NumPy on the CPU, for tests."""


GATE_BYTES = 1 << 30
"""Most memory for the projected conditioning of one launch, in bytes."""


class TritonEngine(ChunkEngine):
    """Runs models of moderate width on an NVIDIA GPU, with one launch per chunk."""

    name = "triton"

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
            model: on a CUDA device; on the CPU in Triton's interpreter.
            temperature: scale of the sampling spread.
            weights: number format, one of :data:`FORMATS`; bf16 if None.
            threads: ignored.

        Raises:
            EngineError: Triton cannot run here, the format is unknown, or the model is too wide
                for it or has bands.
        """
        self.weights = DEFAULT_WEIGHTS if weights is None else weights
        if self.weights not in FORMATS:
            known = ", ".join(FORMATS)
            raise EngineError(
                f"weights format {weights!r} is unknown: choose one of {known}", param="weights"
            )
        obstacle = _obstacle(model.device) or packing.obstacle(model.config, self.weights)
        if obstacle:
            raise EngineError(f"the triton engine cannot run this model: {obstacle}")
        modules.use_prebuilt()
        # Imported on use: Triton is large, and many machines lack it.
        from vocoder.generation.cuda import gates, kernels

        self.model = model
        self.config: ModelConfig = model.config
        self.temperature = temperature
        self.packed = packing.pack(model, self.weights)
        self._gates = packing.pack_gates(model)
        self._classes = torch.arange(mu_law.CLASSES, dtype=torch.int32, device=model.device)
        self._project = gates.project
        self._kernel = kernels.generate
        self._constants = {
            **packing.shape(model.config),
            "PREFETCH": packing.prefetches(model.config, self.weights),
        }

    @staticmethod
    def supports(config: ModelConfig, device: torch.device) -> tuple[bool, str]:
        """Whether this engine can run the model on the device, and the reason."""
        obstacle = _obstacle(device) or packing.obstacle(config, DEFAULT_WEIGHTS)
        if obstacle:
            return False, obstacle
        if device.type == "cpu":
            return True, "Triton's interpreter, for tests"
        return True, f"a Triton kernel on {torch.cuda.get_device_name(device)}"

    @property
    def max_concurrency(self) -> int:
        """Two, so that one chunk's audio is copied to the host while another is generated.

        Triton's interpreter runs one launch at a time.
        """
        return 1 if self.model.device.type == "cpu" else 2

    @property
    def batch_rows(self) -> int:
        """Best number of rows for one launch: all launches in flight fill the multiprocessors."""
        if self.model.device.type == "cpu":
            return TILE_ROWS
        properties = torch.cuda.get_device_properties(self.model.device)
        return TILE_ROWS * max(1, int(properties.multi_processor_count) // self.max_concurrency)

    def _advance(
        self,
        state: GenerationState,
        conditioning: Conditioning,
        noise: Tensor | Noise,
        rows: Tensor,
        signal: Signal | None,
    ) -> Trace:
        """Advance in several launches if the gates of one would exceed :data:`GATE_BYTES`."""
        steps = steps_of(noise)
        length = min(max(1, steps), steps_within(self.config, len(rows), GATE_BYTES))
        whole = self._empty(len(rows), steps, signal)
        known = (None, None) if signal is None else (signal.samples, signal.codes)
        for begin in range(0, steps, length):
            piece = slice(begin, min(begin + length, steps))
            count = piece.stop - begin
            forced = tuple(None if part is None else part[:, piece].contiguous() for part in known)
            given = noise[:, piece].contiguous() if isinstance(noise, Tensor) else noise.seeds
            # A launch writes to contiguous memory.
            trace = whole if count == steps else self._empty(len(rows), count, signal)
            with _LAUNCHING, torch.cuda.device_of(rows):
                self._launch(state, conditioning, given, rows, forced, trace)
            if trace is not whole:
                whole.audio[:, piece] = trace.audio
                whole.parameters[:, piece] = trace.parameters
        return whole

    def _empty(self, rows: int, steps: int, signal: Signal | None) -> Trace:
        """Memory for the outputs of a launch."""
        parameters = 0 if signal is None else self.config.distribution.parameters
        device = self.model.device
        return Trace(
            torch.empty(rows, steps, parameters, device=device),
            torch.empty(rows, steps, device=device),
        )

    def _launch(
        self,
        state: GenerationState,
        conditioning: Conditioning,
        noise: Tensor,
        rows: Tensor,
        forced: tuple[Tensor | None, ...],
        trace: Trace,
    ) -> None:
        """Fill ``trace``, and advance rows by as many samples.

        Args:
            noise: uniforms, or seeds.
        """
        n, steps = trace.audio.shape
        needed = window(conditioning, state.position[rows], self.config.hold, steps)
        gates = self._project_gates(needed)
        prediction: list[Tensor | None] = [None, None, None]
        if needed.prediction is not None:
            prediction = [part.contiguous() for part in needed.prediction]
        queued = self._queued_codes(state, rows)
        distribution = self.config.distribution
        # Nothing is allocated from here on: if memory ran out, no row has advanced.
        grid = (-(-n // TILE_ROWS),)
        self._kernel[grid](
            *self.packed,
            state.stacks[0].storage,
            state.inputs if queued is None else queued[0],
            state.history,
            state.position,
            state.sample,
            state.code,
            state.excitation,
            state.output,
            _contexts_of(state),
            rows.contiguous(),
            needed.first,
            gates,
            *prediction,
            noise.contiguous(),
            *forced,
            trace.audio,
            trace.parameters,
            n,
            steps,
            gates.shape[1],
            state.stacks[0].storage.stride(0),
            float(self.temperature),
            0.0 if isinstance(distribution, MuLawConfig) else distribution.log_scale_min,
            float(self.config.pre_emphasis),
            **self._constants,
            SEEDED=not noise.is_floating_point(),
            TRACE=forced[0] is not None,
            WIDEN=rows.device.type == "cpu",
            ROWS=TILE_ROWS,
            **LAUNCH,
        )
        if queued is not None:
            codes, queue = queued
            torch.eq(codes.unsqueeze(-1), self._classes, out=queue)
            state.inputs.index_copy_(0, rows, queue)

    def _project_gates(self, needed: Conditioning) -> Tensor:
        """The conditioning's contribution to every gate (n, N, L * G)."""
        weights, bias = self._gates
        speaker = needed.speaker.unsqueeze(1).expand(-1, needed.blocks, -1)
        inputs = torch.cat((needed.local, speaker), dim=-1).flatten(0, 1).contiguous()
        gates = torch.empty(len(inputs), len(bias), device=inputs.device)
        grid = (-(-len(inputs) // TILE_ROWS), -(-len(bias) // GATE_COLUMNS))
        self._project[grid](
            inputs,
            weights,
            bias,
            gates,
            len(inputs),
            CHANNELS=inputs.shape[1],
            GATES=len(bias),
            ROWS=TILE_ROWS,
            COLUMNS=GATE_COLUMNS,
            DEPTH=GATE_DEPTH,
        )
        return gates.unflatten(0, needed.local.shape[:2])

    def _queued_codes(self, state: GenerationState, rows: Tensor) -> tuple[Tensor, Tensor] | None:
        """The input convolution's queue as codes (n, k - 1), int32, with -1 in empty slots, and in
        the state's form (n, k - 1, C). None if the distribution has no codes.
        """
        if not self._constants["MU_LAW"]:
            return None
        queue = state.inputs[rows]
        value, code = queue.max(dim=-1)
        return torch.where(value > 0, code, -1).int(), queue


def _contexts_of(state: GenerationState) -> tuple[tuple[Tensor, Tensor, int, Tensor], ...] | None:
    """The tensors of each context stack that the kernel reads and writes; None without stacks."""
    parts = zip(state.windows, state.stacks[1:], state.contexts, strict=True)
    found = tuple(
        (window, stack.storage, stack.storage.stride(0), context)
        for window, stack, context in parts
    )
    return found or None


LAUNCH: dict[str, Any] = {"num_warps": 8, "num_stages": 1}
"""Warps (of 32 threads) per program, and pipeline stages: the barriers allow only one."""


_LAUNCHING = threading.Lock()
"""Held while a kernel is launched: several threads launch it, and the first compiles it."""


def _obstacle(device: torch.device) -> str | None:
    """Why Triton cannot run on a device; None if it can."""
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed: install torch with CUDA, which includes it"
    if device.type == "cpu" and os.environ.get(INTERPRETER_VARIABLE) == "1":
        return None
    if device.type != "cuda":
        return f"the model is on {device.type}"
    found = torch.cuda.get_device_capability(device)
    if found < OLDEST:
        return f"compute capability {found[0]}.{found[1]}, {OLDEST[0]}.{OLDEST[1]} or later needed"
    return modules.obstacle()
