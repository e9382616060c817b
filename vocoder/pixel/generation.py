"""Drawing images row by row from cached features, with the noise as an input.

Images are drawn in tiles of a fixed number, so that an image does not depend on its company: a
matrix product rounds by its size. The noise of a pixel is two uniforms for each channel.
"""

import copy
from typing import Self

import torch
from torch import Tensor

from vocoder.errors import ImageError
from vocoder.pixel import outputs
from vocoder.pixel.condition import Condition, check_condition
from vocoder.pixel.config import PixelConfig
from vocoder.pixel.gated_pixel_cnn import GatedPixelCnn
from vocoder.pixel.pixel_cnn import PixelCnn
from vocoder.pixel.pixel_cnn_plus_plus import PixelCnnPlusPlus
from vocoder.pixel.pixel_rnn import PixelRnn, RowLstm
from vocoder.pixel.plus_plus_steps import PixelCnnPlusPlusSteps
from vocoder.pixel.steps import (
    DiagonalLstmSteps,
    GatedPixelCnnSteps,
    PixelCnnSteps,
    RowLstmSteps,
    Steps,
)

TILE = 8
"""Images in a tile; missing ones are drawn for nothing."""

Network = PixelCnn | GatedPixelCnn | PixelCnnPlusPlus | PixelRnn


class Drawing:
    """B images that are being drawn; all have the same rows."""

    @torch.no_grad()
    def __init__(
        self,
        network: Network,
        config: PixelConfig,
        batch: int,
        width: int,
        *,
        temperature: float = 1.0,
    ) -> None:
        """Start above the first row.

        Args:
            network: in evaluation mode; its weights must not change while it draws.
            config: of the model.
            batch: number of images B.
            width: columns W.
            temperature: scale of the sampling spread; 1 draws from the model's own distribution.

        Raises:
            ImageError: the temperature is not positive.
        """
        if not temperature > 0.0:
            raise ImageError(f"temperature {temperature} must be above 0")
        self.config, self.batch, self.width = config, batch, width
        self._network, self._temperature = network, temperature
        self._tiles = [_steps(network, TILE, width) for _ in range(-(-batch // TILE))]

    def copy(self) -> Self:
        """A copy that continues on its own, with the same weights."""
        shared = {id(module): module for module in self._network.modules()}
        return copy.deepcopy(self, shared)

    @torch.no_grad()
    def rows(
        self,
        noise: Tensor,
        condition: Condition | None = None,
        *,
        image: Tensor | None = None,
        known: Tensor | None = None,
    ) -> Tensor:
        """Draw the next rows.

        Args:
            noise: uniforms in (0, 1) (B, R, W, C, 2), float32.
            condition: its map is of these rows (B, R, W, map_channels).
            image: levels of known pixels (B, R, W, C), int64.
            known: which pixels of ``image`` are kept instead of drawn (B, R, W), bool.

        Returns:
            Levels (B, R, W, C), int64.

        Raises:
            ImageError: something has another shape.
        """
        rows = noise.shape[1] if noise.ndim > 1 else 0
        shape = (self.batch, rows, self.width, self.config.channels)
        if noise.shape != (*shape, outputs.DRAWS):
            raise ImageError(
                f"the noise has shape {tuple(noise.shape)}, expected {(*shape, outputs.DRAWS)}"
            )
        check_condition(self.config, condition, *shape[:3])
        if (image is None) != (known is None):
            raise ImageError("give both image and known, or neither")
        if image is not None and known is not None:
            check_known(image, known, shape)
        drawn = []
        for first, steps in zip(range(0, self.batch, TILE), self._tiles, strict=True):
            own = slice(first, first + TILE)
            parts = [None if x is None else _filled(x[own]) for x in (noise, image, known)]
            assert parts[0] is not None
            found = self._tile(steps, parts[0], _part(condition, own), parts[1], parts[2])
            drawn.append(found[: min(TILE, self.batch - first)])
        return torch.cat(drawn) if drawn else noise.new_zeros(shape, dtype=torch.int64)

    def _tile(
        self,
        steps: Steps,
        noise: Tensor,
        condition: Condition | None,
        image: Tensor | None,
        known: Tensor | None,
    ) -> Tensor:
        config = self.config
        batch, rows, width, channels, _ = noise.shape
        drawn = torch.zeros(batch, rows, width, channels, dtype=torch.int64, device=noise.device)
        for row in range(rows):
            own = condition
            if condition is not None and condition.map is not None:
                own = condition._replace(map=condition.map[:, row : row + 1])
            steps.begin_row(own)
            for column in range(width):
                pixel = drawn[:, row, column]
                for channel in range(1 if config.coupled else channels):
                    parameters = steps.at(column, self._scaled(pixel))
                    outputs.put(
                        config, pixel, parameters, noise[:, row, column], channel, self._temperature
                    )
                    if image is not None and known is not None:
                        kept = known[:, row, column, None]
                        pixel.copy_(torch.where(kept, image[:, row, column], pixel))
                steps.settle(column, self._scaled(pixel))
        return drawn

    def _scaled(self, pixel: Tensor) -> Tensor:
        weight = next(self._network.parameters())
        return outputs.scaled(self.config, pixel).to(weight.dtype)


def check_known(image: Tensor, known: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse known pixels of another shape or type.

    Raises:
        ImageError: with what was given and what would be right.
    """
    if image.shape != shape or image.dtype != torch.int64:
        raise ImageError(
            f"the image has shape {tuple(image.shape)} and type {image.dtype}, expected {shape} "
            "and int64"
        )
    if known.shape != shape[:3] or known.dtype != torch.bool:
        raise ImageError(
            f"known has shape {tuple(known.shape)} and type {known.dtype}, expected {shape[:3]} "
            "and bool"
        )


def _steps(network: Network, batch: int, width: int) -> Steps:
    if isinstance(network, PixelCnn):
        return PixelCnnSteps(network, batch, width)
    if isinstance(network, GatedPixelCnn):
        return GatedPixelCnnSteps(network, batch, width)
    if isinstance(network, PixelCnnPlusPlus):
        return PixelCnnPlusPlusSteps(network, batch, width)
    if isinstance(network.layers[0].lstm, RowLstm):
        return RowLstmSteps(network, batch, width)
    return DiagonalLstmSteps(network, batch, width)


def _filled(x: Tensor) -> Tensor:
    """Repeat the first image up to a whole tile."""
    return torch.cat([x, x[:1].expand(TILE - len(x), *x.shape[1:])])


def _part(condition: Condition | None, own: slice) -> Condition | None:
    if condition is None:
        return None
    return Condition(*(None if part is None else _filled(part[own]) for part in condition))
