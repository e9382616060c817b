"""The recurrence of convolutional LSTMs over lines of positions, with its own backward pass.

At each step, a line of N positions reads the states of its neighbours on the line before:
``gates = input + K * h``, with K a convolution along the line. Row LSTM steps through rows, and
Diagonal BiLSTM through diagonals (van den Oord et al. 2016, sections 3.1 and 3.2). The backward
pass stores gates and cells only, and computes the gradient of K as one product over all steps.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

GATES = 4
"""Output, forget and input gates, and the candidate, in this order."""


def recur(gates: Tensor, weight: Tensor, offsets: Sequence[int]) -> Tensor:
    """States of all steps, from zero states before the first.

    Args:
        gates: contributions of the input (T, D, B, N, 4 h), for D independent directions.
        weight: K (D, taps * h, 4 h), tap by tap.
        offsets: the position that each tap reads, relative to its own; consecutive.

    Returns:
        h (T, D, B, N, h).
    """
    # States add up over many steps, so they keep the precision of the weights under autocast.
    with torch.autocast(gates.device.type, enabled=False):
        arguments = gates.to(weight.dtype), weight, offsets[0], len(offsets)
        found: Tensor = _Recurrence.apply(*arguments)  # type: ignore[no-untyped-call]
    return found


def lstm_cell(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """``c = f c + i g``, ``h = o tanh(c)``: gates (..., 4 h) and cell (..., h) -> h and c."""
    squashed, candidate = gates.split([3 * cell.shape[-1], cell.shape[-1]], dim=-1)
    o, f, i = torch.sigmoid(squashed).chunk(3, dim=-1)
    cell = f * cell + i * torch.tanh(candidate)
    return o * torch.tanh(cell), cell


def _neighbours(states: Tensor, first: int, taps: int) -> Tensor:
    """The states that each position reads: (..., N, h) -> (..., N, taps * h), zero outside."""
    n = states.shape[-2]
    padded = F.pad(states, (0, 0, max(0, -first), max(0, first + taps - 1)))
    start = max(0, first)
    return torch.cat([padded[..., start + j : start + j + n, :] for j in range(taps)], dim=-1)


class _Recurrence(Function):
    @staticmethod
    def forward(ctx: Any, gates: Tensor, weight: Tensor, first: int, taps: int) -> Tensor:
        steps, directions, rows, n, width = gates.shape
        h = width // GATES
        active = gates.new_empty(gates.shape)
        cells = gates.new_empty(steps, directions, rows, n, h)
        states = torch.empty_like(cells)
        state = cell = gates.new_zeros(cells.shape[1:])
        for t in range(steps):
            step = active[t]
            torch.baddbmm(
                gates[t].reshape(directions, -1, width),
                _neighbours(state, first, taps).view(directions, -1, taps * h),
                weight,
                out=step.view(directions, -1, width),
            )
            step[..., : 3 * h].sigmoid_()
            step[..., 3 * h :].tanh_()
            o, f, i, g = step.chunk(GATES, dim=-1)
            cell = torch.mul(f, cell, out=cells[t]).addcmul_(i, g)
            state = torch.mul(o, cell.tanh(), out=states[t])
        ctx.save_for_backward(active, cells, states, weight)
        ctx.first, ctx.taps = first, taps
        return states

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (grad,) = grads
        active, cells, states, weight = ctx.saved_tensors
        first, taps = ctx.first, ctx.taps
        steps, directions, rows, n, width = active.shape
        h = width // GATES
        grad_gates = torch.empty_like(active)
        nothing = states.new_zeros(states.shape[1:])
        grad_state, grad_cell = nothing, nothing
        transposed = weight.transpose(1, 2).contiguous()
        for t in reversed(range(steps)):
            o, f, i, g = active[t].chunk(GATES, dim=-1)
            squashed = cells[t].tanh()
            d_state = grad[t] + grad_state
            d_o, d_f, d_i, d_g = grad_gates[t].chunk(GATES, dim=-1)
            torch.mul(d_state * squashed, o - o * o, out=d_o)
            d_cell = torch.addcmul(grad_cell, d_state * o, 1 - squashed * squashed)
            torch.mul(d_cell * (cells[t - 1] if t else nothing), f - f * f, out=d_f)
            torch.mul(d_cell * g, i - i * i, out=d_i)
            torch.mul(d_cell * i, 1 - g * g, out=d_g)
            grad_cell = d_cell * f
            if t:
                back = torch.bmm(grad_gates[t].view(directions, -1, width), transposed)
                grad_state = _scatter(back.view(directions, rows, n, taps * h), first, taps)
        flat = grad_gates.transpose(0, 1)[:, 1:].reshape(directions, -1, width)
        read = _neighbours(states[:-1], first, taps).transpose(0, 1)
        grad_weight = torch.bmm(read.reshape(directions, -1, taps * h).transpose(1, 2), flat)
        return grad_gates, grad_weight, None, None


def _scatter(grad: Tensor, first: int, taps: int) -> Tensor:
    """The transpose of :func:`_neighbours`: (..., N, taps * h) -> (..., N, h)."""
    n = grad.shape[-2]
    total: Tensor | None = None
    for j, part in enumerate(grad.chunk(taps, dim=-1)):
        offset = first + j
        moved = F.pad(part, (0, 0, offset, -offset)) if offset else part
        total = moved if total is None else total + moved
    assert total is not None
    assert total.shape[-2] == n
    return total
