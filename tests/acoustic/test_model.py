"""The acoustic model: masks, harmonics, refiner."""

import math

import numpy as np
import torch
from conftest import SPEAKERS, TINY, random_acoustic_model

from vocoder.acoustic.model import AcousticModel, PhoneBatch, Prosody, energy_of
from vocoder.acoustic.refiner import normals
from vocoder.features.harmonics import HarmonicMel
from vocoder.features.mel import log_mel
from vocoder.text.linguistic import CONTEXT, SYMBOLS


def batch(rows: int, phones: int, padding: int = 0) -> tuple[PhoneBatch, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    symbols = torch.randint(0, len(SYMBOLS), (rows, phones), generator=generator)
    context = torch.rand(rows, phones, CONTEXT, generator=generator)
    durations = torch.randint(1, 5, (rows, phones), generator=generator)
    mask = torch.ones(rows, phones)
    pad = (0, padding)
    return PhoneBatch(
        torch.nn.functional.pad(symbols, pad),
        torch.nn.functional.pad(context, (0, 0, *pad)),
        torch.arange(rows) % len(SPEAKERS),
        torch.nn.functional.pad(mask, pad),
    ), torch.nn.functional.pad(durations, pad)


def everything(
    model: AcousticModel, phones: PhoneBatch, durations: torch.Tensor, frames: int, real: int
) -> list[torch.Tensor]:
    mask = torch.zeros(len(durations), frames)
    mask[:, :real] = 1
    encoded = model.encode(phones)
    prosody, logit = model.predict_prosody(encoded, phones, durations, mask)
    mel, _ = model.decode(encoded, phones, durations, prosody, mask)
    return [model.log_durations(encoded, phones), *prosody, logit, mel]


@torch.inference_mode()
def test_padding_has_no_effect() -> None:
    model = random_acoustic_model()
    phones, durations = batch(1, 7)
    real = int(durations.sum())
    alone = everything(model, phones, durations, real, real)
    padded_phones, padded_durations = batch(1, 7, padding=4)
    padded = everything(model, padded_phones, padded_durations, real + 9, real)
    for one, other in zip(alone, padded, strict=True):
        size = one.shape[-1]
        # The last phone's features include its neighbour, which in the padding is a symbol.
        cut = size - 8 if size > 8 else size - 2
        assert torch.allclose(one[..., :cut], other[..., :cut], atol=1e-5), one.shape


@torch.inference_mode()
def test_the_speaker_changes_every_output() -> None:
    model = random_acoustic_model()
    phones, durations = batch(1, 6)
    frames = int(durations.sum())
    one = everything(model, phones, durations, frames, frames)
    other = phones._replace(speaker=torch.tensor([1]))
    for first, second in zip(one, everything(model, other, durations, frames, frames), strict=True):
        assert not torch.equal(first, second)


def test_harmonics_match_those_of_a_pulse_train() -> None:
    config = TINY.features
    table = HarmonicMel(config)
    for f0 in (90.0, 140.0, 230.0):
        time = torch.arange(8000) / config.sample_rate_hz
        harmonics = torch.arange(1, int(7900 / f0))
        pulses = torch.cos(2 * math.pi * f0 * harmonics[:, None] * time).sum(0) * 0.01
        measured = log_mel(pulses, config)[:24, 20]
        found = table(torch.full((1, 1), math.log(f0)))[0, :24, 0]
        correlation = np.corrcoef(measured.clamp_min(measured.max() - 6), found)[0, 1]
        assert correlation > 0.9, f0
        other = table(torch.full((1, 1), math.log(f0 * 1.3)))[0, :24, 0]
        assert np.corrcoef(measured.clamp_min(measured.max() - 6), other)[0, 1] < correlation - 0.2


def test_energy_follows_loudness() -> None:
    mel = torch.randn(1, 80, 5)
    assert torch.allclose(energy_of(mel + 4.0) - energy_of(mel), torch.ones(1, 5), atol=1e-5)


def test_noise_is_normal_and_its_start_does_not_depend_on_the_length() -> None:
    noise = normals(7, 80, 400)
    assert noise.shape == (1, 80, 400)
    assert torch.equal(noise[..., :100], normals(7, 80, 100))
    assert not torch.equal(noise, normals(8, 80, 400))
    assert abs(float(noise.mean())) < 0.02
    assert abs(float(noise.std()) - 1) < 0.02
    assert torch.equal(normals(7, 81, 3)[:, :80].isfinite(), torch.ones(1, 80, 3, dtype=torch.bool))


@torch.inference_mode()
def test_the_refiner_follows_its_field() -> None:
    """With a field that points from the noise to a known residual, the draw is that residual."""
    model = random_acoustic_model()
    residual, noise = torch.randn(1, 80, 6), torch.randn(1, 80, 6)

    class Straight(torch.nn.Module):
        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return residual - noise

    model.refiner.field = Straight()
    condition, mask = torch.zeros(1, 96, 6), torch.ones(1, 6)
    assert torch.allclose(model.refiner.draw(noise, condition, mask), residual, atol=1e-5)
    loss = model.refiner.loss(residual, noise, torch.tensor([0.3]), condition, mask)
    assert float(loss.max()) < 1e-10


@torch.inference_mode()
def test_without_steps_the_mel_stays_the_mean() -> None:
    model = random_acoustic_model()
    model.config = model.config.model_copy(update={"refiner_steps": 0})
    mel = torch.randn(1, 80, 6)
    assert model.refine(mel, torch.zeros(1, 96, 6), torch.ones(1, 6), 0) is mel


def test_prosody_keeps_its_order() -> None:
    assert Prosody._fields == ("log_f0", "voiced", "energy")
