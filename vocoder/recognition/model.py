"""Phoneme recognition: a WaveNet on raw audio that also classifies each frame.

van den Oord et al. 2016, section 3.4: mean pooling to 10 ms frames after the dilated convolutions,
then a few non-causal convolutions. It is trained with two losses: one predicts the next sample, the
other classifies the frame.
"""

from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from vocoder.config import ModelConfig, MuLawConfig, StrictModel
from vocoder.wavenet import mu_law
from vocoder.wavenet.model import Signal, WaveNet
from vocoder.wavenet.modules import gated_unit

CODE_GAIN, SKIP_GAIN, POOLED_GAIN = 3.0, 8.0, 4.0
"""Initial gains of the companded sample, of the skips, and of their means over a frame."""


class RecogniserConfig(StrictModel):
    """A recogniser: a WaveNet, pooling to frames, and non-causal layers."""

    wavenet: ModelConfig = Field(description="the WaveNet: unconditional, without context stacks")
    pool: int = Field(160, ge=1, le=16384, description="samples per frame")
    channels: int = Field(128, ge=1, le=2048, description="width of the non-causal layers")
    layers: int = Field(6, ge=0, le=32, description="number of non-causal residual layers")
    kernel_size: int = Field(
        5, ge=1, le=31, description="kernel size of each convolution in frames, odd"
    )
    dropout: float = Field(0.1, ge=0.0, lt=1.0, description="dropout rate in training")
    labels: tuple[str, ...] = Field(
        (), description="labels of a frame, in output order; set by training"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size {self.kernel_size} must be odd")
        if self.wavenet.conditioning.kind != "none":
            raise ValueError("wavenet.conditioning.kind must be 'none': audio is the only input")
        if self.wavenet.bands != 1:
            raise ValueError("wavenet.bands must be 1: frames are pooled from whole samples")
        if self.wavenet.contexts or self.wavenet.global_channels != 1:
            raise ValueError("wavenet must have no contexts, no tags and exactly one speaker")
        return self

    @property
    def sample_rate_hz(self) -> int:
        """Sample rate of the audio."""
        return self.wavenet.features.sample_rate_hz

    @property
    def frame_rate_hz(self) -> float:
        """Frames per second."""
        return self.sample_rate_hz / self.pool

    @property
    def margin(self) -> int:
        """Number of frames on each side that a frame's label depends on."""
        return self.layers * (self.kernel_size // 2)

    @property
    def warm_up(self) -> int:
        """Number of earlier frames that the WaveNet's receptive field reaches into."""
        return -(-self.wavenet.receptive_field // self.pool)


class Heard(NamedTuple):
    """A recogniser's outputs.

    Attributes:
        logits: of each label at each frame (B, F, K), float32.
        nll: negative log-likelihood of each predicted sample in nats (B, S), float32.
    """

    logits: Tensor
    nll: Tensor


class NonCausalBlock(nn.Module):
    """One layer at the frame rate, over past and future: ``x + W gated_unit(conv(norm(x)))``."""

    def __init__(self, channels: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.conv = nn.Conv1d(channels, 2 * channels, kernel_size, padding=kernel_size // 2)
        self.residual = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Frames (B, F, C), and a mask (B, F, 1) that is 0 for padding -> (B, F, C)."""
        inner = self.conv((self.norm(x) * mask).transpose(1, 2)).transpose(1, 2)
        return x + self.dropout(self.residual(gated_unit(inner)))


class PhonemeRecogniser(nn.Module):
    """An unconditional WaveNet, mean pooling, non-causal layers, and a label for each frame."""

    def __init__(self, config: RecogniserConfig) -> None:
        super().__init__()
        self.config = config
        self.wavenet = WaveNet(config.wavenet)
        self.input = nn.Linear(config.wavenet.stack.skip_channels, config.channels)
        self.layers = nn.ModuleList(
            NonCausalBlock(config.channels, config.kernel_size, config.dropout)
            for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.channels)
        self.output = nn.Linear(config.channels, len(config.labels))
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        # PyTorch's default initialisation maps one-hot codes to small values in random order, so
        # all frames look alike for hundreds of steps. Start with ordered codes at unit scale.
        wavenet, classes = self.wavenet, self.config.wavenet.distribution
        if isinstance(classes, MuLawConfig):
            kernel = wavenet.input.linear.weight.unflatten(1, (-1, classes.classes))
            ramp = torch.linspace(-1.0, 1.0, classes.classes)
            kernel += CODE_GAIN * torch.randn(*kernel.shape[:2], 1) * ramp
        wavenet.stack.skip.weight *= SKIP_GAIN
        self.input.weight *= POOLED_GAIN

    def forward(
        self,
        audio: Tensor,
        mask: Tensor | None = None,
        *,
        predicted: slice = slice(None),
        bf16: bool = False,
    ) -> Heard:
        """Label the frames, and compute the likelihood of the samples.

        Args:
            audio: samples in [-1, 1) (B, T), T = F * pool.
            mask: 1 for valid frames, 0 for padding (B, F); all are valid if None.
            predicted: the samples whose likelihood is computed.
            bf16: run the network under autocast; the likelihood stays float32.
        """
        signal = self.wavenet.signal(audio, None)
        with torch.autocast(audio.device.type, torch.bfloat16, enabled=bf16):
            skips = self.skips(signal)
            logits = self.label(self.pooled(skips), mask)
            parameters = self.wavenet.parameters_of(skips[:, predicted])
        samples, codes, *prediction = signal
        codes = None if codes is None else codes[:, predicted]
        wanted = Signal(samples[:, predicted], codes, *(p[:, predicted] for p in prediction))
        return Heard(logits, self.wavenet.nll_of(parameters, wanted))

    def logits(self, audio: Tensor) -> Tensor:
        """Logits only: audio (B, T), T = F * pool -> (B, F, K), float32."""
        return self.label(self.pooled(self.skips(self.wavenet.signal(audio, None))))

    def skips(self, signal: Signal) -> Tensor:
        """The sum of the WaveNet's skips (B, T, C), at each time from the samples before it."""
        wavenet = self.wavenet
        if signal.codes is None:
            x = wavenet.input(wavenet.inputs(signal))
        else:
            past = F.pad(signal.codes, (1, 0), value=mu_law.SILENCE)[:, :-1]
            x = wavenet.input.of_codes(past)
            if torch.is_autocast_enabled(x.device.type):  # autocast does not apply to look-ups
                x = x.to(torch.get_autocast_dtype(x.device.type))
        # A single block of zero conditioning spans the whole audio.
        local = x.new_zeros(len(x), 1, self.config.wavenet.conditioning.channels)
        skips: Tensor = wavenet.stack(x, wavenet.stack.project(local, x.new_ones(len(x), 1)))
        return skips

    def pooled(self, skips: Tensor) -> Tensor:
        """Skips (B, T, C) -> means over frames (B, F, C), after a ReLU as in the WaveNet's head."""
        return F.relu(skips).unflatten(1, (-1, self.config.pool)).mean(2)

    def label(self, pooled: Tensor, mask: Tensor | None = None) -> Tensor:
        """Means (B, F, C) -> logits (B, F, K), float32; padding has no influence."""
        there = pooled.new_ones(pooled.shape[:2]) if mask is None else mask.to(pooled.dtype)
        there = there.unsqueeze(2)
        x = self.input(pooled)
        for layer in self.layers:
            x = layer(x, there)
        logits: Tensor = self.output(self.norm(x)).float()
        return logits
