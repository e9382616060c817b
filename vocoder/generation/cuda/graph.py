"""The reference step as a CUDA graph: any model on any CUDA device, without a kernel of its own.

Launching the operations of a step from Python takes much longer than running them. A graph is
recorded once and replayed for each sample, reading and writing fixed addresses: before a chunk, the
advancing rows are copied into the graph's tensors on the device, and after it they are copied back.
Whatever changes from sample to sample (positions, the index into noise and audio) is counted within
the graph.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vocoder.config import ModelConfig
from vocoder.errors import EngineError
from vocoder.generation.cuda.chunk_engine import ChunkEngine, bands_obstacle
from vocoder.generation.cuda.errors import device_errors
from vocoder.generation.noise import DRAWS, Noise
from vocoder.generation.projection import Projection, blocks_spanned, project, steps_within
from vocoder.generation.reference import ReferenceEngine
from vocoder.generation.state import GenerationState, Trace
from vocoder.wavenet import mu_law
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.linear_prediction import LinearPrediction
from vocoder.wavenet.model import Signal, WaveNet

STEPS = 1024
"""Most samples that are generated between copies."""

GATE_BYTES = 1 << 28
"""Most memory for the projected conditioning between copies, in bytes."""


class GraphEngine(ChunkEngine, ReferenceEngine):
    """Runs every model shape on any CUDA device, with one graph launch per sample."""

    name = "cuda-graph"

    def __init__(
        self,
        model: WaveNet,
        *,
        temperature: float = 1.0,
        weights: str | None = None,
        threads: int | None = None,
    ) -> None:
        """Run a model; arguments as :class:`ReferenceEngine`'s.

        Raises:
            EngineError: as there, or the model has bands.
        """
        if obstacle := bands_obstacle(model.config):
            raise EngineError(f"the cuda-graph engine cannot run this model: {obstacle}")
        super().__init__(model, temperature=temperature, weights=weights, threads=threads)
        self._loops: dict[tuple[int, bool], _Loop] = {}

    @staticmethod
    def supports(config: ModelConfig, device: torch.device) -> tuple[bool, str]:
        """Whether this engine can run the model on the device, and the reason."""
        if device.type != "cuda":
            return False, f"the model is on {device.type}"
        if obstacle := bands_obstacle(config):
            return False, obstacle
        return True, f"the reference as a CUDA graph on {torch.cuda.get_device_name(device)}"

    def _advance(
        self,
        state: GenerationState,
        conditioning: Conditioning,
        noise: Tensor | Noise,
        rows: Tensor,
        signal: Signal | None,
    ) -> Trace:
        """Advance copies of the rows; the state is updated only when all samples are done."""
        noise = state.uniforms(noise, rows)
        n, steps = noise.shape[:2]
        loop = self._loop(n, signal is not None)
        # Rows that only fill up the graph repeat the first one.
        members = torch.arange(loop.rows, device=rows.device)
        members[n:] = 0
        loop.state.copy_rows(loop.index, state, rows[members])
        pieces = []
        for begin in range(0, steps, loop.noise.shape[1]):
            piece = slice(begin, min(begin + loop.noise.shape[1], steps))
            start = loop.state.position[:n]
            projection = project(self.model, conditioning, start, piece.stop - piece.start)
            loop.load(members, projection, noise[:, piece])
            if signal is not None:
                loop.load_signal(members, signal, piece)
            for _ in range(piece.start, piece.stop):
                loop.replay()
            pieces.append(loop.results(n, piece.stop - piece.start))
        trace = Trace(*(torch.cat(part, dim=1) for part in zip(*pieces, strict=True)))
        ours = loop.state.tensors()
        for name, tensor in state.tensors().items():
            # In place: this allocates nothing that could run out of memory.
            tensor.index_copy_(0, rows, ours[name][:n])
        return trace

    def _loop(self, rows: int, traced: bool) -> "_Loop":
        """The graph for that many rows; there is one for each power of two."""
        capacity = 1 << (rows - 1).bit_length()
        key = (capacity, traced)
        if key not in self._loops:
            with device_errors(self.model.device, f"a graph of {capacity} streams"):
                loop = _Loop.allocate(self.model, capacity, traced)
                loop.replay = self._record(lambda: self._static_step(loop), loop)
            self._loops[key] = loop
        return self._loops[key]

    def _static_step(self, loop: "_Loop") -> None:
        """Advance every row by one sample, using fixed addresses only."""
        state, now = loop.state, loop.now
        step = self._step(state, loop.projection, loop.index)
        sample, code = self._draw(step, loop.noise.index_select(1, now))
        audio = sample + self.config.pre_emphasis * state.output
        loop.audio.index_copy_(1, now, audio)
        if loop.traced:
            loop.parameters.index_copy_(1, now, step.parameters)
            sample = loop.samples.index_select(1, now)
            if code is not None:
                code = loop.codes.index_select(1, now)
        self._push(state, step, sample, code)
        now += 1

    def _record(self, step: Callable[[], None], loop: "_Loop") -> Callable[[], None]:
        """A function that replays ``step``: its CUDA graph, or the step itself on the CPU."""
        device = self.model.device
        if device.type != "cuda":
            return step
        # Libraries initialise themselves in their first call, which cannot be recorded.
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            step()
            loop.rewind()
        torch.cuda.current_stream(device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Meanwhile, other threads prepare conditioning and may allocate memory.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            step()
        return graph.replay


@dataclass
class _Loop:
    """A graph and the tensors that it reads and writes.

    Attributes:
        state: the rows that advance.
        projection: the blocks of the samples until the next copy.
        index: 0 to rows - 1, int64.
        now: index of the next sample in ``noise`` and ``audio`` (1,), int64.
        noise: (rows, steps, 2).
        audio: (rows, steps).
        parameters: in a trace (rows, steps, P).
        samples: in a trace, the signal (rows, steps).
        codes: in a trace, the signal's codes (rows, steps), int64.
        replay: advances all rows by one sample.
    """

    state: GenerationState
    projection: Projection
    index: Tensor
    now: Tensor
    noise: Tensor
    audio: Tensor
    parameters: Tensor
    samples: Tensor
    codes: Tensor
    replay: Callable[[], None]

    @classmethod
    def allocate(cls, model: WaveNet, rows: int, traced: bool) -> "_Loop":
        """Allocate zeroed tensors; the graph is recorded later."""
        config, device = model.config, model.device
        stack = config.stack
        steps = min(STEPS, steps_within(config, rows, GATE_BYTES))
        blocks = blocks_spanned(steps, config.hold)
        known = steps if traced else 0

        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        prediction = None
        if config.linear_prediction is not None:
            order = config.linear_prediction.order
            prediction = LinearPrediction(
                zeros(rows, blocks, 1, order), zeros(rows, blocks, 1), zeros(rows, blocks, 1)
            )
        return cls(
            state=GenerationState.start(config, model.input_channels, mu_law.SILENCE, rows, device),
            projection=Projection(
                zeros(rows, blocks, stack.layers * stack.gate_channels),
                prediction,
                zeros(rows, dtype=torch.int64),
            ),
            index=torch.arange(rows, device=device),
            now=zeros(1, dtype=torch.int64),
            noise=zeros(rows, steps, DRAWS),
            audio=zeros(rows, steps),
            parameters=zeros(rows, known, config.distribution.parameters),
            samples=zeros(rows, known),
            codes=zeros(rows, known, dtype=torch.int64),
            replay=lambda: None,
        )

    @property
    def rows(self) -> int:
        """Number of rows that advance together."""
        return len(self.index)

    @property
    def traced(self) -> bool:
        """Whether it follows a known signal."""
        return self.samples.shape[1] > 0

    def rewind(self) -> None:
        """Return to the first sample of noise and audio."""
        self.now.zero_()

    def load(self, members: Tensor, projection: Projection, noise: Tensor) -> None:
        """Load the next samples' conditioning and noise; row i uses those of ``members[i]``."""
        self.rewind()
        self.noise[:, : noise.shape[1]] = noise[members]
        own, given = self.projection, projection
        blocks = given.gates.shape[1]
        own.gates[:, :blocks] = given.gates[members]
        own.first.copy_(given.first[members])
        if own.prediction is not None and given.prediction is not None:
            for ours, theirs in zip(own.prediction, given.prediction, strict=True):
                ours[:, :blocks] = theirs[members]

    def load_signal(self, members: Tensor, signal: Signal, piece: slice) -> None:
        """Load the next samples of a known signal."""
        steps = piece.stop - piece.start
        self.samples[:, :steps] = signal.samples[members, piece]
        if signal.codes is not None:
            self.codes[:, :steps] = signal.codes[members, piece]

    def results(self, rows: int, steps: int) -> Trace:
        """Copies of the first rows' outputs."""
        known = min(steps, self.parameters.shape[1])
        return Trace(self.parameters[:rows, :known].clone(), self.audio[:rows, :steps].clone())
