"""Resampling in chunks: equal to the whole, with little delay."""

from collections.abc import Sequence

import numpy as np
import pytest
from cutting import cut

from vocoder.audio import io as audio
from vocoder.audio.io import Samples
from vocoder.audio.resampler import LARGEST_BLOCK, Resampler

RATES = [
    *((16000, to_rate) for to_rate in (8000, 11025, 12000, 22050, 24000, 32000, 44100, 48000)),
    (8000, 24000),
    (22050, 24000),
    (16000, 16000),
]


def noise(count: int) -> Samples:
    return (np.random.default_rng(count).standard_normal(count) * 0.2).astype(np.float32)


def in_chunks(samples: Samples, rate: int, to_rate: int, sizes: Sequence[int]) -> Samples:
    resampler = Resampler(rate, to_rate)
    parts = [resampler.push(chunk) for chunk in cut(samples, sizes)]
    return np.concatenate([*parts, resampler.finish()])


@pytest.mark.parametrize(("rate", "to_rate"), RATES)
def test_chunks_equal_the_whole(rate: int, to_rate: int) -> None:
    samples = noise(3 * LARGEST_BLOCK + 17)
    whole = in_chunks(samples, rate, to_rate, [len(samples)])
    for sizes in ([200], [1, 7, 333, 5000]):
        assert in_chunks(samples, rate, to_rate, sizes).tobytes() == whole.tobytes()
    # torchaudio computes its filter in single precision.
    other = audio.resample(samples, rate, to_rate)
    assert len(whole) == len(other)
    assert np.abs(whole - other).max() < 3e-5


@pytest.mark.parametrize("count", [0, 1, 2, 50, 137])
@pytest.mark.parametrize("to_rate", [8000, 22050, 24000])
def test_signals_shorter_than_the_filter(count: int, to_rate: int) -> None:
    found = in_chunks(noise(count), 16000, to_rate, [1])
    assert len(found) == -(-count * to_rate // 16000)
    if count:
        other = audio.resample(noise(count), 16000, to_rate)
        assert np.abs(found - other).max() < 3e-5


@pytest.mark.parametrize(("rate", "to_rate"), RATES)
def test_the_delay_is_within_ten_milliseconds(rate: int, to_rate: int) -> None:
    resampler, read, written = Resampler(rate, to_rate), 0, 0
    for chunk in cut(noise(rate // 4), [40]):
        read, written = read + len(chunk), written + len(resampler.push(chunk))
        assert read / rate - written / to_rate <= resampler.delay_s + 1 / to_rate
    assert resampler.delay_s < 0.01


def test_an_hour_needs_no_more_memory_than_a_second() -> None:
    resampler = Resampler(16000, 24000)
    for _ in range(50):
        resampler.push(noise(1600))
    assert len(resampler._kept) < 2 * 80
