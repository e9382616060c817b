"""Conditioning projected for the sample loop: once per block, not once per sample."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.config import ModelConfig
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.linear_prediction import LinearPrediction
from vocoder.wavenet.model import WaveNet

TILE = 16
"""Rows of one product: as many float32 values as the widest vector register holds."""


class Projection(NamedTuple):
    """The N blocks that n rows need, each constant for ``hold`` samples.

    Attributes:
        gates: the conditioning's contribution to every gate (n, N, L * G).
        prediction: linear prediction of the same blocks; None if the model does not use it.
        first: index of each row's first block in its stream (n,), int64.
    """

    gates: Tensor
    prediction: LinearPrediction | None
    first: Tensor


def project(model: WaveNet, conditioning: Conditioning, start: Tensor, steps: int) -> Projection:
    """Project the blocks that rows need for ``steps`` samples; see :func:`window`.

    Args:
        model: the model whose stack is conditioned.
        conditioning: of n rows.
        start: position of each row (n,), int64.
        steps: number of samples T to generate.
    """
    local, speaker, prediction, first = window(conditioning, start, model.config.hold, steps)
    gates = apply_in_tiles(model.stack.local_projection, local.flatten(0, 1))
    gates = gates.unflatten(0, local.shape[:2])
    gates = gates + apply_in_tiles(model.stack.global_projection, speaker).unsqueeze(1)
    return Projection(gates, prediction, first)


def window(conditioning: Conditioning, start: Tensor, hold: int, steps: int) -> Conditioning:
    """The blocks that each row needs, starting with its next one; arguments as in :func:`project`.

    This does not check that the conditioning has these blocks: see :func:`check_covered`.
    """
    first = start // hold
    blocks = torch.arange(blocks_spanned(steps, hold), device=start.device)
    blocks = (first - conditioning.first).unsqueeze(1) + blocks
    # Blocks beyond the end are never used: clamping only keeps the index valid.
    blocks.clamp_(min=0, max=conditioning.blocks - 1)
    row = torch.arange(len(start), device=start.device).unsqueeze(1)
    prediction = conditioning.prediction
    if prediction is not None:
        prediction = LinearPrediction(*(part[row, blocks] for part in prediction))
    return Conditioning(conditioning.local[row, blocks], conditioning.speaker, prediction, first)


def check_steps(config: ModelConfig, samples: int) -> None:
    """Check that ``samples`` samples are whole steps of a model.

    Raises:
        ValueError: they are not.
    """
    if samples % config.bands:
        raise ValueError(
            f"{samples} samples are not whole steps: a step has {config.bands}, one of each band"
        )


def check_covered(conditioning: Conditioning, start: Tensor, hold: int, steps: int) -> None:
    """Check that the conditioning has all blocks that rows need; arguments as in :func:`project`.

    Raises:
        ValueError: some are missing.
    """
    first = int((start // hold - conditioning.first).min())
    last = int(((start + steps - 1) // hold - conditioning.first).max())
    if first < 0 or last >= conditioning.blocks:
        raise ValueError(
            f"conditioning has blocks 0 to {conditioning.blocks - 1}, generation needs "
            f"{first} to {last}"
        )


def blocks_spanned(steps: int, hold: int) -> int:
    """Most blocks that ``steps`` consecutive samples can touch, wherever in a block they begin."""
    return (steps + hold - 2) // hold + 1


def steps_within(config: ModelConfig, rows: int, limit_bytes: int) -> int:
    """Most samples for which the gates of ``rows`` rows fit into ``limit_bytes``."""
    block_bytes = 4 * rows * config.stack.layers * config.stack.gate_channels
    # Samples may begin anywhere in a block, so they touch one block more than they fill.
    return max(1, limit_bytes // block_bytes - 1) * config.hold


def apply_in_tiles(linear: nn.Linear, x: Tensor) -> Tensor:
    """Apply ``linear`` to rows (n, in), in products of ``TILE`` rows for any n.

    The rounding of one product of all rows would depend on n, but a row's result must depend
    neither on the other rows nor on its index. Here the rows are columns of the product, and so
    lanes of the same vector instructions.
    """
    tiles = F.pad(x, (0, 0, 0, -len(x) % TILE)).unflatten(0, (-1, TILE))
    weight = linear.weight.expand(tiles.shape[0], -1, -1)
    product = torch.bmm(weight, tiles.mT).mT.contiguous().flatten(0, 1)[: len(x)]
    return product if linear.bias is None else product + linear.bias
