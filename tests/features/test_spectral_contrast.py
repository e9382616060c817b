from typing import Any

import numpy as np
import pytest
import scipy.fft
import torch
from tolerances import CONTRAST, assert_close

from vocoder.config import ContrastConfig, FeatureConfig
from vocoder.features.spectral_contrast import ReferenceContrast, SpectralContrast, sharpened

FEATURES = FeatureConfig()
CONFIGS = (
    ContrastConfig(),
    ContrastConfig(keep_level=False),
    ContrastConfig(time=0.0),
    ContrastConfig(frequency=1.0),
    ContrastConfig(frequency=1.4, first=1, last=512, time=1.0, frames=3),
    ContrastConfig(frames=1),
)


def mel_of(frames: int = 40, seed: int = 0) -> np.ndarray:
    """Log-mel like that of speech: from -20 to 0, with slopes over the bands."""
    generator = np.random.default_rng(seed)
    slope = np.linspace(-2.0, -12.0, FEATURES.n_mels)[:, None]
    return (slope + 2.0 * generator.standard_normal((FEATURES.n_mels, frames))).astype(np.float32)


def run(
    mel: np.ndarray, config: ContrastConfig, frames: int = 10**9, kind: Any = SpectralContrast
) -> np.ndarray:
    contrast = kind(config, FEATURES)
    starts = range(0, mel.shape[1], frames)
    parts = [contrast.push(mel[:, start : start + frames]) for start in starts]
    return np.concatenate((*parts, contrast.flush()), axis=1)


@pytest.mark.parametrize("kind", [SpectralContrast, ReferenceContrast])
@pytest.mark.parametrize("config", CONFIGS)
def test_chunking_changes_nothing(config: ContrastConfig, kind: Any) -> None:
    mel = mel_of(23)
    whole = run(mel, config, kind=kind)
    assert whole.shape == mel.shape
    for frames in (1, 2, 7):
        assert np.array_equal(run(mel, config, frames, kind), whole)
    assert np.array_equal(sharpened(torch.from_numpy(mel), config, FEATURES), run(mel, config))


@pytest.mark.parametrize("frames", [1, 2, 40])
@pytest.mark.parametrize("config", CONFIGS)
def test_native_code_equals_the_reference(config: ContrastConfig, frames: int) -> None:
    mel = mel_of(frames)
    found, expected = run(mel, config, 5), run(mel, config, kind=ReferenceContrast)
    assert_close(torch.from_numpy(found), torch.from_numpy(expected), CONTRAST)


@pytest.mark.parametrize("shifted", [{"first": 3}, {"last": 25}, {"last": 23}, {"frames": 11}])
def test_a_shifted_filter_is_far_beyond_the_tolerance(shifted: dict[str, int]) -> None:
    mel = mel_of()
    found = run(mel, ContrastConfig(**shifted))
    expected = run(mel, ContrastConfig(), kind=ReferenceContrast)
    assert np.abs(found - expected).max() > 1000 * CONTRAST


def test_a_filter_that_is_a_frame_late_is_far_beyond_the_tolerance() -> None:
    mel = mel_of()
    late = run(np.concatenate((mel[:, :1], mel[:, :-1]), 1), ContrastConfig())
    assert np.abs(late - run(mel, ContrastConfig(), kind=ReferenceContrast)).max() > 1.0


def test_over_frequency_the_named_coefficients_grow_and_the_level_stays() -> None:
    mel, config = mel_of(), ContrastConfig(frequency=1.5, first=2, last=24, time=0.0)
    sharp = run(mel, config)
    power = np.logaddexp.reduce
    assert np.allclose(power(sharp, axis=0), power(mel, axis=0), atol=1e-4)
    before, after = (scipy.fft.dct(x, axis=0, norm="ortho") for x in (mel, sharp))
    assert np.allclose(after[2:25], 1.5 * before[2:25], atol=1e-3)
    for kept in (slice(1, 2), slice(25, None)):
        assert np.allclose(after[kept], before[kept], atol=1e-3)
    louder = run(mel, config.model_copy(update={"keep_level": False}))
    assert (power(louder, axis=0) > power(mel, axis=0)).all()


def test_over_time_steps_grow_and_what_stands_still_stays() -> None:
    config = ContrastConfig(frequency=1.0, time=0.3, frames=9, keep_level=False)
    steady = np.repeat(mel_of(1), 30, axis=1)
    assert np.allclose(run(steady, config), steady, atol=1e-5)
    step = steady.copy()
    step[:, 15:] += 1.0
    moved = run(step, config) - steady
    # Before the step 4 of the 9 frames lie above, after it 5 of them.
    assert np.allclose(moved[:, 14], -0.3 * 4 / 9, atol=1e-5)
    assert np.allclose(moved[:, 15], 1.0 + 0.3 * 4 / 9, atol=1e-5)
    assert np.allclose(moved[:, 10], 0.0, atol=1e-5)
    kept = run(step, config.model_copy(update={"keep_level": True}))
    power = np.logaddexp.reduce
    assert np.allclose(power(kept, axis=0), power(step, axis=0), atol=1e-4)


def test_no_value_falls_below_the_floor() -> None:
    floor = np.log(FEATURES.log_floor)
    silence = np.full((FEATURES.n_mels, 12), floor, dtype=np.float32)
    silence[::2, 5] = 0.0
    assert run(silence, ContrastConfig(frequency=2.0)).min() >= np.float32(floor)


def test_a_share_of_nothing_is_nothing() -> None:
    mel = mel_of()
    assert np.allclose(run(mel, ContrastConfig().scaled(0.0)), mel, atol=1e-5)
    assert np.array_equal(run(mel, ContrastConfig().scaled(1.0)), run(mel, ContrastConfig()))
