"""Recognition: a WaveNet on raw audio that also says which phoneme is heard.

van den Oord et al. 2016, section 3.4: after the dilated convolutions a mean pooling to frames of
10 ms, then a few non-causal convolutions; trained with two losses, one to predict the next sample
and one to classify the frame.
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
"""Initial weights: of the companded sample, of the skips, of their means over a frame."""


class RecogniserConfig(StrictModel):
    """A recogniser: the WaveNet below, the frames, the non-causal layers above."""

    wavenet: ModelConfig = Field(description="unconditional, without context stacks")
    pool: int = Field(160, ge=1, le=16384, description="samples of a frame")
    channels: int = Field(128, ge=1, le=2048, description="width of the non-causal layers")
    layers: int = Field(6, ge=0, le=32, description="non-causal residual layers")
    kernel_size: int = Field(5, ge=1, le=31, description="frames of each convolution, odd")
    dropout: float = Field(0.1, ge=0.0, lt=1.0, description="in training")
    labels: tuple[str, ...] = Field(
        (), description="what a frame may be, in the order of the outputs; training fills it in"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size {self.kernel_size} must be odd")
        if self.wavenet.conditioning.kind != "none":
            raise ValueError("wavenet.conditioning.kind must be 'none': nothing but audio is heard")
        if self.wavenet.contexts or self.wavenet.global_channels != 1:
            raise ValueError("wavenet takes no contexts, no tags and one speaker here")
        return self

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the audio."""
        return self.wavenet.features.sample_rate_hz

    @property
    def frame_rate_hz(self) -> float:
        """Frames a second."""
        return self.sample_rate_hz / self.pool

    @property
    def margin(self) -> int:
        """Frames on each side of a frame that its label depends on."""
        return self.layers * (self.kernel_size // 2)

    @property
    def warm_up(self) -> int:
        """Frames before a frame whose samples it hears through the WaveNet."""
        return -(-self.wavenet.receptive_field // self.pool)


class Heard(NamedTuple):
    """What a recogniser makes of audio.

    Attributes:
        logits: of each label at each frame (B, F, K), float32.
        nll: negative log-likelihood in nats of each predicted sample (B, S), float32.
    """

    logits: Tensor
    nll: Tensor


class NonCausalBlock(nn.Module):
    """One layer at the frame rate, ``x + W gated_unit(conv(norm(x)))``, of past and future."""

    def __init__(self, channels: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.conv = nn.Conv1d(channels, 2 * channels, kernel_size, padding=kernel_size // 2)
        self.residual = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Frames (B, F, C) and 1 for those that are there, 0 for padding (B, F, 1) -> (B, F, C)."""
        inner = self.conv((self.norm(x) * mask).transpose(1, 2)).transpose(1, 2)
        return x + self.dropout(self.residual(gated_unit(inner)))


class PhonemeRecogniser(nn.Module):
    """An unconditional WaveNet, mean pooling, non-causal layers and a label for each frame."""

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
        # PyTorch's own start leaves one-hot codes so small and so unordered that all frames look
        # alike for hundreds of steps: begin with the codes' order and with units near one.
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
        """Labels of the frames, and the likelihood of the samples.

        Args:
            audio: samples in [-1, 1) (B, T), T = F * pool.
            mask: 1 for frames that are there, 0 for padding (B, F); all are where None.
            predicted: the samples whose likelihood is wanted.
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
        """Labels alone: audio (B, T), T = F * pool -> (B, F, K), float32."""
        return self.label(self.pooled(self.skips(self.wavenet.signal(audio, None))))

    def skips(self, signal: Signal) -> Tensor:
        """The sum of the WaveNet's skips (B, T, C): at each time, of the samples before it."""
        wavenet = self.wavenet
        if signal.codes is None:
            x = wavenet.input(wavenet.inputs(signal))
        else:
            past = F.pad(signal.codes, (1, 0), value=mu_law.SILENCE)[:, :-1]
            x = wavenet.input.of_codes(past)
            if torch.is_autocast_enabled(x.device.type):  # a look-up is no product: not cast by it
                x = x.to(torch.get_autocast_dtype(x.device.type))
        # One block of conditioning, which holds nothing, for as long as the audio is.
        local = x.new_zeros(len(x), 1, self.config.wavenet.conditioning.channels)
        skips: Tensor = wavenet.stack(x, wavenet.stack.project(local, x.new_ones(len(x), 1)))
        return skips

    def pooled(self, skips: Tensor) -> Tensor:
        """Skips (B, T, C), rectified as for the WaveNet's own head -> their means (B, F, C)."""
        return F.relu(skips).unflatten(1, (-1, self.config.pool)).mean(2)

    def label(self, pooled: Tensor, mask: Tensor | None = None) -> Tensor:
        """Means (B, F, C) -> logits (B, F, K), float32; padding is not heard."""
        there = pooled.new_ones(pooled.shape[:2]) if mask is None else mask.to(pooled.dtype)
        there = there.unsqueeze(2)
        x = self.input(pooled)
        for layer in self.layers:
            x = layer(x, there)
        logits: Tensor = self.output(self.norm(x)).float()
        return logits
