"""Counter-based noise: the uniforms of sample t of a stream depend only on (seed, t).

Philox4x32-10 (Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3"): the seed is the
64-bit key and the sample's index the counter, so any range can be generated on its own. This module
is the definition; the native code and the Triton kernel produce the same bits.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from vocoder.native import library as native

DRAWS = 2
"""Uniforms per sample: one selects a code or component, one a logistic's quantile."""

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10

MAX_SEED = 2**63 - 1
"""Largest seed that callers may use."""


def philox(seed: Tensor, counter: Tensor) -> Tensor:
    """Four 32-bit words for each (seed, counter) pair.

    Args:
        seed: int64 (...); all 64 bits are used.
        counter: int64 (...), of the same shape, not negative.

    Returns:
        int64 (..., 4), each from 0 to 2^32 - 1.
    """
    zero = torch.zeros_like(counter)
    words = [counter & _MASK, (counter >> 32) & _MASK, zero, zero]
    keys = [seed & _MASK, (seed >> 32) & _MASK]
    for _ in range(_ROUNDS):
        # int64 products wrap around to the same bits as the unsigned product.
        high0, low0 = _product(words[0], _MULTIPLIERS[0])
        high1, low1 = _product(words[2], _MULTIPLIERS[1])
        words = [high1 ^ words[1] ^ keys[0], low1, high0 ^ words[3] ^ keys[1], low0]
        keys = [(key + step) & _MASK for key, step in zip(keys, _KEY_STEPS, strict=True)]
    return torch.stack(words, dim=-1)


def _product(word: Tensor, multiplier: int) -> tuple[Tensor, Tensor]:
    product = word * multiplier
    return (product >> 32) & _MASK, product & _MASK


def uniforms(seeds: Tensor, positions: Tensor, steps: int) -> Tensor:
    """Uniforms in (0, 1) for ``steps`` samples of each row.

    Args:
        seeds: one per row, int64 (B,).
        positions: index of each row's first sample, int64 (B,).
        steps: number of samples T.

    Returns:
        float32 (B, T, 2), never 0 and never 1.
    """
    library = native.find() if seeds.device.type == positions.device.type == "cpu" else None
    if library is None:
        return reference_uniforms(seeds, positions, steps)
    found = torch.empty(len(seeds), steps, DRAWS)
    # nanobind converts NumPy arrays much faster than PyTorch tensors.
    library.uniforms(
        seeds=seeds.contiguous().numpy(),
        positions=positions.contiguous().numpy(),
        uniforms=found.numpy(),
        instructions=native.instruction_set(library),
    )
    return found


class Noise(NamedTuple):
    """Seeds from which an engine draws the noise of the next samples of n rows itself.

    Attributes:
        seeds: one per row, int64 (n,), on the rows' device.
        steps: number of samples T.
    """

    seeds: Tensor
    steps: int

    def uniforms(self, positions: Tensor) -> Tensor:
        """Uniforms (n, T, 2) from each row's position (n,), int64; see :func:`uniforms`."""
        return uniforms(self.seeds, positions, self.steps)


def steps_of(noise: Tensor | Noise) -> int:
    """Number of samples T."""
    return noise.steps if isinstance(noise, Noise) else noise.shape[1]


def reference_uniforms(seeds: Tensor, positions: Tensor, steps: int) -> Tensor:
    """The definition of :func:`uniforms`, in plain PyTorch on any device."""
    counter = positions.unsqueeze(1) + torch.arange(steps, device=positions.device)
    words = philox(seeds.unsqueeze(1).expand_as(counter), counter)[..., :DRAWS]
    # 23 bits plus one half: exact in float32, and the largest value stays below 1.
    return ((words >> 9).double() + 0.5).mul(2.0**-23).float()
