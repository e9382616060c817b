import itertools
import math

import pytest
import torch

from vocoder.audio import PCM_16_LEVELS
from vocoder.wavenet import distributions as d

GRID = torch.arange(-PCM_16_LEVELS, PCM_16_LEVELS, dtype=torch.float64) / PCM_16_LEVELS


def mixture(rows: int, components: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(rows, components, generator=generator)
    locations = torch.randn(rows, components, generator=generator) * 0.3
    log_scales = torch.randn(rows, components, generator=generator) - 4
    return torch.cat((weights, locations, log_scales), dim=-1)


@pytest.mark.parametrize(("shift", "gain"), [(0.0, 1.0), (0.02, 0.1), (-0.9, 2.0)])
def test_the_mixture_s_mass_over_all_samples_is_one(shift: float, gain: float) -> None:
    parameters = mixture(1).expand(len(GRID), -1)
    target = GRID.float()
    nats = d.logistics_nll(
        parameters, target, -7.0, torch.full_like(target, shift), torch.full_like(target, gain)
    )
    assert math.isclose((-nats.double()).exp().sum().item(), 1.0, abs_tol=1e-3)


def test_far_tails_keep_finite_gradients() -> None:
    parameters = mixture(2).requires_grad_()
    target = torch.tensor([0.999, -1.0])
    nats = d.logistics_nll(parameters, target, -7.0, torch.zeros(2), torch.ones(2) * 1e-4)
    nats.sum().backward()
    assert nats.isfinite().all()
    assert parameters.grad is not None
    assert parameters.grad.isfinite().all()


def test_sampled_frequencies_are_the_mixture_s_probabilities() -> None:
    parameters = mixture(1)
    count = 200_000
    uniforms = torch.rand(count, 2, generator=torch.Generator().manual_seed(1))
    zero, one = torch.zeros(count), torch.ones(count)
    drawn = d.logistics_sample(parameters.expand(count, -1), uniforms, -7.0, zero, one)
    edges = torch.linspace(-0.6, 0.6, 13, dtype=torch.float64)
    target = GRID.float()
    wide = parameters.expand(len(GRID), -1)
    nats = d.logistics_nll(wide, target, -7.0, torch.zeros_like(target), torch.ones_like(target))
    mass = (-nats.double()).exp()
    for low, high in itertools.pairwise(edges.tolist()):
        expected = mass[(low <= GRID) & (high > GRID)].sum().item()
        found = ((drawn >= low) & (drawn < high)).double().mean().item()
        assert abs(found - expected) < 5 * math.sqrt(expected * (1 - expected) / count) + 1e-4


def test_shift_and_gain_move_and_stretch_what_is_drawn() -> None:
    parameters = mixture(1).expand(1000, -1)
    uniforms = torch.rand(1000, 2, generator=torch.Generator().manual_seed(2))
    plain = d.logistics_sample(parameters, uniforms, -7.0, torch.zeros(1000), torch.ones(1000))
    half, shift = torch.full((1000,), 0.5), torch.full((1000,), 0.25)
    moved = d.logistics_sample(parameters, uniforms, -7.0, shift, half)
    inside = plain.abs() < 0.9
    assert torch.allclose(moved[inside], (0.25 + 0.5 * plain)[inside], atol=2 / PCM_16_LEVELS)


def test_categorical_inverts_the_cumulative_distribution() -> None:
    logits = torch.tensor([[0.1, 0.2, 0.3, 0.4]]).log()
    for uniform, code in ((0.05, 0), (0.15, 1), (0.31, 2), (0.59, 2), (0.61, 3), (0.9999999, 3)):
        assert d.categorical_sample(logits, torch.tensor([[uniform, 0.0]])).item() == code


def test_samples_lie_on_the_16_bit_grid_and_inside_it() -> None:
    samples = d.to_16_bit(torch.tensor([-2.0, -0.50001, 0.1, 2.0]))
    assert torch.equal(samples * PCM_16_LEVELS, (samples * PCM_16_LEVELS).round())
    assert samples.min() == -1.0
    assert samples.max() == 32767 / 32768
