"""The conditioning's contribution to the gates, in a product whose rounding ignores the batch size.

A library chooses the summation order of a product by its size, so a row's result would depend on
the other rows of the batch.
"""

import triton
import triton.language as tl

UNSPECIALISED = ["n"]


@triton.jit(do_not_specialize=UNSPECIALISED)
def project(
    inputs,
    weights,
    bias,
    gates,
    n,
    CHANNELS: tl.constexpr,
    GATES: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
):
    """``gates = inputs @ weights + bias``, all float32; a program computes ROWS x COLUMNS of it.

    Inputs (n, CHANNELS), weights (CHANNELS, GATES), bias (GATES).
    """
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]
    column = (tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, CHANNELS, DEPTH):
        channel = start + tl.arange(0, DEPTH)
        there = (row < n) & (channel[None, :] < CHANNELS)
        given = tl.load(inputs + row * CHANNELS + channel[None, :], mask=there, other=0.0)
        there = (channel[:, None] < CHANNELS) & (column < GATES)
        weight = tl.load(weights + channel[:, None] * GATES + column, mask=there, other=0.0)
        total += tl.dot(given, weight, input_precision="ieee")
    total += tl.load(bias + column, mask=column < GATES, other=0.0)
    tl.store(gates + row * GATES + column, total, mask=(row < n) & (column < GATES))
