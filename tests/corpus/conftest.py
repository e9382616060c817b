"""Generated speech-like recordings, and preparation settings for small features."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vocoder.audio.io import Samples
from vocoder.config import FeatureConfig
from vocoder.corpus.settings import PreparationConfig

SMALL = FeatureConfig(
    sample_rate_hz=8000, n_fft=256, win_length=200, hop_length=60, n_mels=20, f_max_hz=4000.0
)
Speech = Callable[..., Samples]


@pytest.fixture
def settings() -> PreparationConfig:
    return PreparationConfig(features=SMALL)


@pytest.fixture
def speech() -> Speech:
    return make_speech


@pytest.fixture
def ljspeech(tmp_path: Path) -> Callable[..., Path]:
    """Writes a speaker into ``recordings``, given a name and the texts by id."""
    return functools.partial(write_ljspeech, tmp_path / "recordings")


def make_speech(
    seconds: float = 1.0,
    rate: int = 8000,
    *,
    peak: float = 0.3,
    silence_s: float = 0.4,
    noise: float = 1e-4,
    seed: int = 0,
) -> Samples:
    """Syllables of harmonics up to ``peak`` in faint noise, with silence at both ends."""
    time = np.arange(round(seconds * rate)) / rate
    pitch = 120 + 10 * (seed % 8)
    voice = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 8))
    syllables = 0.3 + 0.7 * np.abs(np.sin(2 * np.pi * 2.5 * time))
    voiced = np.asarray(voice) * syllables
    pause = np.zeros(round(silence_s * rate))
    whole = np.concatenate((pause, peak * voiced / np.abs(voiced).max(), pause))
    whole += noise * np.random.default_rng(seed).standard_normal(len(whole))
    return whole.astype(np.float32)


def write_ljspeech(parent: Path, speaker: str, texts: dict[str, str]) -> Path:
    """Write ``parent/speaker`` in LJSpeech layout; returns it."""
    folder = parent / speaker
    (folder / "wavs").mkdir(parents=True)
    for number, identifier in enumerate(texts):
        samples = make_speech(0.7 + 0.05 * (number % 4), seed=number)
        soundfile.write(folder / "wavs" / f"{identifier}.wav", samples, 8000)
    lines = (f"{identifier}|raw {text}|{text}\n" for identifier, text in texts.items())
    (folder / "metadata.csv").write_text("".join(lines), encoding="utf-8")
    return folder
