"""A lower bound for the sample loop's time: every program reads all weights once per sample."""

import time

import torch
import triton
import triton.language as tl
from torch import Tensor

from vocoder.generation.cuda.packing import TILE_ROWS

BLOCK = 4096


@triton.jit
def read(weights, sink, elements, steps, BLOCK: tl.constexpr):
    """Read ``elements`` weights ``steps`` times; every program reads all of them."""
    place = tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), tl.float32)
    for _ in range(steps):
        for start in range(0, elements, BLOCK):
            # Volatile: otherwise the compiler would hoist the loads out of the loop over steps.
            there = start + place < elements
            total += tl.load(weights + start + place, mask=there, other=0.0, volatile=True)
    tl.store(sink + tl.program_id(0), tl.sum(total))


def seconds_per_step(weights: Tensor, streams: int, steps: int) -> float:
    """Time per sample of reading the weights, with one program for each tile of streams.

    Args:
        weights: the engine's packed weights.
        streams: rows that advance together.
        steps: samples to measure over.
    """
    programs = -(-streams // TILE_ROWS)
    sink = torch.empty(programs, device=weights.device)

    def once() -> float:
        began = time.perf_counter()
        read[(programs,)](weights, sink, weights.numel(), steps, BLOCK=BLOCK, num_warps=8)
        sink.cpu()
        return time.perf_counter() - began

    once()
    return min(once() for _ in range(3)) / steps
