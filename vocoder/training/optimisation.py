"""Gradient clipping and the moving average of the weights."""

import torch
from torch import Tensor, nn


class MovingAverage:
    """Exponential moving average of a model's weights, used for evaluation and export."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: p.detach().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the model's weights, faster in early steps to forget the initial weights."""
        decay = min(self.decay, (1 + step) / (10 + step))
        current = [p.detach() for _, p in model.named_parameters()]
        torch._foreach_lerp_(list(self.weights.values()), current, 1 - decay)

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Write the averaged weights into a model of the same shape."""
        for name, parameter in model.named_parameters():
            parameter.copy_(self.weights[name])


def clip_gradients(model: nn.Module, limit: float) -> Tensor:
    """Clip the gradients to the norm ``limit``; returns the norm before clipping."""
    return nn.utils.clip_grad_norm_(model.parameters(), limit)
