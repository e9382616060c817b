from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from vocoder.config import FeatureConfig
from vocoder.errors import ConfigError, FeatureError
from vocoder.features import feature_file
from vocoder.features.f0 import f0_contour
from vocoder.features.mel import log_mel, power_spectrogram

CONFIG = FeatureConfig()


def speechlike(samples: int = 16000) -> np.ndarray:
    t = np.arange(samples) / 16000
    return (0.1 * sum(np.sin(2 * np.pi * 150 * h * t) / h for h in range(1, 20))).astype(np.float32)


def test_frames_cover_the_samples_and_each_its_own_range() -> None:
    click = torch.zeros(1600)
    click[5 * 200 + 100] = 1.0
    mel = log_mel(click, CONFIG)
    assert mel.shape == (80, 8)
    assert mel.sum(0).argmax() == 5
    assert log_mel(torch.zeros(1601), CONFIG).shape == (80, 9)
    assert log_mel(torch.zeros(1), CONFIG).shape == (80, 1)


def test_white_noise_has_its_variance_in_every_band() -> None:
    noise = torch.randn(160_000, generator=torch.Generator().manual_seed(0)) * 0.1
    power = power_spectrogram(noise, CONFIG)[1:-1, 4:-4].mean()
    assert abs(power / 0.01 - 1) < 0.02


def test_a_batch_is_analysed_like_each_row_alone() -> None:
    audio = torch.randn(2, 3000, generator=torch.Generator().manual_seed(0))
    batch = log_mel(audio, CONFIG)
    assert torch.allclose(batch[1], log_mel(audio[1], CONFIG), atol=1e-5)


def test_f0_and_voicing_of_a_known_pitch() -> None:
    samples = np.concatenate((np.zeros(8000, np.float32), speechlike()))
    f0 = f0_contour(samples, CONFIG)
    assert f0.shape == (CONFIG.frames(len(samples)),)
    assert (f0[:30] == 0).all()
    inner = f0[50:-10]
    assert (inner > 0).mean() > 0.95
    assert abs(1200 * np.log2(np.median(inner[inner > 0]) / 150)) < 20


def test_files_contain_mel_f0_and_fingerprint(tmp_path: Path) -> None:
    analysis = feature_file.analyze(speechlike(), CONFIG)
    feature_file.save(tmp_path / "f.safetensors", analysis)
    loaded = feature_file.load(tmp_path / "f.safetensors", CONFIG)
    assert torch.equal(loaded.mel, analysis.mel)
    assert loaded.f0 is not None
    assert analysis.f0 is not None
    assert torch.equal(loaded.f0, analysis.f0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hop_length": 160}, "hop_length 160, the voice needs 200"),
        ({"f_max_hz": 7600.0}, "f_max_hz 7600.0, the voice needs 8000.0"),
        ({"log_floor": 1e-5}, "log_floor 1e-05, the voice needs 1e-10"),
    ],
)
def test_other_settings_are_refused_with_both_values(change: dict, message: str) -> None:
    other = CONFIG.model_copy(update=change)
    data = feature_file.serialize(feature_file.analyze(speechlike(), other, with_f0=False))
    with pytest.raises(FeatureError, match=message):
        feature_file.deserialize(data, CONFIG)


def file_of(mel: torch.Tensor, **tensors: torch.Tensor) -> bytes:
    return save({"mel": mel, **tensors}, CONFIG.fingerprint())


def with_header(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a feature file"),
        (b"plain text, not features at all", "not a feature file"),
        (file_of(torch.zeros(80, 5))[:-7], "not a feature file"),
        (file_of(torch.zeros(80, 5)) + b"\0", "not a feature file"),
        (file_of(torch.zeros(79, 5)), r"\(79, 5\), expected \(80, frames\)"),
        (file_of(torch.zeros(80, 0)), "no frames"),
        (file_of(torch.zeros(1, 80, 5)), "expected"),
        (file_of(torch.full((80, 5), torch.nan)), "nan at band 0, frame 0"),
        (file_of(torch.full((80, 5), torch.inf)), "inf at band 0, frame 0"),
        (file_of(torch.full((80, 5), 60.0)), "reaches 60.0"),
        (file_of(torch.zeros(80, 5, dtype=torch.int32)), "expected float32"),
        (save({"mel": torch.zeros(80, 5)}), "lacks sample_rate_hz"),
        (with_header(b'{"__metadata__": "x"}'), "not a feature file"),
        (with_header(b'{"__metadata__": []}'), "not a feature file"),
        (with_header(b"[" * 100_000), "not a feature file"),
        (save({"lem": torch.zeros(80, 5)}, CONFIG.fingerprint()), "no tensor named mel"),
    ],
)
def test_damaged_or_invalid_files_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(FeatureError, match=message):
        feature_file.deserialize(data, CONFIG)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hop_length": 2000}, "hop_length 2000 exceeds win_length 1024"),
        ({"win_length": 2048}, "win_length 2048 exceeds n_fft 1024"),
        ({"f_max_hz": 9000.0}, "f_max_hz 9000 exceeds half of sample_rate_hz 16000"),
        ({"f_min_hz": 8000.0}, "not below f_max_hz"),
        ({"hop_length": 201}, "must be even"),
        ({"hop_length": 0}, "greater than or equal to 1"),
        ({"colour": 3}, "unknown key"),
        ({"n_fft": "1024"}, "valid integer"),
    ],
)
def test_inconsistent_settings_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FeatureConfig.parse(CONFIG.model_dump() | change, "features")


def test_more_bands_than_the_fft_resolves_are_refused() -> None:
    config = CONFIG.model_copy(update={"n_mels": 512})
    with pytest.raises(ConfigError, match="n_mels 512 leaves"):
        log_mel(torch.zeros(1000), config)
