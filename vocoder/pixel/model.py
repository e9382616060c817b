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
from vocoder.pixel.generation import Drawing, Network, check_known
from vocoder.pixel.pixel_cnn import PixelCnn
from vocoder.pixel.pixel_cnn_plus_plus import PixelCnnPlusPlus
from vocoder.pixel.pixel_rnn import PixelRnn


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

    def start(self, batch: int, width: int, *, temperature: float = 1.0) -> Drawing:
        """Start to draw ``batch`` images of ``width`` columns, row by row; see :class:`Drawing`.

        Raises:
            ImageError: the network cannot halve the width, or the temperature is not positive.
        """
        check_size(self.config, 2**self._halvings, width)
        return Drawing(self.network, self.config, batch, width, temperature=temperature)

    def generate(
        self, condition: Condition | None, noise: Tensor, *, temperature: float = 1.0
    ) -> Tensor:
        """Draw images; the same noise draws the same images.

        Args:
            condition: class and map, as the model was trained with.
            noise: uniforms in (0, 1) (B, H, W, C, 2), float32.
            temperature: scale of the sampling spread; 1 draws from the model's own distribution.

        Returns:
            Levels (B, H, W, C), int64.

        Raises:
            ImageError: the noise or the condition has the wrong shape.
        """
        if noise.ndim != 5:
            raise ImageError(
                f"the noise has shape {tuple(noise.shape)}, expected (batch, rows, columns, "
                f"{self.config.channels}, 2)"
            )
        check_size(self.config, noise.shape[1], noise.shape[2])
        drawing = self.start(noise.shape[0], noise.shape[2], temperature=temperature)
        return drawing.rows(noise, condition)

    def complete(
        self,
        image: Tensor,
        known: Tensor,
        noise: Tensor,
        condition: Condition | None = None,
        *,
        temperature: float = 1.0,
    ) -> Tensor:
        """Draw the missing pixels, each given the pixels before it.

        Args:
            image: levels (B, H, W, C), int64; those of missing pixels are not read.
            known: which pixels are kept (B, H, W), bool.
            noise, condition, temperature: as in :meth:`generate`.

        Returns:
            Levels (B, H, W, C), int64.

        Raises:
            ImageError: something has the wrong shape, type or levels.
        """
        check_known(image, known, tuple(noise.shape[:4]))
        kept = torch.where(known.unsqueeze(-1), image, torch.zeros_like(image))
        self.check(kept, condition)
        drawing = self.start(len(image), image.shape[2], temperature=temperature)
        return drawing.rows(noise, condition, image=kept, known=known)

    @property
    def _halvings(self) -> int:
        network = self.config.network
        return network.downsamplings if isinstance(network, PixelCnnPlusPlusConfig) else 0

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
