"""The sample loop as one persistent Triton kernel.

A program advances a tile of ``ROWS`` rows through all samples of a chunk and all layers of each
sample. Programs exchange no data and never wait for each other. What a sample needs from the
previous one stays in registers; the queues stay in the state's own tensors in device memory.

Weights, one tensor, every width padded with zeros to a power of two of at least 16 (marked '):
    for each layer, ``LAYER`` elements:
        dilated   (TAPS, 2, R', H')   past taps first; filter, then gate
        residual  (H', R')            zeros in the last layer, whose residual output is unused
        skip      (H', S')
    head          (S', S')
    output        (GROUPS, S', V')    logits; or [weights,] locations, log-scales
Biases, float32: residual (L, R'), skip (S'), head (S'), output (GROUPS, V'), input (R'). The
gates already include the dilated convolutions' biases. The input convolution's weights are
(TAPS, C, R') in float32. A padded channel is zero in every layer, because its weights and biases
are zero and tanh(0) sigmoid(0) = 0.

Memory ordering within a program. One thread may write a queue's slot and another read it; only a
barrier orders the two. There are two cases:
    - Read before overwrite: layer l reads its past taps, the oldest of which is in the slot that
      the current input will overwrite. A barrier separates these reads from that write. The same
      holds for the input convolution's queue and the history.
    - Write before read: what sample t writes is read by sample t + 1 at the earliest. A barrier
      ends every sample.
The rest of the state is read before the first sample and written after the last. contexts.py covers
what context stacks read and write; no other memory is both read and written. Each row belongs to
one program, so programs need no ordering between them; two rows of a launch must not name the same
row of the state.

Weights are read-only and are loaded without regard to barriers. With PREFETCH, the next layer's
matrices are loaded into registers before the current layer's first product. The matrices of wider
layers are loaded where they are used.

The kernel modifies the state that it reads. It must not be autotuned: each trial would advance the
rows.
"""

import triton
import triton.language as tl

from vocoder.generation.cuda.contexts import enter, push
from vocoder.generation.cuda.operations import head, layer_matrices, layer_product, tanh, wrap
from vocoder.generation.cuda.sampling import draw, pick, seeded_or_given, to_16_bit

# Specialising on the number of rows or samples, or on the alignment of a slice, would recompile the
# kernel in the middle of a stream, and the new code might round differently.
UNSPECIALISED = ["n", "steps", "blocks"]
UNALIGNED = ["rows", "first_block", "noise", "forced_samples", "forced_codes"]


@triton.jit(do_not_specialize=UNSPECIALISED, do_not_specialize_on_alignment=UNALIGNED)
def generate(
    # The model.
    weights,
    biases,
    input_weights,
    decode,
    ring_offsets,
    dilations,
    context_model,
    # The state: rows of each tensor by `rows`; the input convolution's queue holds codes (n, TAPS -
    # 1), int32 and -1 before the start, or inputs (rows, TAPS - 1, C).
    rings,
    inputs,
    history,
    position,
    sample,
    code,
    excitation,
    output,
    context_state,
    # The inputs of n rows: gates (n, blocks, L, 2, H); coefficients (n, blocks, ORDER), gain and
    # level (n, blocks); noise (n, steps, 2) or, if SEEDED, seeds (n); in a trace, samples and codes
    # (n, steps).
    rows,
    first_block,
    gates,
    coefficients,
    gain,
    level,
    noise,
    forced_samples,
    forced_codes,
    # The outputs: audio (n, steps); in a trace, parameters (n, steps, GROUPS * VALUES).
    audio,
    parameters,
    n,
    steps,
    blocks,
    ring_row,
    temperature,
    log_scale_min,
    pre_emphasis,
    LAYERS: tl.constexpr,
    TAPS: tl.constexpr,
    PERIOD: tl.constexpr,
    RESIDUAL: tl.constexpr,
    RESIDUAL_: tl.constexpr,
    HALF: tl.constexpr,
    HALF_: tl.constexpr,
    SKIP_: tl.constexpr,
    SKIP_BLOCK: tl.constexpr,
    CHANNELS: tl.constexpr,
    VALUES: tl.constexpr,
    VALUES_: tl.constexpr,
    GROUPS: tl.constexpr,
    MU_LAW: tl.constexpr,
    HOLD: tl.constexpr,
    ORDER: tl.constexpr,
    ORDER_: tl.constexpr,
    CONTEXTS: tl.constexpr,
    PREFETCH: tl.constexpr,
    SEEDED: tl.constexpr,
    TRACE: tl.constexpr,
    WIDEN: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Advance n rows by ``steps`` samples."""
    PAST: tl.constexpr = TAPS - 1
    POWER_OF_TWO: tl.constexpr = (PAST & (PAST - 1)) == 0
    SIZES: tl.constexpr = (TAPS, RESIDUAL_, HALF_, SKIP_)
    LAYER: tl.constexpr = TAPS * 2 * RESIDUAL_ * HALF_ + HALF_ * RESIDUAL_ + HALF_ * SKIP_
    MAIN: tl.constexpr = (LAYERS, HALF, HALF_)

    residual_channel = tl.arange(0, RESIDUAL_)
    half_channel = tl.arange(0, HALF_)
    skip_channel = tl.arange(0, SKIP_)
    value = tl.arange(0, VALUES_)
    residual_there = residual_channel[None, :] < RESIDUAL
    half_there = half_channel[None, :] < HALF
    skip_bias = tl.load(biases + LAYERS * RESIDUAL_ + skip_channel)[None, :]
    head_biases = biases + LAYERS * RESIDUAL_ + SKIP_
    input_biases = head_biases + SKIP_ + GROUPS * VALUES_
    input_bias = tl.load(input_biases + residual_channel)[None, :]
    head_weights = weights + LAYERS * LAYER

    member = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    active = member < n
    row = tl.load(rows + member, mask=active, other=0)
    start = tl.load(position + row, mask=active, other=0)
    phase = (start % PERIOD).to(tl.int32)
    input_phase = (start % PAST).to(tl.int32)
    into_block = (start % HOLD).to(tl.int32)
    block_0 = (start // HOLD - tl.load(first_block + member, mask=active, other=0)).to(tl.int32)
    last_sample = tl.load(sample + row, mask=active, other=0.0)
    last_code = tl.load(code + row, mask=active, other=0).to(tl.int32)
    last_excitation = tl.load(excitation + row, mask=active, other=0.0)
    last_output = tl.load(output + row, mask=active, other=0.0)
    ring_rows = rings + row * ring_row
    input_rows = inputs + member * PAST if MU_LAW else inputs + row * PAST * CHANNELS
    if ORDER:
        lag = tl.arange(0, ORDER_)[None, :]
        history_rows = history + row * ORDER
        history_phase = (start % ORDER).to(tl.int32)
        lag_there = active[:, None] & (lag < ORDER)

    ahead = ()
    if PREFETCH:
        ahead = layer_matrices(weights, SIZES)
    for t in range(steps):
        block = member * blocks + block_0 + (into_block + t) // HOLD
        if len(CONTEXTS) > 0:
            entered = active & ((t == 0) | ((into_block + t) % HOLD == 0))
            place = (row, start + t, block, active, entered)
            enter(context_model, context_state, gates, place, MAIN, CONTEXTS, WIDEN)
        if ORDER:
            lagged = (history_phase[:, None] + t + ORDER - 1 - lag) % ORDER
            samples = tl.load(history_rows[:, None] + lagged, mask=lag_there, other=0.0)
            predictor = coefficients + block[:, None] * ORDER + lag
            shift = tl.sum(tl.load(predictor, mask=lag_there, other=0.0) * samples, axis=1)
            scale = tl.load(gain + block, mask=active, other=1.0)
            reach = tl.load(level + block, mask=active, other=1.0)
        else:
            shift = tl.zeros((ROWS,), tl.float32)
            scale = shift + 1.0
            reach = scale
        # The input convolution.
        x = tl.zeros((ROWS, RESIDUAL_), tl.float32) + input_bias
        oldest = (input_phase + t) % PAST
        if MU_LAW:
            for tap in tl.static_range(PAST):
                queued = tl.load(
                    input_rows + (input_phase + t + tap) % PAST, mask=active, other=-1
                )[:, None]
                embedding = input_weights + (tap * CHANNELS + queued) * RESIDUAL_
                x += tl.load(embedding + residual_channel[None, :], mask=queued >= 0, other=0.0)
            embedding = input_weights + (PAST * CHANNELS + last_code[:, None]) * RESIDUAL_
            x += tl.load(embedding + residual_channel[None, :])
            tl.debug_barrier()
            tl.store(input_rows + oldest, last_code, mask=active)
        else:
            for tap in tl.static_range(PAST):
                queue = input_rows + (input_phase + t + tap) % PAST * CHANNELS
                for channel in tl.static_range(CHANNELS):
                    given = tl.load(queue + channel, mask=active, other=0.0)
                    weight = input_weights + (tap * CHANNELS + channel) * RESIDUAL_
                    x += given[:, None] * tl.load(weight + residual_channel)[None, :]
            tl.debug_barrier()
            for channel in tl.static_range(CHANNELS):
                if CHANNELS == 1:
                    given = last_sample
                elif channel == 0:
                    given = last_sample / reach
                elif channel == 1:
                    given = shift / reach
                else:
                    given = last_excitation
                weight = input_weights + (PAST * CHANNELS + channel) * RESIDUAL_
                x += given[:, None] * tl.load(weight + residual_channel)[None, :]
                tl.store(input_rows + oldest * CHANNELS + channel, given, mask=active)
        # The residual layers.
        skip = tl.zeros((ROWS, SKIP_), tl.float32) + skip_bias
        for layer in range(LAYERS):
            here = weights + layer * LAYER
            dilation = tl.load(dilations + layer)
            length = PAST * dilation
            ring = ring_rows[:, None] + tl.load(ring_offsets + layer) + residual_channel[None, :]
            gate_there = active[:, None] & half_there
            gate_start = gates + (block * LAYERS + layer)[:, None] * (2 * HALF)
            gate_start += half_channel[None, :]
            filter_ = tl.load(gate_start, mask=gate_there, other=0.0)
            gate = tl.load(gate_start + HALF, mask=gate_there, other=0.0)
            pasts = ()
            for tap in tl.static_range(PAST):
                slot = wrap(phase + t + tap * dilation, length, POWER_OF_TWO)
                past = tl.load(
                    ring + slot[:, None] * RESIDUAL,
                    mask=active[:, None] & residual_there,
                    other=0.0,
                )
                pasts = pasts + (past,)  # noqa: RUF005
            # After the loads that this layer needs, before its first product.
            held = ahead
            if PREFETCH:
                following = weights + (layer + 1) % LAYERS * LAYER
                ahead = layer_matrices(following, SIZES)
            for tap in tl.static_range(PAST):
                filter_ += layer_product(pasts[tap], held, here, 2 * tap, SIZES, PREFETCH, WIDEN)
                gate += layer_product(pasts[tap], held, here, 2 * tap + 1, SIZES, PREFETCH, WIDEN)
            filter_ += layer_product(x, held, here, 2 * PAST, SIZES, PREFETCH, WIDEN)
            gate += layer_product(x, held, here, 2 * PAST + 1, SIZES, PREFETCH, WIDEN)
            # Every past input is read before the oldest is overwritten.
            tl.debug_barrier()
            slot = wrap(phase + t, length, POWER_OF_TWO)
            tl.store(ring + slot[:, None] * RESIDUAL, x, mask=active[:, None] & residual_there)
            gated = tanh(filter_) * tl.sigmoid(gate)
            skip += layer_product(gated, held, here, 2 * TAPS + 1, SIZES, PREFETCH, WIDEN)
            x += layer_product(gated, held, here, 2 * TAPS, SIZES, PREFETCH, WIDEN)
            x += tl.load(biases + layer * RESIDUAL_ + residual_channel)[None, :]
        found = head(skip, head_weights, head_biases, SKIP_, SKIP_BLOCK, VALUES_, GROUPS, WIDEN)
        moment = member * steps + t
        if TRACE:
            traced = parameters + moment[:, None] * (GROUPS * VALUES) + value[None, :]
            for group in tl.static_range(GROUPS):
                there = active[:, None] & (value[None, :] < VALUES)
                tl.store(traced + group * VALUES, found[group], mask=there)
        # Sampling.
        uniform_0, uniform_1 = seeded_or_given(noise, member, start + t, moment, active, SEEDED)
        if MU_LAW:
            next_code = pick(found[0] / temperature, uniform_0, VALUES, VALUES_)
            next_sample = tl.load(decode + next_code)
        else:
            next_code = last_code
            drawn = draw(found, uniform_0, uniform_1, log_scale_min, temperature, VALUES, VALUES_)
            next_sample = to_16_bit(shift + scale * drawn)
        tl.store(audio + moment, next_sample + pre_emphasis * last_output, mask=active)
        if TRACE:
            next_sample = tl.load(forced_samples + moment, mask=active, other=0.0)
            if MU_LAW:
                next_code = tl.load(forced_codes + moment, mask=active, other=0).to(tl.int32)
        # The push.
        last_code = next_code
        last_sample = next_sample
        last_excitation = (next_sample - shift) / scale
        last_output = next_sample + pre_emphasis * last_output
        if ORDER:
            tl.store(history_rows + (history_phase + t) % ORDER, next_sample, mask=active)
        if len(CONTEXTS) > 0:
            push(context_state, next_sample, row, start + t, active, CONTEXTS)
        # The next sample reads what this one wrote.
        tl.debug_barrier()

    tl.store(position + row, start + steps, mask=active)
    tl.store(sample + row, last_sample, mask=active)
    tl.store(code + row, last_code.to(tl.int64), mask=active)
    tl.store(excitation + row, last_excitation, mask=active)
    tl.store(output + row, last_output, mask=active)
