import threading
from typing import Any

import numpy as np
import pytest
import torch
from tolerances import CORRECTION, assert_close

from vocoder.config import FeatureConfig
from vocoder.features import feature_file as features
from vocoder.native import library as native
from vocoder.synthesis.spectral_correction import CorrectionChain, ReferenceChain

CONFIGS = (
    FeatureConfig(),
    FeatureConfig(
        sample_rate_hz=8000, n_fft=256, win_length=200, hop_length=60, n_mels=20, f_max_hz=4000.0
    ),
    # Not a power of two: beyond the native code.
    FeatureConfig(
        sample_rate_hz=8000, n_fft=200, win_length=200, hop_length=50, n_mels=12, f_max_hz=4000.0
    ),
)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.05 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def mel_of(samples: np.ndarray, config: FeatureConfig) -> np.ndarray:
    return features.log_mel(torch.from_numpy(samples), config).numpy()


def run(
    samples: np.ndarray,
    mel: np.ndarray,
    config: FeatureConfig,
    passes: int,
    chunk: int = 10**9,
    frames: int = 10**9,
    kind: Any = CorrectionChain,
) -> np.ndarray:
    """The corrected stream: each push has ``chunk`` samples, after ``frames`` frames of mel."""
    chain, parts = kind(config, passes, limit_db=12.0), []
    for i in range(max(-(-len(samples) // chunk), -(-mel.shape[1] // frames))):
        chain.extend(mel[:, i * frames : (i + 1) * frames])
        parts.append(chain.push(samples[i * chunk : (i + 1) * chunk]))
    return np.concatenate((*parts, chain.flush()))


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("passes", [0, 1, 3])
def test_audio_that_already_has_its_target_mel_is_unchanged(
    config: FeatureConfig, passes: int
) -> None:
    audio = noise(40 * config.hop_length)
    found = run(audio, mel_of(audio, config), config, passes)
    assert found.shape == audio.shape
    assert np.abs(found - audio).max() < 1e-5


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("passes", [1, 2])
def test_chunking_changes_nothing(config: FeatureConfig, passes: int) -> None:
    audio, mel = noise(23 * config.hop_length), mel_of(noise(23 * config.hop_length, 1), config)
    whole = run(audio, mel, config, passes)
    for chunk in (1, 7, config.hop_length, 5 * config.hop_length + 1):
        assert np.array_equal(run(audio, mel, config, passes, chunk), whole)
    for frames in (1, 4, 22):
        assert np.array_equal(run(audio, mel, config, passes, 300, frames), whole)
    before = run(audio[: 3 * config.hop_length], mel, config, passes, 10, kind=ReferenceChain)
    assert len(before) == len(whole), "missing input samples count as silence"


def test_each_pass_brings_the_mel_closer_to_its_target() -> None:
    config = CONFIGS[0]
    target = mel_of(noise(16000, 1), config)
    errors = [
        np.abs(mel_of(run(noise(16000), target, config, passes), config) - target).mean()
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
def test_samples_before_audio_is_exact(passes: int) -> None:
    for config in CONFIGS:
        samples = CorrectionChain.samples_before_audio(config, passes)
        mel = np.full((config.n_mels, 40), -9.0, dtype=np.float32)
        for count, audible in ((samples - 1, False), (samples, True)):
            chain = CorrectionChain(config, passes, 12.0)
            chain.extend(mel)
            assert bool(len(chain.push(noise(count)))) == audible


INSTRUCTION_SETS = native.load().instruction_sets()


@pytest.mark.parametrize("config", CONFIGS[:2])
@pytest.mark.parametrize("instructions", INSTRUCTION_SETS)
def test_native_code_equals_the_reference(
    config: FeatureConfig, instructions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(native.INSTRUCTIONS_VARIABLE, instructions)
    hop = config.hop_length
    audio, mel = noise(300 * hop), mel_of(noise(300 * hop, 1), config)
    audio[50 * hop : 60 * hop] = 0.0
    for passes in (0, 1, 3):
        found = run(audio, mel, config, passes, 4 * hop, 8)
        expected = run(audio, mel, config, passes, kind=ReferenceChain)
        assert_close(torch.from_numpy(found), torch.from_numpy(expected), CORRECTION)


def test_the_comparison_catches_a_mel_shifted_by_one_frame() -> None:
    config = CONFIGS[0]
    audio, mel = noise(4000), mel_of(noise(4000, 1), config)
    found = run(audio, np.roll(mel, 1, axis=1), config, 1)
    expected = run(audio, mel, config, 1, kind=ReferenceChain)
    with pytest.raises(AssertionError, match="differs"):
        assert_close(torch.from_numpy(found), torch.from_numpy(expected), CORRECTION)


def test_frames_may_be_appended_by_another_thread() -> None:
    config = CONFIGS[0]
    audio, mel = noise(400 * 200), mel_of(noise(400 * 200, 1), config)
    expected = run(audio, mel, config, 3)
    chain = CorrectionChain(config, 3, 12.0)

    def append() -> None:
        for frame in range(400):
            chain.extend(mel[:, frame : frame + 1])

    thread = threading.Thread(target=append)
    thread.start()
    parts = [chain.push(audio[i : i + 800]) for i in range(0, len(audio), 800)]
    thread.join()
    assert np.array_equal(np.concatenate((*parts, chain.flush())), expected)


def test_without_the_native_library_numpy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    config = CONFIGS[0]
    audio, mel = noise(4000), mel_of(noise(4000, 1), config)
    expected = run(audio, mel, config, 2, kind=ReferenceChain)
    monkeypatch.setattr(native, "find", lambda: None)
    assert np.array_equal(run(audio, mel, config, 2, 700), expected)


@pytest.mark.parametrize("given", [np.zeros((79, 2)), np.zeros(80)])
def test_frames_of_the_wrong_shape_are_refused(given: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"mel must be float32|too few dimensions"):
        CorrectionChain(CONFIGS[0], 1, 12.0).extend(given)
