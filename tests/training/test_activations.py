"""Recomputing layers in the backward pass gives the same gradients with less memory."""

import pytest
import torch
from conftest import CONFIGS, random_mel, random_model
from torch import Tensor

from vocoder.training.data.segments import Batch
from vocoder.training.stages import Activations
from vocoder.training.tasks.vocoder import Objective


def gradients(*, checkpointed: bool, bf16: bool) -> tuple[list[Tensor], int]:
    """Gradients of all weights, and the bytes that the forward pass kept."""
    model = random_model(CONFIGS["linear_prediction"])
    model.stack.checkpointed = checkpointed
    features = random_mel(model.config, rows=2, frames=8 + 2 * model.config.conditioning.margin)
    hop = model.config.features.hop_length
    audio = torch.randn(2, 8 * hop, generator=torch.Generator().manual_seed(1)) * 0.1
    speaker, past = torch.eye(3)[:2], torch.zeros(2, 0)
    known = torch.zeros(2, dtype=torch.int64)
    batch = Batch(audio, features, speaker, torch.ones_like(audio), past, known)
    kept = Activations(list(model.parameters()))
    with kept.counted():
        loss = Objective(model, bf16=bf16)(batch)
    loss.total.backward()
    return [p.grad for p in model.parameters() if p.grad is not None], kept.bytes


@pytest.mark.parametrize("bf16", [False, True])
def test_same_gradients_with_less_memory(bf16: bool) -> None:
    whole, much = gradients(checkpointed=False, bf16=bf16)
    again, little = gradients(checkpointed=True, bf16=bf16)
    assert len(whole) == len(again)
    assert all(torch.equal(one, other) for one, other in zip(whole, again, strict=True))
    assert little < 0.7 * much
