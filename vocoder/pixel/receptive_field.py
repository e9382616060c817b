"""The receptive field of a model, measured by gradients."""

import torch
from torch import Tensor

from vocoder.pixel.model import PixelModel


def influence(
    model: PixelModel, height: int, width: int, row: int, column: int, channel: int | None = None
) -> Tensor:
    """How much each input of a random image changes a pixel's parameters (H, W, C), float64.

    Args:
        model: in evaluation mode; it is not changed.
        height: rows of the image.
        width: columns of the image.
        row: of the pixel.
        column: of the pixel.
        channel: whose parameters; None for all of a pixel's.

    Returns:
        The absolute gradient of a random combination of the parameters; exactly 0 where unseen.
    """
    config = model.config
    network = type(model)(config).double().eval()
    network.load_state_dict(model.state_dict())
    generator = torch.Generator().manual_seed(0)
    shape = (1, height, width, config.channels)
    image = torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1
    image.requires_grad_()
    parameters = network.network(image, None)[0, row, column]
    if channel is not None:
        parameters = parameters.unflatten(0, (config.channels, -1))[channel]
    mixed = torch.randn(parameters.shape, generator=generator, dtype=torch.float64) * parameters
    (gradient,) = torch.autograd.grad(mixed.sum(), image)
    return gradient[0].abs()
