"""A model of images: the likelihood of each pixel given those before it, and drawing from it.

Images are levels (B, H, W, C), int64: channels last, like all maps of the networks. A spectrogram
is an image with frames as rows, bands as columns, and one channel.
"""

import torch
from torch import Tensor, nn

from vocoder.errors import ImageError
from vocoder.pixel import outputs
from vocoder.pixel.condition import Condition, check_condition
from vocoder.pixel.config import (
    DiagonalLstmConfig,
    GatedPixelCnnConfig,
    PixelCnnConfig,
    PixelCnnPlusPlusConfig,
    PixelConfig,
    RowLstmConfig,
)
from vocoder.pixel.gated_pixel_cnn import GatedPixelCnn
from vocoder.pixel.pixel_cnn import PixelCnn
from vocoder.pixel.pixel_cnn_plus_plus import PixelCnnPlusPlus
from vocoder.pixel.pixel_rnn import PixelRnn

Network = PixelCnn | GatedPixelCnn | PixelCnnPlusPlus | PixelRnn


class PixelModel(nn.Module):
    """Any member of the family: a network and an output."""

    def __init__(self, config: PixelConfig) -> None:
        super().__init__()
        self.config = config
        self.network = _network(config)

    def parameters_of(self, image: Tensor, condition: Condition | None = None) -> Tensor:
        """Parameters of each pixel's distribution given the pixels before it (B, H, W, P).

        Raises:
            ImageError: as :meth:`nll`.
        """
        self.check(image, condition)
        x = outputs.scaled(self.config, image).to(next(self.parameters()).dtype)
        parameters: Tensor = self.network(x, condition)
        return parameters

    def nll(self, image: Tensor, condition: Condition | None = None) -> Tensor:
        """Negative log-likelihood of each pixel in nats, summed over its channels (B, H, W).

        Args:
            image: levels (B, H, W, C), int64.
            condition: class and map, as the model was trained with.

        Raises:
            ImageError: the image or the condition has the wrong shape, type or levels.
        """
        return outputs.nll(self.config, self.parameters_of(image, condition), image)

    def check(self, image: Tensor, condition: Condition | None = None) -> None:
        """Refuse what the model cannot read.

        Raises:
            ImageError: as :meth:`nll`.
        """
        config = self.config
        if image.dtype != torch.int64 or image.ndim != 4 or image.shape[-1] != config.channels:
            raise ImageError(
                f"the image has shape {tuple(image.shape)} and type {image.dtype}, expected "
                f"(batch, rows, columns, {config.channels}) and int64"
            )
        check_size(config, image.shape[1], image.shape[2])
        if image.numel() and not 0 <= int(image.min()) <= int(image.max()) < config.levels:
            raise ImageError(
                f"the image has levels from {int(image.min())} to {int(image.max())}, expected 0 "
                f"to {config.levels - 1}"
            )
        check_condition(config, condition, *image.shape[:3])


def check_size(config: PixelConfig, height: int, width: int) -> None:
    """Refuse images that are empty, or that the network cannot halve.

    Raises:
        ImageError: with the size and what would be right.
    """
    if height < 1 or width < 1:
        raise ImageError(f"the image has {height} rows and {width} columns, expected at least 1")
    if isinstance(config.network, PixelCnnPlusPlusConfig):
        unit = 2**config.network.downsamplings
        if height % unit or width % unit:
            raise ImageError(
                f"the image has {height} rows and {width} columns; a network with "
                f"{config.network.downsamplings} downsamplings needs multiples of {unit}"
            )


def _network(config: PixelConfig) -> Network:
    network, channels = config.network, config.channels
    parameters = outputs.parameters_of_a_channel(config)
    if isinstance(network, PixelCnnConfig):
        return PixelCnn(network, channels, parameters)
    if isinstance(network, GatedPixelCnnConfig):
        return GatedPixelCnn(network, channels, parameters, config.classes, config.map_channels)
    if isinstance(network, RowLstmConfig | DiagonalLstmConfig):
        return PixelRnn(network, channels, parameters)
    whole = outputs.parameters_of_a_pixel(config)
    return PixelCnnPlusPlus(network, channels, whole, config.classes, config.map_channels)
