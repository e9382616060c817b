"""The optimiser's step: gradient clipping, Adam, and the moving average of the weights."""

import torch
from torch import Tensor, nn


class MovingAverage:
    """Exponential moving average of a model's weights: what is evaluated and shipped."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: p.detach().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the model's weights; early steps move further, to forget the start."""
        decay = min(self.decay, (1 + step) / (10 + step))
        current = [p.detach() for _, p in model.named_parameters()]
        torch._foreach_lerp_(list(self.weights.values()), current, 1 - decay)

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Write the averaged weights into a model of the same shape."""
        for name, parameter in model.named_parameters():
            parameter.copy_(self.weights[name])


def clip_gradients(model: nn.Module, limit: float) -> Tensor:
    """Scale the gradients down to the norm ``limit``; returns the norm before."""
    return nn.utils.clip_grad_norm_(model.parameters(), limit)
