import numpy as np
import pytest
import torch

from vocoder import features
from vocoder.config import FeatureConfig
from vocoder.generation.correction import CorrectionChain

CONFIGS = (
    FeatureConfig(),
    FeatureConfig(
        sample_rate_hz=8000, n_fft=256, win_length=200, hop_length=60, n_mels=20, f_max_hz=4000.0
    ),
)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.05 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def mel_of(samples: np.ndarray, config: FeatureConfig) -> np.ndarray:
    return features.log_mel(torch.from_numpy(samples), config).numpy()


def run(
    samples: np.ndarray, mel: np.ndarray, config: FeatureConfig, passes: int, chunk: int = 10**9
):
    chain = CorrectionChain(mel, config, passes, limit_db=12.0)
    parts = [chain.push(samples[i : i + chunk]) for i in range(0, len(samples), chunk)]
    return np.concatenate((*parts, chain.flush()))


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("passes", [0, 1, 3])
def test_audio_that_has_its_mel_already_passes_unchanged(
    config: FeatureConfig, passes: int
) -> None:
    audio = noise(40 * config.hop_length)
    found = run(audio, mel_of(audio, config), config, passes)
    assert found.shape == audio.shape
    assert np.abs(found - audio).max() < 1e-5


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("passes", [1, 2])
def test_chunks_change_nothing(config: FeatureConfig, passes: int) -> None:
    audio, mel = noise(23 * config.hop_length), mel_of(noise(23 * config.hop_length, 1), config)
    whole = run(audio, mel, config, passes)
    for chunk in (1, 7, config.hop_length, 5 * config.hop_length + 1):
        assert np.array_equal(run(audio, mel, config, passes, chunk), whole)


def test_each_pass_brings_the_mel_closer() -> None:
    config = CONFIGS[0]
    asked = mel_of(noise(16000, 1), config)
    errors = [
        np.abs(mel_of(run(noise(16000), asked, config, passes), config) - asked).mean()
        for passes in range(4)
    ]
    assert errors[1] < 0.7 * errors[0]
    assert errors[3] < errors[2] < errors[1]


def test_one_frame_and_silence_stay_finite() -> None:
    config = CONFIGS[0]
    silence = np.zeros(200, dtype=np.float32)
    found = run(silence, np.zeros((80, 1), dtype=np.float32), config, 2)
    assert found.shape == (200,)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("passes", [0, 1, 3])
def test_the_first_audio_comes_after_as_many_samples_as_it_says(passes: int) -> None:
    for config in CONFIGS:
        samples = CorrectionChain.samples_before_audio(config, passes)
        mel = np.full((config.n_mels, 40), -9.0, dtype=np.float32)
        for count, audible in ((samples - 1, False), (samples, True)):
            chain = CorrectionChain(mel, config, passes, 12.0)
            assert bool(len(chain.push(noise(count)))) == audible
