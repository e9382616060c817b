import itertools
import math

import pytest
import torch

from vocoder.audio.io import PCM_16_LEVELS
from vocoder.wavenet import distributions as d

GRID = torch.arange(-PCM_16_LEVELS, PCM_16_LEVELS, dtype=torch.float64) / PCM_16_LEVELS


def mixture(rows: int, components: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(rows, components, generator=generator)
    locations = torch.randn(rows, components, generator=generator) * 0.3
    log_scales = torch.randn(rows, components, generator=generator) - 4
    return torch.cat((weights, locations, log_scales), dim=-1)


def gaussian(rows: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    location = torch.randn(rows, 1, generator=generator) * 0.1
    return torch.cat((location, torch.randn(rows, 1, generator=generator) * 0.3 - 2), dim=-1)


KINDS = {
    "logistics": (mixture, d.logistics_nll, d.logistics_sample),
    "gaussian": (gaussian, d.gaussian_nll, d.gaussian_sample),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("shift", "gain"), [(0.0, 1.0), (0.02, 0.1), (-0.9, 2.0), (0.1, 1e-4), (0.1, 1e-3)]
)
def test_the_mass_over_all_samples_is_one(kind: str, shift: float, gain: float) -> None:
    make, nll, _ = KINDS[kind]
    parameters = make(1).expand(len(GRID), -1)
    target = GRID.float()
    nats = nll(
        parameters, target, -7.0, torch.full_like(target, shift), torch.full_like(target, gain)
    )
    assert math.isclose((-nats.double()).exp().sum().item(), 1.0, abs_tol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gain", [1e-4, 1e-2, 1.0])
def test_far_tails_keep_finite_gradients(kind: str, gain: float) -> None:
    make, nll, _ = KINDS[kind]
    parameters = make(4).requires_grad_()
    target = torch.tensor([0.999, -1.0, 32767 / 32768, 0.0])
    nats = nll(parameters, target, -7.0, torch.zeros(4), torch.ones(4) * gain)
    nats.sum().backward()
    assert nats.isfinite().all()
    assert parameters.grad is not None
    assert parameters.grad.isfinite().all()


def test_gaussian_mass_equals_double_precision() -> None:
    location, log_scale = torch.tensor(0.05), torch.tensor([-7.0, -5.0, -2.0])
    parameters = torch.stack((location.expand(3), log_scale), dim=-1)
    for gain in (1e-3, 0.03, 1.0):
        scale = gain * log_scale.double().exp()
        for away in (0.0, 0.7, 3.0, 6.0):
            target = (gain * 0.05 + away * scale).float()
            found = d.gaussian_nll(parameters, target, -7.0, torch.zeros(3), torch.full((3,), gain))
            centred = (target.double() - gain * 0.05) / scale
            half = d.HALF_STEP / scale
            mass = torch.special.ndtr(-centred.abs() + half)
            mass -= torch.special.ndtr(-centred.abs() - half)
            assert torch.allclose(found.double(), -mass.log(), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_sampled_frequencies_equal_the_probabilities(kind: str) -> None:
    make, nll, sample = KINDS[kind]
    parameters = make(1)
    count = 200_000
    uniforms = torch.rand(count, 2, generator=torch.Generator().manual_seed(1))
    zero, one = torch.zeros(count), torch.ones(count)
    drawn = sample(parameters.expand(count, -1), uniforms, -7.0, zero, one)
    edges = torch.linspace(-0.6, 0.6, 13, dtype=torch.float64)
    target = GRID.float()
    wide = parameters.expand(len(GRID), -1)
    nats = nll(wide, target, -7.0, torch.zeros_like(target), torch.ones_like(target))
    mass = (-nats.double()).exp()
    for low, high in itertools.pairwise(edges.tolist()):
        expected = mass[(low <= GRID) & (high > GRID)].sum().item()
        found = ((drawn >= low) & (drawn < high)).double().mean().item()
        assert abs(found - expected) < 5 * math.sqrt(expected * (1 - expected) / count) + 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_shift_and_gain_move_and_scale_the_draws(kind: str) -> None:
    make, _, sample = KINDS[kind]
    parameters = make(1).expand(1000, -1)
    uniforms = torch.rand(1000, 2, generator=torch.Generator().manual_seed(2))
    plain = sample(parameters, uniforms, -7.0, torch.zeros(1000), torch.ones(1000))
    half, shift = torch.full((1000,), 0.5), torch.full((1000,), 0.25)
    moved = sample(parameters, uniforms, -7.0, shift, half)
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
