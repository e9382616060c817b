"""A kernel that shows what the kernel's own functions draw."""

import triton
import triton.language as tl

from vocoder.generation.cuda.sampling import uniforms, words


@triton.jit
def draw(seeds, positions, found, drawn, ROWS: tl.constexpr):
    row = tl.arange(0, ROWS)
    seed, position = tl.load(seeds + row), tl.load(positions + row)
    first, second = words(seed, position)
    tl.store(found + 2 * row, first.to(tl.int64))
    tl.store(found + 2 * row + 1, second.to(tl.int64))
    first, second = uniforms(seed, position)
    tl.store(drawn + 2 * row, first)
    tl.store(drawn + 2 * row + 1, second)
