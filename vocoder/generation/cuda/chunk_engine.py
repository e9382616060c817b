"""What the GPU engines share: a chunk is checked before any row advances."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from vocoder.config import ModelConfig
from vocoder.generation.cuda.errors import device_errors
from vocoder.generation.noise import Noise, steps_of
from vocoder.generation.projection import check_covered
from vocoder.generation.state import GenerationState, Trace
from vocoder.wavenet import mu_law
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.model import Signal, WaveNet


def bands_obstacle(config: ModelConfig) -> str | None:
    """Why a GPU engine cannot run a model with bands; None for a model without."""
    if config.bands == 1:
        return None
    return f"a step of {config.bands} bands runs on the engine reference only"


class ChunkEngine(ABC):
    """An engine that advances rows by one chunk, either freely or along a known signal.

    Attributes:
        model: on the GPU; on the CPU in tests.
        config: the model's.
    """

    model: WaveNet
    config: ModelConfig

    def start(self, rows: int) -> GenerationState:
        """State of ``rows`` streams that have generated nothing yet.

        Raises:
            EngineError: the device has too little memory for this many.
        """
        with device_errors(self.model.device, f"the queues of {rows} streams"):
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
            EngineError: the device failed; see :func:`device_errors`. If memory ran out before the
                first launch, no row has advanced, and the caller can retry with fewer rows. After
                any later failure the rows must restart: their state is lost.
        """
        return self._checked(state, conditioning, noise, rows, None, covered).audio

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
        return self._checked(state, conditioning, noise, rows, signal, False)

    def _checked(
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
        with device_errors(self.model.device, f"{steps} samples of {len(rows)} streams"):
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
        """Advance rows whose conditioning covers the samples."""
