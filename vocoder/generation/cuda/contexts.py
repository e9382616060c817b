"""Context stacks in the sample loop's kernel.

A stack advances at the first sample of each of its windows, for the rows of the tile that have
reached one; the other rows are masked. The stacks' outputs are constant within a block of
conditioning, because every pool is a multiple of the hold. Their projection is therefore added to
the block's gates in place, once per block: the loop over samples and layers reads the gates with as
many loads and registers as without context stacks. A separate sum would have to be loaded in every
layer of every sample. Short blocks pay for this: at hold 1, every sample is projected. The gates
belong to one launch, which starts from the conditioning's values: a block that is split between two
chunks is projected in both, from the same contexts to the same sums.

Weights, one tensor, widths padded as in kernels.py (marked '), for each stack:
    input       (P', R')              the window, padded to whole parts
    for each layer: dilated (TAPS, 2, R', H'), residual (H', R'), skip (H', S')
    output      (S', C')
    projection  (L, 2, C', H')        to the main stack's filters and gates; L and H' of that stack
Biases, float32, for each stack: input (R'), dilated (L, 2, H') and residual (L, R') of its layers,
skip (S'), output (C').

Memory ordering within a program, in addition to kernels.py:
    - A window's slot is written by the push at the end of a sample and read at the start of a later
      one: the barrier that ends every sample is between them. Before the next push overwrites the
      slot, the barriers of the step that read it have passed.
    - A ring is read at its past taps, then, after a barrier, its oldest slot is written. The next
      read is in the stack's next step, at a later sample.
    - A step writes the contexts; after a barrier, the projection reads them. The next step is at a
      later sample.
    - The projection reads an element of the gates and writes the sum to the same address: the write
      depends on the read. The layers read it after the barrier of the input convolution.
"""

import triton
import triton.language as tl

from vocoder.generation.cuda.operations import layer_product, matrix, product, relu, tanh, wrap

POOL, CHANNELS, CHANNELS_, PROJECTION = (tl.constexpr(i) for i in range(4))
"""Indices into a stack's constants; see :class:`context_packing.ContextShape`."""

LOG_256 = tl.constexpr(5.545177444479562)


@triton.jit
def enter(
    model,
    state,
    gates,
    place,
    MAIN: tl.constexpr,
    CONTEXTS: tl.constexpr,
    WIDEN: tl.constexpr,
):
    """Advance the stacks that are due; add their outputs to the gates of rows that enter a block.

    Args:
        model: see :class:`context_packing.PackedContexts`.
        state: for each stack its windows, its rings, the elements in a row of its rings, and its
            outputs.
        gates: see the kernel.
        place: for each row (ROWS,): its index in the state; the position of its next sample, int64;
            its block, counted over all rows; whether the row exists; whether its block has no
            projection added yet in this launch.
        MAIN: LAYERS, HALF and HALF_ of the main stack.
        CONTEXTS: the stacks' shapes from :func:`context_packing.context_shapes`.
    """
    weights, _, _, _ = model
    row, position, block, active, entered = place
    LAYERS: tl.constexpr = MAIN[0]
    HALF: tl.constexpr = MAIN[1]
    HALF_: tl.constexpr = MAIN[2]
    if tl.max(entered.to(tl.int32), axis=0) > 0:
        for s in tl.static_range(len(CONTEXTS)):
            due = active & (position % CONTEXTS[s][POOL] == 0)
            if tl.max(due.to(tl.int32), axis=0) > 0:
                take_step(model, state[s], row, position, due, CONTEXTS, s, WIDEN)
        # The projection reads what the steps wrote.
        tl.debug_barrier()
        given = ()
        for s in tl.static_range(len(CONTEXTS)):
            channel = tl.arange(0, CONTEXTS[s][CHANNELS_])[None, :]
            known = entered[:, None] & (channel < CONTEXTS[s][CHANNELS])
            kept = state[s][3] + row[:, None] * CONTEXTS[s][CHANNELS] + channel
            given = given + (tl.load(kept, mask=known, other=0.0),)  # noqa: RUF005
        half_channel = tl.arange(0, HALF_)
        there = entered[:, None] & (half_channel[None, :] < HALF)
        for part in range(2 * LAYERS):
            start = gates + (block * (2 * LAYERS) + part)[:, None] * HALF + half_channel[None, :]
            total = tl.load(start, mask=there, other=0.0)
            for s in tl.static_range(len(CONTEXTS)):
                onwards = (
                    weights + CONTEXTS[s][PROJECTION] + part * (CONTEXTS[s][CHANNELS_] * HALF_)
                )
                weight = matrix(onwards, half_channel, CONTEXTS[s][CHANNELS_], HALF_)
                total += product(given[s], weight, WIDEN)
            tl.store(start, total, mask=there)


@triton.jit
def take_step(
    model,
    state,
    row,
    position,
    due,
    CONTEXTS: tl.constexpr,
    s: tl.constexpr,
    WIDEN: tl.constexpr,
):
    """Advance stack ``s`` by one step for the rows that are ``due``."""
    POOL: tl.constexpr = CONTEXTS[s][0]
    PART: tl.constexpr = CONTEXTS[s][4]
    PARTS: tl.constexpr = CONTEXTS[s][5]
    LAYERS: tl.constexpr = CONTEXTS[s][6]
    TAPS: tl.constexpr = CONTEXTS[s][7]
    PERIOD: tl.constexpr = CONTEXTS[s][8]
    RESIDUAL: tl.constexpr = CONTEXTS[s][9]
    RESIDUAL_: tl.constexpr = CONTEXTS[s][10]
    HALF_: tl.constexpr = CONTEXTS[s][11]
    SKIP_: tl.constexpr = CONTEXTS[s][12]
    CHANNELS: tl.constexpr = CONTEXTS[s][1]
    CHANNELS_: tl.constexpr = CONTEXTS[s][2]
    FIRST: tl.constexpr = CONTEXTS[s][13]
    PAST: tl.constexpr = TAPS - 1
    POWER_OF_TWO: tl.constexpr = (PAST & (PAST - 1)) == 0
    WIDTHS: tl.constexpr = (TAPS, RESIDUAL_, HALF_, SKIP_)
    LAYER: tl.constexpr = TAPS * 2 * RESIDUAL_ * HALF_ + HALF_ * RESIDUAL_ + HALF_ * SKIP_
    ROWS: tl.constexpr = row.shape[0]

    weights, biases, ring_offsets, dilations = model
    windows, rings, ring_row, contexts = state
    ring_rows = rings + row * ring_row
    residual_channel = tl.arange(0, RESIDUAL_)
    half_channel = tl.arange(0, HALF_)
    skip_channel = tl.arange(0, SKIP_)
    channel = tl.arange(0, CHANNELS_)
    input_weights = weights + CONTEXTS[s][14]
    layer_weights = input_weights + PARTS * PART * RESIDUAL_
    output_weights = layer_weights + LAYERS * LAYER
    input_biases = biases + CONTEXTS[s][15]
    dilated_biases = input_biases + RESIDUAL_
    residual_biases = dilated_biases + LAYERS * 2 * HALF_
    skip_biases = residual_biases + LAYERS * RESIDUAL_
    output_biases = skip_biases + SKIP_

    # The input product, over the window in parts.
    x = tl.zeros((ROWS, RESIDUAL_), tl.float32) + tl.load(input_biases + residual_channel)[None, :]
    place = tl.arange(0, PART)
    for part in range(PARTS):
        slot = part * PART + place
        there = due[:, None] & (slot[None, :] < POOL)
        samples = tl.load(windows + row[:, None] * POOL + slot[None, :], mask=there, other=0.0)
        onwards = input_weights + part * (PART * RESIDUAL_)
        x += product(samples, matrix(onwards, residual_channel, PART, RESIDUAL_), WIDEN)
    # The residual layers.
    phase = (position // POOL % PERIOD).to(tl.int32)
    there = due[:, None] & (residual_channel[None, :] < RESIDUAL)
    skip = tl.zeros((ROWS, SKIP_), tl.float32) + tl.load(skip_biases + skip_channel)[None, :]
    for layer in range(LAYERS):
        here = layer_weights + layer * LAYER
        dilation = tl.load(dilations + FIRST + layer)
        length = PAST * dilation
        ring = ring_rows[:, None] + tl.load(ring_offsets + FIRST + layer)
        ring += residual_channel[None, :]
        bias = dilated_biases + layer * (2 * HALF_) + half_channel
        filter_ = tl.zeros((ROWS, HALF_), tl.float32) + tl.load(bias)[None, :]
        gate = tl.zeros((ROWS, HALF_), tl.float32) + tl.load(bias + HALF_)[None, :]
        for tap in tl.static_range(PAST):
            slot = wrap(phase + tap * dilation, length, POWER_OF_TWO)
            past = tl.load(ring + slot[:, None] * RESIDUAL, mask=there, other=0.0)
            filter_ += layer_product(past, (), here, 2 * tap, WIDTHS, False, WIDEN)
            gate += layer_product(past, (), here, 2 * tap + 1, WIDTHS, False, WIDEN)
        filter_ += layer_product(x, (), here, 2 * PAST, WIDTHS, False, WIDEN)
        gate += layer_product(x, (), here, 2 * PAST + 1, WIDTHS, False, WIDEN)
        # Every past input is read before the oldest is overwritten.
        tl.debug_barrier()
        slot = wrap(phase, length, POWER_OF_TWO)
        tl.store(ring + slot[:, None] * RESIDUAL, x, mask=there)
        gated = tanh(filter_) * tl.sigmoid(gate)
        skip += layer_product(gated, (), here, 2 * TAPS + 1, WIDTHS, False, WIDEN)
        x += layer_product(gated, (), here, 2 * TAPS, WIDTHS, False, WIDEN)
        x += tl.load(residual_biases + layer * RESIDUAL_ + residual_channel)[None, :]
    # The output.
    found = product(relu(skip), matrix(output_weights, channel, SKIP_, CHANNELS_), WIDEN)
    found += tl.load(output_biases + channel)[None, :]
    there = due[:, None] & (channel[None, :] < CHANNELS)
    tl.store(contexts + row[:, None] * CHANNELS + channel[None, :], found, mask=there)


@triton.jit
def push(state, sample, row, position, active, CONTEXTS: tl.constexpr):
    """Write each row's sample at ``position``, mu-law companded, to every window."""
    companded = tl.log(1.0 + 255.0 * tl.abs(sample)) / LOG_256
    companded = tl.where(sample < 0.0, -companded, companded)
    for s in tl.static_range(len(CONTEXTS)):
        slot = row * CONTEXTS[s][POOL] + position % CONTEXTS[s][POOL]
        tl.store(state[s][0] + slot, companded, mask=active)
