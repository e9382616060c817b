"""How the engines on a GPU are entered: a chunk is refused before any row moves, or begun."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from vocoder.config import ModelConfig
from vocoder.generation.cuda.errors import explained
from vocoder.generation.noise import Noise, steps_of
from vocoder.generation.projection import check_covered
from vocoder.generation.state import GenerationState, Trace
from vocoder.wavenet import mu_law
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.model import Signal, WaveNet


class ChunkEngine(ABC):
    """An engine that takes rows through a chunk, whether along a known signal or not.

    Attributes:
        model: on the GPU; on the CPU for tests.
        config: the model's.
    """

    model: WaveNet
    config: ModelConfig

    def start(self, rows: int) -> GenerationState:
        """State of ``rows`` streams that have generated nothing yet.

        Raises:
            EngineError: the device has too little memory for so many.
        """
        with explained(self.model.device, f"the queues of {rows} streams"):
            return GenerationState.start(
                self.config,
                self.model.input_channels,
                mu_law.SILENCE,
                rows,
                self.model.device,
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
        """Advance rows by T samples; see :meth:`ReferenceEngine.generate`.

        Raises:
            ValueError: the conditioning does not cover the samples.
            EngineError: the device failed; see :func:`explained`. Where its memory was too small
                for the first launch, no row has moved, and fewer can be tried. Where it failed
                later, the rows have to begin anew: what they generated is lost.
        """
        return self._enter(state, conditioning, noise, rows, None, covered).audio

    @torch.inference_mode()
    def trace(
        self,
        state: GenerationState,
        conditioning: Conditioning,
        signal: Signal,
        noise: Tensor | Noise,
        rows: Tensor | None = None,
    ) -> Trace:
        """Advance rows along a known signal; see :meth:`ReferenceEngine.trace`."""
        return self._enter(state, conditioning, noise, rows, signal, False)

    def _enter(
        self,
        state: GenerationState,
        conditioning: Conditioning,
        noise: Tensor | Noise,
        rows: Tensor | None,
        signal: Signal | None,
        covered: bool,
    ) -> Trace:
        rows, steps = state.members(rows), steps_of(noise)
        if not covered:
            check_covered(conditioning, state.position[rows], self.config.hold, steps)
        with explained(self.model.device, f"{steps} samples of {len(rows)} streams"):
            return self._advance(state, conditioning, noise, rows, signal)

    @abstractmethod
    def _advance(
        self,
        state: GenerationState,
        conditioning: Conditioning,
        noise: Tensor | Noise,
        rows: Tensor,
        signal: Signal | None,
    ) -> Trace:
        """Advance rows whose conditioning is known to cover the samples."""
