"""Every setting of the model and its features, as strict frozen pydantic models.

Unknown keys are errors, and derived values are properties, so a configuration on disk holds each
fact once.
"""

import json
import math
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vocoder.errors import ConfigError


class StrictModel(BaseModel):
    """Base of every configuration: strict types, immutable, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @classmethod
    def parse(cls, data: dict[str, Any], where: str) -> Self:
        """Validate plain data read from ``where`` (TOML or JSON).

        Raises:
            ConfigError: one line that names the key, the value and what is expected.
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
    """How audio becomes a log-mel spectrogram. All of it is the features' fingerprint."""

    sample_rate_hz: int = Field(16000, ge=4000, le=96000, description="samples a second")
    n_fft: int = Field(1024, ge=32, le=16384, description="FFT length in samples")
    win_length: int = Field(1024, ge=16, le=16384, description="Hann window length in samples")
    hop_length: int = Field(200, ge=1, le=8192, description="samples a frame")
    n_mels: int = Field(80, ge=1, le=512, description="mel bands (Slaney scale and area norm)")
    f_min_hz: float = Field(0.0, ge=0.0, description="lower edge of the first band")
    f_max_hz: float = Field(8000.0, gt=0.0, description="upper edge of the last band")
    log_base: Literal["e"] = Field("e", description="base of the logarithm of mel power")
    log_floor: float = Field(1e-10, gt=0.0, lt=1e-2, description="least mel power before the log")
    normalisation: Literal["none"] = Field("none", description="what is done after the log")

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
        """Frames a second."""
        return self.sample_rate_hz / self.hop_length

    def fingerprint(self) -> dict[str, str]:
        """The settings as text, in the order of the fields: what a feature file carries."""
        return {key: str(value) for key, value in self.model_dump().items()}

    def frames(self, samples: int) -> int:
        """Frames that cover ``samples`` samples, the last one padded with zeros."""
        return -(-samples // self.hop_length)


class StackConfig(StrictModel):
    """One stack of dilated residual layers (van den Oord et al. 2016, section 2)."""

    cycles: int = Field(2, ge=1, le=32, description="repetitions of the dilations 1, 2, 4, ...")
    layers_per_cycle: int = Field(10, ge=1, le=16, description="layers in a cycle")
    kernel_size: int = Field(2, ge=2, le=8, description="taps of each dilated convolution")
    residual_channels: int = Field(64, ge=1, le=2048, description="width of the residual path")
    gate_channels: int = Field(128, ge=2, le=4096, description="both halves of the gated unit")
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
        """Samples one output depends on, in the dilated layers: 1 + (k-1) sum(dilations)."""
        return 1 + (self.kernel_size - 1) * sum(self.dilations)


class MuLawConfig(StrictModel):
    """Categorical output over mu-law codes (van den Oord et al. 2016, section 2.2)."""

    kind: Literal["mu_law"] = "mu_law"
    classes: Literal[256] = Field(256, description="mu-law codes; mu is 255")

    @property
    def parameters(self) -> int:
        """Outputs of the network a sample."""
        return self.classes


class LogisticsConfig(StrictModel):
    """Mixture of logistics over 16-bit samples (Salimans et al. 2017, arXiv 1701.05517)."""

    kind: Literal["logistics"] = "logistics"
    components: int = Field(10, ge=1, le=64, description="mixture components K")
    log_scale_min: float = Field(-7.0, le=0.0, description="floor of the log-scales")

    @property
    def parameters(self) -> int:
        """Outputs of the network a sample: weight, location and log-scale of each component."""
        return 3 * self.components


class GaussianConfig(StrictModel):
    """One Gaussian over 16-bit samples (Ping et al. 2018, ClariNet, arXiv 1807.07281)."""

    kind: Literal["gaussian"] = "gaussian"
    log_scale_min: float = Field(-7.0, le=0.0, description="floor of the log-scale")

    @property
    def parameters(self) -> int:
        """Outputs of the network a sample: location and log-scale."""
        return 2


DistributionConfig = Annotated[
    MuLawConfig | LogisticsConfig | GaussianConfig, Field(discriminator="kind")
]


class ContextConfig(StrictModel):
    """A context stack: a smaller stack over a long past, at a lower rate.

    van den Oord et al. 2016, section 2.6. Every ``pool`` samples it takes a step, and what it gives
    conditions the main stack for the ``pool`` samples that follow.
    """

    pool: int = Field(ge=1, description="samples of one of its steps; divides hop_length")
    stack: StackConfig = Field(description="its dilated layers")
    channels: int = Field(32, ge=1, le=1024, description="width of what it gives the main stack")

    @property
    def receptive_field(self) -> int:
        """Past samples that what it gives depends on."""
        return self.pool * self.stack.receptive_field


class LinearPredictionConfig(StrictModel):
    """Linear prediction from the mel (after LPCNet, Valin and Skoglund 2019, arXiv 1810.11846).

    With linguistic conditioning the mel is itself predicted from the features and the speaker.
    """

    order: int = Field(16, ge=1, le=512, description="taps of the predictor")
    lag_window_hz: float = Field(
        40.0, ge=0.0, description="Gaussian lag window, standard deviation"
    )
    noise_floor: float = Field(1e-4, gt=0.0, lt=1.0, description="white noise added, of the power")


class ConditioningConfig(StrictModel):
    """Local conditioning: a frame-rate encoder, transposed convolutions, then a hold."""

    kind: Literal["mel", "linguistic", "none"] = Field(
        "mel", description="which features condition it"
    )
    linguistic_channels: int = Field(
        0, ge=0, le=4096, description="channels of linguistic features; training fills it in"
    )
    encoder_channels: int = Field(64, ge=1, le=2048, description="width of the encoder")
    encoder_layers: int = Field(2, ge=0, le=16, description="residual layers of the encoder")
    channels: int = Field(64, ge=1, le=2048, description="width of the conditioning signal")
    upsample: tuple[int, ...] = Field((5,), description="strides of the transposed convolutions")

    @property
    def margin(self) -> int:
        """Frames on each side of a frame that its conditioning depends on."""
        return 0 if self.kind == "none" else 2 + self.encoder_layers + len(self.upsample)


class ModelConfig(StrictModel):
    """A WaveNet: its stacks, its output distribution and what conditions it."""

    features: FeatureConfig = FeatureConfig()
    stack: StackConfig = StackConfig()
    contexts: tuple[ContextConfig, ...] = Field((), max_length=8, description="context stacks")
    distribution: DistributionConfig = MuLawConfig()
    conditioning: ConditioningConfig = ConditioningConfig()
    speakers: tuple[str, ...] = Field(
        ("default",), min_length=1, description="names, one-hot order"
    )
    tags: tuple[str, ...] = Field((), description="names of what may be said of a recording")
    pre_emphasis: float = Field(0.0, ge=0.0, lt=1.0, description="coefficient; 0 leaves it out")
    linear_prediction: LinearPredictionConfig | None = Field(None, description="off in the paper")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        hop, upsample = self.features.hop_length, self.conditioning.upsample
        if any(scale < 1 for scale in upsample) or hop % math.prod(upsample):
            raise ValueError(f"upsample {list(upsample)} does not divide hop_length {hop}")
        for name, names in (("speakers", self.speakers), ("tags", self.tags)):
            if len(set(names)) != len(names):
                raise ValueError(f"{name} {list(names)} has a name twice")
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
        """Samples for which the conditioning stays constant; 1 is upsampling to the sample rate."""
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
    def global_channels(self) -> int:
        """Channels of global conditioning: the speaker's one-hot, then the tags."""
        return len(self.speakers) + len(self.tags)

    @property
    def context_channels(self) -> int:
        """Channels that all context stacks together give the main stack."""
        return sum(context.channels for context in self.contexts)

    @property
    def receptive_field(self) -> int:
        """Past samples that one output of the main stack depends on, input convolution included."""
        return self.stack.receptive_field + self.stack.kernel_size - 1

    @property
    def context_field(self) -> int:
        """Past samples that the context stacks depend on; 0 without them."""
        return max((context.receptive_field for context in self.contexts), default=0)


class AcousticConfig(StrictModel):
    """The acoustic model: phones and speaker to durations, F0, energy and log-mel."""

    encoder_channels: int = Field(160, ge=1, le=2048, description="width at the phone rate")
    encoder_layers: int = Field(4, ge=0, le=32, description="residual layers at the phone rate")
    prosody_channels: int = Field(96, ge=1, le=2048, description="width of the F0 predictor")
    prosody_layers: int = Field(4, ge=0, le=32, description="residual layers of the F0 predictor")
    decoder_channels: int = Field(192, ge=1, le=2048, description="width of the mel decoder")
    decoder_layers: int = Field(5, ge=0, le=32, description="residual layers of the mel decoder")
    refiner_channels: int = Field(128, ge=1, le=2048, description="width of the refiner")
    refiner_layers: int = Field(5, ge=0, le=32, description="residual layers of the refiner")
    refiner_steps: int = Field(6, ge=0, le=64, description="its steps; 0 leaves the mel smooth")
    refiner_spread: float = Field(0.7, ge=0.0, le=2.0, description="factor of its noise")
    kernel_size: int = Field(5, ge=1, le=31, description="taps of each convolution, odd")
    dropout: float = Field(0.1, ge=0.0, lt=1.0, description="in training")

    @model_validator(mode="after")
    def _odd_kernel(self) -> Self:
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size {self.kernel_size} must be odd")
        return self


class AlignerConfig(StrictModel):
    """The aligner: log-mel to a distribution over phonemes at each frame."""

    channels: int = Field(192, ge=1, le=2048, description="width")
    layers: int = Field(3, ge=0, le=32, description="residual layers")
    kernel_size: int = Field(5, ge=1, le=31, description="taps of each convolution, odd")
    dropout: float = Field(0.1, ge=0.0, lt=1.0, description="in training")
    prior_scale: float = Field(0.5, ge=0.0, le=1.0, description="exponent of the label prior")


class GenerationConfig(StrictModel):
    """How a voice's audio is drawn and finished. None of it is the model's; all of it is heard."""

    temperature: float = Field(1.0, gt=0.0, le=2.0, description="factor of the sampling spread")
    correction_passes: int = Field(
        0, ge=0, le=8, description="spectral correction towards the mel; 0 for the bare WaveNet"
    )
    correction_limit_db: float = Field(
        12.0, gt=0.0, le=60.0, description="largest gain or loss of a band in one pass"
    )
