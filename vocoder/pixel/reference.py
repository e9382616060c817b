"""Drawing images by running the whole network for every channel of every pixel.

The definition that cached drawing is tested against.
"""

import torch
from torch import Tensor

from vocoder.pixel import outputs
from vocoder.pixel.condition import Condition
from vocoder.pixel.model import PixelModel


@torch.no_grad()
def generate(
    model: PixelModel,
    condition: Condition | None,
    noise: Tensor,
    *,
    temperature: float = 1.0,
    image: Tensor | None = None,
    known: Tensor | None = None,
) -> Tensor:
    """Draw or complete images; arguments as in :meth:`PixelModel.complete`."""
    config = model.config
    batch, height, width, channels, _ = noise.shape
    drawn = torch.zeros(batch, height, width, channels, dtype=torch.int64, device=noise.device)
    for row in range(height):
        for column in range(width):
            pixel = drawn[:, row, column]
            for channel in range(1 if config.coupled else channels):
                parameters = model.parameters_of(drawn, condition)[:, row, column]
                uniforms = noise[:, row, column]
                outputs.put(config, pixel, parameters, uniforms, channel, temperature)
                if image is not None and known is not None:
                    kept = known[:, row, column, None]
                    pixel.copy_(torch.where(kept, image[:, row, column], pixel))
    return drawn
