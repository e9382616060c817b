"""The filter bank: reconstruction, delay, chunks, and planted faults."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from vocoder.audio.io import Samples
from vocoder.wavenet import filter_bank
from vocoder.wavenet.filter_bank import (
    BandSynthesis,
    analyse,
    delay,
    filters,
    lookahead,
    power_responses,
)

BANDS = (1, 2, 4, 8)
LARGEST_ERROR_DB = -120.0
"""Of the joined bands against the audio, both rounded to float32."""


def noise(samples: int, seed: int = 0) -> Samples:
    """Noise as loud as speech, with silence at both ends as long as the filters."""
    audio = np.random.default_rng(seed).standard_normal(samples).astype(np.float32) * 0.06
    audio[:128] = audio[-128:] = 0.0
    return audio


def split(audio: Samples, bands: int) -> Samples:
    return analyse(torch.from_numpy(audio)[None].double(), bands)[0].float().numpy()


def join(samples: Samples, bands: int, chunks: Sequence[int] = ()) -> Samples:
    synthesis, parts = BandSynthesis(bands), []
    for chunk in chunks:
        parts.append(synthesis.push(samples[:chunk]))
        samples = samples[chunk:]
    return np.concatenate((*parts, synthesis.push(samples), synthesis.flush()))


def error_db(found: Samples, audio: Samples) -> float:
    assert found.shape == audio.shape
    assert found.dtype == np.float32
    power = np.square(found.astype(float) - audio).sum() / np.square(audio.astype(float)).sum()
    return float(10 * np.log10(max(power, 1e-30)))


@pytest.mark.parametrize("bands", BANDS)
def test_joined_bands_are_the_audio(bands: int) -> None:
    audio = noise(1600)
    assert error_db(join(split(audio, bands), bands), audio) < LARGEST_ERROR_DB


@pytest.mark.parametrize("bands", BANDS)
def test_the_filters_and_their_shifts_are_orthonormal(bands: int) -> None:
    taps = filters(bands)
    assert np.allclose(taps @ taps.T, np.eye(bands), atol=1e-12)
    for shift in range(bands, taps.shape[1], bands):
        assert np.allclose(taps[:, shift:] @ taps[:, :-shift].T, 0.0, atol=1e-12)


@pytest.mark.parametrize("bands", BANDS[1:])
def test_each_band_holds_its_part_of_the_spectrum(bands: int) -> None:
    power = power_responses(bands, 1024).numpy()
    edges = np.linspace(0, 512, bands + 1)
    bins = np.arange(513)
    for k, of_band in enumerate(power):
        far = (bins < edges[k] - 256 / bands) | (bins > edges[k + 1] + 256 / bands)
        middle = np.abs(bins - (edges[k] + edges[k + 1]) / 2) < 128 / bands
        assert np.allclose(of_band[middle], bands, rtol=0.02)
        assert of_band[far].max(initial=0.0) < bands * 1e-4
    assert np.allclose(power.sum(0), bands, rtol=1e-2)


@pytest.mark.parametrize("bands", BANDS)
def test_a_sample_is_finished_after_the_stated_delay(bands: int) -> None:
    synthesis, samples = BandSynthesis(bands), split(noise(800), bands)
    finished = 0
    for first in range(0, len(samples), bands):
        finished += len(synthesis.push(samples[first : first + bands]))
        assert finished == max(0, first + bands - delay(bands))


@pytest.mark.parametrize("bands", BANDS)
def test_a_band_sample_depends_on_audio_up_to_the_stated_lookahead(bands: int) -> None:
    audio = torch.zeros(1, 400 * bands, dtype=torch.float64)
    at = 200 * bands
    audio[0, at] = 1.0
    reached = analyse(audio, bands)[0].nonzero().flatten()
    assert reached.min() // bands == (at - lookahead(bands)) // bands
    assert reached.max() // bands == (at + delay(bands)) // bands


@pytest.mark.parametrize("bands", BANDS)
def test_bytes_do_not_depend_on_the_chunks(bands: int) -> None:
    samples = split(noise(640), bands)
    whole = join(samples, bands)
    for chunks in ([1] * 640, [7] * 80, [0, 3, 500, 1], [200, 200]):
        assert join(samples, bands, chunks).tobytes() == whole.tobytes()


@pytest.mark.parametrize("bands", BANDS[1:])
def test_a_shift_and_a_swap_are_caught(bands: int) -> None:
    audio = noise(1600)
    samples = split(audio, bands)
    shifted = split(np.roll(audio, 1), bands)
    assert error_db(join(shifted, bands), audio) > LARGEST_ERROR_DB
    swapped = samples.reshape(-1, bands)[:, [1, 0, *range(2, bands)]].reshape(-1)
    assert error_db(join(swapped, bands), audio) > LARGEST_ERROR_DB
    late = np.concatenate((np.zeros(1, dtype=np.float32), samples[:-1]))
    assert error_db(join(late, bands), audio) > LARGEST_ERROR_DB


def test_filters_shifted_by_one_sample_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    audio = noise(1600)
    samples = split(audio, 4)
    wrong = np.roll(filter_bank.synthesis_matrix(4).reshape(-1), 1).reshape(-1, 4)
    monkeypatch.setattr(filter_bank, "synthesis_matrix", lambda bands: wrong)
    assert error_db(join(samples, 4), audio) > LARGEST_ERROR_DB


@pytest.mark.parametrize("bands", BANDS)
def test_silence_stays_silence(bands: int) -> None:
    assert not join(np.zeros(160, dtype=np.float32), bands).any()
