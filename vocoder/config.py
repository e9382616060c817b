"""All settings of the models and their features, as strict frozen pydantic models.

Unknown keys are errors. Derived values are properties, so a configuration file states each fact
once. The module is long because a model's settings check each other, and a reader wants them all.
"""

import json
import math
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vocoder.errors import ConfigError


class StrictModel(BaseModel):
    """Base of every configuration: strict types, immutable, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @classmethod
    def parse(cls, data: dict[str, Any], where: str) -> Self:
        """Validate plain data read from ``where``, a TOML or JSON file.

        Raises:
            ConfigError: one line that names the key and the expected value.
        """
        try:
            return cls.model_validate_json(json.dumps(data))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"]) or "(root)"
            message = first["msg"].removeprefix("Value error, ")
            if first["type"] == "extra_forbidden":
                known = ", ".join(sorted(cls.model_fields))
                message = f"unknown key (known keys at the top: {known})"
            raise ConfigError(f"{where}: {key}: {message}", param=key) from None


class FeatureConfig(StrictModel):
    """Parameters of the log-mel spectrogram. All of them form the features' fingerprint."""

    sample_rate_hz: int = Field(16000, ge=4000, le=96000, description="sample rate in Hz")
    n_fft: int = Field(1024, ge=32, le=16384, description="FFT length in samples")
    win_length: int = Field(1024, ge=16, le=16384, description="Hann window length in samples")
    hop_length: int = Field(200, ge=1, le=8192, description="samples per frame")
    n_mels: int = Field(80, ge=1, le=512, description="number of mel bands (Slaney scale and norm)")
    f_min_hz: float = Field(0.0, ge=0.0, description="lower edge of the first band in Hz")
    f_max_hz: float = Field(8000.0, gt=0.0, description="upper edge of the last band in Hz")
    log_base: Literal["e"] = Field("e", description="base of the logarithm of mel power")
    log_floor: float = Field(1e-10, gt=0.0, lt=1e-2, description="minimum mel power before the log")
    normalisation: Literal["none"] = Field("none", description="normalisation after the log")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.win_length > self.n_fft:
            raise ValueError(f"win_length {self.win_length} exceeds n_fft {self.n_fft}")
        if self.hop_length > self.win_length:
            raise ValueError(
                f"hop_length {self.hop_length} exceeds win_length {self.win_length}: "
                "samples between windows would be lost"
            )
        if (self.n_fft - self.hop_length) % 2:
            raise ValueError(f"n_fft {self.n_fft} minus hop_length {self.hop_length} must be even")
        if self.f_max_hz > self.sample_rate_hz / 2:
            raise ValueError(
                f"f_max_hz {self.f_max_hz:g} exceeds half of sample_rate_hz {self.sample_rate_hz}"
            )
        if self.f_min_hz >= self.f_max_hz:
            raise ValueError(f"f_min_hz {self.f_min_hz:g} is not below f_max_hz {self.f_max_hz:g}")
        return self

    @property
    def frame_rate_hz(self) -> float:
        """Frames per second."""
        return self.sample_rate_hz / self.hop_length

    def fingerprint(self) -> dict[str, str]:
        """The settings as text, in field order, as stored in a feature file."""
        return {key: str(value) for key, value in self.model_dump().items()}

    def frames(self, samples: int) -> int:
        """Number of frames that cover ``samples`` samples; the last one is padded with zeros."""
        return -(-samples // self.hop_length)


class StackConfig(StrictModel):
    """One stack of dilated residual layers (van den Oord et al. 2016, section 2)."""

    cycles: int = Field(2, ge=1, le=32, description="repetitions of the dilations 1, 2, 4, ...")
    layers_per_cycle: int = Field(10, ge=1, le=16, description="layers per cycle")
    kernel_size: int = Field(2, ge=2, le=8, description="taps of each dilated convolution")
    residual_channels: int = Field(64, ge=1, le=2048, description="width of the residual path")
    gate_channels: int = Field(
        128, ge=2, le=4096, description="channels of the gated unit, both halves"
    )
    skip_channels: int = Field(64, ge=1, le=4096, description="width of the skip path")

    @model_validator(mode="after")
    def _even_gate(self) -> Self:
        if self.gate_channels % 2:
            raise ValueError(
                f"gate_channels {self.gate_channels} must be even: it counts both halves"
            )
        return self

    @property
    def dilations(self) -> tuple[int, ...]:
        """Dilation of each layer, in samples."""
        return tuple(2**i for _ in range(self.cycles) for i in range(self.layers_per_cycle))

    @property
    def layers(self) -> int:
        """Number of residual layers L."""
        return self.cycles * self.layers_per_cycle

    @property
    def receptive_field(self) -> int:
        """Receptive field of the dilated layers in samples: 1 + (k-1) sum(dilations)."""
        return 1 + (self.kernel_size - 1) * sum(self.dilations)


class MuLawConfig(StrictModel):
    """Categorical output over mu-law codes (van den Oord et al. 2016, section 2.2)."""

    kind: Literal["mu_law"] = "mu_law"
    classes: Literal[256] = Field(256, description="number of mu-law codes; mu is 255")

    @property
    def parameters(self) -> int:
        """Network outputs per sample."""
        return self.classes


class LogisticsConfig(StrictModel):
    """Mixture of logistics over 16-bit samples (Salimans et al. 2017, arXiv 1701.05517)."""

    kind: Literal["logistics"] = "logistics"
    components: int = Field(10, ge=1, le=64, description="number of mixture components K")
    log_scale_min: float = Field(-7.0, le=0.0, description="lower bound of the log-scales")

    @property
    def parameters(self) -> int:
        """Network outputs per sample: weight, location and log-scale of each component."""
        return 3 * self.components


class GaussianConfig(StrictModel):
    """One Gaussian over 16-bit samples (Ping et al. 2018, ClariNet, arXiv 1807.07281)."""

    kind: Literal["gaussian"] = "gaussian"
    log_scale_min: float = Field(-7.0, le=0.0, description="lower bound of the log-scale")

    @property
    def parameters(self) -> int:
        """Network outputs per sample: location and log-scale."""
        return 2


DistributionConfig = Annotated[
    MuLawConfig | LogisticsConfig | GaussianConfig, Field(discriminator="kind")
]


class ContextConfig(StrictModel):
    """A context stack: a smaller stack over a long past, at a lower rate.

    van den Oord et al. 2016, section 2.6. It advances once every ``pool`` samples, and its output
    conditions the main stack for the following ``pool`` samples.
    """

    pool: int = Field(ge=1, description="samples per step; must divide hop_length")
    stack: StackConfig = Field(description="the dilated layers")
    channels: int = Field(32, ge=1, le=1024, description="width of the output to the main stack")

    @property
    def receptive_field(self) -> int:
        """Number of past samples that its output depends on."""
        return self.pool * self.stack.receptive_field


class LinearPredictionConfig(StrictModel):
    """Linear prediction from the mel (after LPCNet, Valin and Skoglund 2019, arXiv 1810.11846).

    With linguistic conditioning, the mel itself is predicted from the features and the speaker.
    """

    order: int = Field(16, ge=1, le=512, description="number of predictor taps")
    lag_window_hz: float = Field(
        40.0, ge=0.0, description="standard deviation of the Gaussian lag window in Hz"
    )
    noise_floor: float = Field(
        1e-4, gt=0.0, lt=1.0, description="added white noise, relative to the power"
    )


class ConditioningConfig(StrictModel):
    """Local conditioning: a frame-rate encoder, transposed convolutions, then a hold."""

    kind: Literal["mel", "linguistic", "none"] = Field(
        "mel", description="kind of features that condition the model"
    )
    linguistic_channels: int = Field(
        0, ge=0, le=4096, description="channels of linguistic features; set by training"
    )
    encoder_channels: int = Field(64, ge=1, le=2048, description="width of the encoder")
    encoder_layers: int = Field(
        2, ge=0, le=16, description="number of residual layers in the encoder"
    )
    channels: int = Field(64, ge=1, le=2048, description="width of the conditioning signal")
    upsample: tuple[int, ...] = Field((5,), description="strides of the transposed convolutions")

    @property
    def margin(self) -> int:
        """Number of frames on each side that a frame's conditioning depends on."""
        return 0 if self.kind == "none" else 2 + self.encoder_layers + len(self.upsample)


class ModelConfig(StrictModel):
    """A WaveNet: its stacks, output distribution and conditioning."""

    features: FeatureConfig = FeatureConfig()
    stack: StackConfig = StackConfig()
    contexts: tuple[ContextConfig, ...] = Field((), max_length=8, description="context stacks")
    distribution: DistributionConfig = MuLawConfig()
    conditioning: ConditioningConfig = ConditioningConfig()
    speakers: tuple[str, ...] = Field(
        ("default",), min_length=1, description="speaker names, in one-hot order"
    )
    tags: tuple[str, ...] = Field((), description="names of the tags that a recording may have")
    bands: Literal[1, 2, 4, 8] = Field(
        1, description="bands M of the filter bank: one step generates M samples; 1 is none"
    )
    head_channels: int = Field(
        0, ge=0, le=8192, description="width of the head's hidden layer; 0 for skip_channels"
    )
    pre_emphasis: float = Field(
        0.0, ge=0.0, lt=1.0, description="pre-emphasis coefficient; 0 disables it"
    )
    linear_prediction: LinearPredictionConfig | None = Field(
        None, description="linear prediction; None disables it, as in the WaveNet paper"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        hop, upsample = self.features.hop_length, self.conditioning.upsample
        if any(scale < 1 for scale in upsample) or hop % math.prod(upsample):
            raise ValueError(f"upsample {list(upsample)} does not divide hop_length {hop}")
        for name, names in (("speakers", self.speakers), ("tags", self.tags)):
            if len(set(names)) != len(names):
                raise ValueError(f"{name} {list(names)} contains a duplicate")
        if self.hold % self.bands:
            raise ValueError(
                f"bands {self.bands} must divide the hold, {self.hold} samples: hop_length {hop} "
                f"over upsample {list(upsample)}"
            )
        if self.bands > 1 and self.distribution.kind == "mu_law":
            raise ValueError(
                f"bands {self.bands} need distribution.kind 'logistics' or 'gaussian': mu-law "
                "codes are for whole samples"
            )
        if self.bands > 1 and self.pre_emphasis:
            raise ValueError(
                f"bands {self.bands} already divide the spectrum: set pre_emphasis to 0"
            )
        for context in self.contexts:
            if hop % context.pool or context.pool % self.hold:
                raise ValueError(
                    f"contexts: pool {context.pool} must divide hop_length {hop} and be a multiple "
                    f"of the hold, {self.hold} samples"
                )
        if self.linear_prediction and self.distribution.kind == "mu_law":
            raise ValueError("linear_prediction needs distribution.kind 'logistics' or 'gaussian'")
        if self.linear_prediction and self.conditioning.kind == "none":
            raise ValueError("linear_prediction needs conditioning.kind 'mel' or 'linguistic'")
        if self.linear_prediction and self.pre_emphasis:
            raise ValueError("linear_prediction already whitens: set pre_emphasis to 0")
        return self

    @property
    def hold(self) -> int:
        """Samples for which the conditioning is constant; 1 if upsampled to the sample rate."""
        return self.features.hop_length // math.prod(self.conditioning.upsample)

    @property
    def feature_channels(self) -> int:
        """Channels of the features that condition the model."""
        channels = {
            "mel": self.features.n_mels,
            "linguistic": self.conditioning.linguistic_channels,
            "none": 0,
        }
        return channels[self.conditioning.kind]

    @property
    def head_width(self) -> int:
        """Channels of the head's hidden layer."""
        return self.head_channels or self.stack.skip_channels

    @property
    def global_channels(self) -> int:
        """Channels of global conditioning: the speaker's one-hot, then the tags."""
        return len(self.speakers) + len(self.tags)

    @property
    def context_channels(self) -> int:
        """Total output channels of all context stacks."""
        return sum(context.channels for context in self.contexts)

    @property
    def receptive_field(self) -> int:
        """Receptive field of the main stack in samples, including the input convolution.

        With bands it counts band samples.
        """
        return self.bands * (self.stack.receptive_field + self.stack.kernel_size - 1)

    @property
    def context_field(self) -> int:
        """Number of past samples that the context stacks depend on; 0 without them."""
        return max((context.receptive_field for context in self.contexts), default=0)


class AcousticConfig(StrictModel):
    """The acoustic model: from phones and speaker to durations, F0, energy and log-mel."""

    encoder_channels: int = Field(160, ge=1, le=2048, description="width at the phone rate")
    encoder_layers: int = Field(4, ge=0, le=32, description="residual layers at the phone rate")
    prosody_channels: int = Field(96, ge=1, le=2048, description="width of the F0 predictor")
    prosody_layers: int = Field(4, ge=0, le=32, description="residual layers of the F0 predictor")
    decoder_channels: int = Field(192, ge=1, le=2048, description="width of the mel decoder")
    decoder_layers: int = Field(5, ge=0, le=32, description="residual layers of the mel decoder")
    refiner_channels: int = Field(128, ge=1, le=2048, description="width of the refiner")
    refiner_layers: int = Field(5, ge=0, le=32, description="residual layers of the refiner")
    refiner_steps: int = Field(
        6, ge=0, le=64, description="refinement steps; 0 leaves the mel smooth"
    )
    refiner_spread: float = Field(0.7, ge=0.0, le=2.0, description="scale of the refiner's noise")
    kernel_size: int = Field(5, ge=1, le=31, description="kernel size of each convolution, odd")
    dropout: float = Field(0.1, ge=0.0, lt=1.0, description="dropout rate in training")

    @model_validator(mode="after")
    def _odd_kernel(self) -> Self:
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size {self.kernel_size} must be odd")
        return self


class AlignerConfig(StrictModel):
    """The aligner: from log-mel to a distribution over phonemes at each frame."""

    channels: int = Field(192, ge=1, le=2048, description="width of the layers")
    layers: int = Field(3, ge=0, le=32, description="number of residual layers")
    kernel_size: int = Field(5, ge=1, le=31, description="kernel size of each convolution, odd")
    dropout: float = Field(0.1, ge=0.0, lt=1.0, description="dropout rate in training")
    prior_scale: float = Field(0.5, ge=0.0, le=1.0, description="exponent of the label prior")


class ContrastConfig(StrictModel):
    """Contrast added to a predicted log-mel, which is smoother than a recording's.

    See :mod:`vocoder.features.spectral_contrast`.
    """

    frequency: float = Field(
        1.25, ge=0.5, le=2.0, description="factor of the cepstral coefficients; 1 disables it"
    )
    first: int = Field(2, ge=1, le=512, description="first coefficient that is multiplied")
    last: int = Field(24, ge=1, le=512, description="last coefficient that is multiplied")
    keep_level: bool = Field(True, description="whether each frame keeps its power")
    time: float = Field(
        0.3,
        ge=0.0,
        le=1.0,
        description="share of each frame's difference from the mean of the frames around it that "
        "is added again; 0 disables it",
    )
    frames: int = Field(9, ge=1, le=63, description="frames in that mean, odd")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.last < self.first:
            raise ValueError(f"last {self.last} is below first {self.first}")
        if self.frames % 2 == 0:
            raise ValueError(f"frames {self.frames} must be odd")
        return self

    def scaled(self, share: float) -> Self:
        """The same filter at a share of its strength: 0 leaves a spectrum as it is."""
        frequency = 1.0 + share * (self.frequency - 1.0)
        return self.model_copy(update={"frequency": frequency, "time": share * self.time})


class GenerationConfig(StrictModel):
    """Sampling and post-processing of a voice's audio: audible settings outside the model."""

    contrast: ContrastConfig | None = Field(
        None,
        description="contrast of the spectra predicted from text; None leaves them as they are",
    )
    speaker_contrast: dict[str, ContrastConfig] = Field(
        default_factory=dict, description="the same for single speakers, by name"
    )
    temperature: float = Field(1.0, gt=0.0, le=2.0, description="scale of the sampling spread")
    correction_passes: int = Field(
        0, ge=0, le=8, description="passes of spectral correction towards the mel; 0 disables it"
    )
    correction_limit_db: float = Field(
        12.0, gt=0.0, le=60.0, description="largest change of a band in one pass, in dB"
    )
