"""Settings of the autoregressive models of images."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vocoder.config import StrictModel


class BinaryOutput(StrictModel):
    """One logit for each channel; the image has two levels."""

    kind: Literal["binary"] = "binary"


class SoftmaxOutput(StrictModel):
    """A softmax over the levels for each channel (van den Oord et al. 2016, section 2)."""

    kind: Literal["softmax"] = "softmax"


class MixtureOutput(StrictModel):
    """A discretised mixture of logistics (Salimans et al. 2017, section 2.1)."""

    kind: Literal["mixture"] = "mixture"
    components: int = Field(10, ge=1, le=64, description="number of mixture components K")
    log_scale_min: float = Field(-7.0, le=0.0, description="lower bound of the log-scales")


OutputConfig = Annotated[BinaryOutput | SoftmaxOutput | MixtureOutput, Field(discriminator="kind")]


class _Kernels(StrictModel):
    first_kernel: int = Field(
        7, ge=3, le=31, description="kernel size of the first convolution, odd"
    )
    kernel_size: int = Field(3, ge=3, le=15, description="kernel size of the other layers, odd")

    @model_validator(mode="after")
    def _odd(self) -> Self:
        for name in ("first_kernel", "kernel_size"):
            if getattr(self, name) % 2 == 0:
                raise ValueError(f"{name} {getattr(self, name)} must be odd")
        return self


class PixelCnnConfig(_Kernels):
    """PixelCNN: residual blocks of masked convolutions (van den Oord et al. 2016, section 3.5)."""

    kind: Literal["pixel_cnn"] = "pixel_cnn"
    hidden_channels: int = Field(32, ge=1, le=1024, description="h: blocks are 2 h wide outside")
    layers: int = Field(15, ge=1, le=128, description="number of residual blocks")
    head_channels: int = Field(64, ge=1, le=4096, description="width of the 1x1 layers at the end")


class GatedPixelCnnConfig(_Kernels):
    """Gated PixelCNN: a vertical and a horizontal stack (van den Oord et al. 2016b)."""

    kind: Literal["gated_pixel_cnn"] = "gated_pixel_cnn"
    hidden_channels: int = Field(32, ge=1, le=1024, description="width of each stack")
    layers: int = Field(12, ge=1, le=128, description="number of gated layers")
    head_channels: int = Field(64, ge=1, le=4096, description="width of the 1x1 layers at the end")


class PixelCnnPlusPlusConfig(StrictModel):
    """PixelCNN++: whole pixels, strided halves and short-cuts (Salimans et al. 2017)."""

    kind: Literal["pixel_cnn_plus_plus"] = "pixel_cnn_plus_plus"
    hidden_channels: int = Field(32, ge=1, le=1024, description="width of each stream")
    layers: int = Field(3, ge=1, le=16, description="gated layers at each resolution and half")
    downsamplings: int = Field(
        2, ge=0, le=4, description="halvings of the resolution; the image is a multiple of 2 ^ this"
    )
    shortcuts: bool = Field(True, description="whether the second half sees the first half's maps")
    dropout: float = Field(0.5, ge=0.0, lt=1.0, description="dropout rate in training")


class _PixelRnnConfig(_Kernels):
    hidden_channels: int = Field(
        16, ge=1, le=1024, description="h: states of each direction; layers are 2 h wide outside"
    )
    layers: int = Field(7, ge=1, le=64, description="number of LSTM layers")
    residual: bool = Field(True, description="whether a layer's input is added to its output")
    head_channels: int = Field(64, ge=1, le=4096, description="width of the 1x1 layers at the end")


class RowLstmConfig(_PixelRnnConfig):
    """PixelRNN with Row LSTM layers: a triangular receptive field (section 3.1)."""

    kind: Literal["row_lstm"] = "row_lstm"


class DiagonalLstmConfig(_PixelRnnConfig):
    """PixelRNN with Diagonal BiLSTM layers: the whole receptive field (section 3.2)."""

    kind: Literal["diagonal_lstm"] = "diagonal_lstm"


NetworkConfig = Annotated[
    PixelCnnConfig
    | GatedPixelCnnConfig
    | PixelCnnPlusPlusConfig
    | RowLstmConfig
    | DiagonalLstmConfig,
    Field(discriminator="kind"),
]


class PixelConfig(StrictModel):
    """A model of images: its network, its output, and what conditions it."""

    channels: int = Field(1, ge=1, le=16, description="channels of a pixel, in the order R, G, B")
    levels: int = Field(256, ge=2, le=65536, description="levels of a channel, from 0")
    network: NetworkConfig = PixelCnnConfig()
    output: OutputConfig = SoftmaxOutput()
    classes: int = Field(0, ge=0, description="number of classes of images; 0 for no class")
    map_channels: int = Field(
        0, ge=0, le=4096, description="channels of a map that conditions each pixel; 0 for none"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.output.kind == "binary" and self.levels != 2:
            raise ValueError(f"output.kind 'binary' needs levels 2, not {self.levels}")
        whole = self.network.kind == "pixel_cnn_plus_plus"
        if whole and self.channels > 1 and self.output.kind != "mixture":
            raise ValueError(
                "pixel_cnn_plus_plus predicts all channels of a pixel at once: set output.kind to "
                "'mixture', which couples them"
            )
        conditional = ("gated_pixel_cnn", "pixel_cnn_plus_plus")
        if (self.classes or self.map_channels) and self.network.kind not in conditional:
            raise ValueError(
                f"network.kind {self.network.kind!r} is unconditional: set classes and "
                f"map_channels to 0, or choose one of {', '.join(conditional)}"
            )
        hidden = self.network.hidden_channels
        if not whole and hidden < self.channels:
            raise ValueError(
                f"network.hidden_channels {hidden} must be at least channels, {self.channels}: "
                "each channel has its own features"
            )
        return self

    @property
    def coupled(self) -> bool:
        """Whether the network sees whole pixels, and the output couples their channels."""
        return self.network.kind == "pixel_cnn_plus_plus"
