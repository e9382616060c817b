from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from vocoder.audio.io import Samples
from vocoder.corpus.manifest import Reason
from vocoder.corpus.processing import Task, clean, frame_levels, process
from vocoder.corpus.settings import PreparationConfig
from vocoder.corpus.utterances import read_utterance_file
from vocoder.errors import CorpusError
from vocoder.features.mel import log_mel

from .conftest import Speech


def active_level(samples: Samples) -> float:
    levels = frame_levels(samples, 8000)
    loud = levels[levels > levels.max() - 25]
    return float(10 * np.log10(np.mean(10 ** (loud / 10))))


@pytest.mark.parametrize("peak", [0.05, 0.2, 0.9])
@pytest.mark.parametrize("noise", [0.0, 1e-4, 3e-3])
def test_trims_to_the_margin_and_levels(
    tmp_path: Path, speech: Speech, settings: PreparationConfig, peak: float, noise: float
) -> None:
    path = tmp_path / "a.wav"
    samples = speech(1.0, peak=peak, noise=noise * peak / 0.2) + np.float32(0.01)
    soundfile.write(path, samples, 8000, subtype="FLOAT")
    cleaned, measurements = clean(path, settings)
    assert measurements.seconds == pytest.approx(1.8, abs=0.01)
    assert measurements.kept_s == pytest.approx(1.24, abs=0.05)
    assert len(cleaned) % settings.features.hop_length == 0
    assert active_level(cleaned) == pytest.approx(settings.level_dbfs, abs=0.5)
    assert abs(float(cleaned.mean())) < 1e-3
    assert 0.05 < measurements.silence < 0.3


def test_click_in_the_silence_is_not_speech(
    tmp_path: Path, speech: Speech, settings: PreparationConfig
) -> None:
    samples = speech(1.0)
    samples[200:204] = 0.25
    soundfile.write(tmp_path / "a.wav", samples, 8000)
    _, measurements = clean(tmp_path / "a.wav", settings)
    assert measurements.kept_s == pytest.approx(1.24, abs=0.05)


def test_peak_limit_bounds_the_gain(
    tmp_path: Path, speech: Speech, settings: PreparationConfig
) -> None:
    samples = speech(1.0, peak=0.05)
    samples[6000] = 0.5
    soundfile.write(tmp_path / "a.wav", samples, 8000)
    cleaned, _ = clean(tmp_path / "a.wav", settings)
    assert float(np.abs(cleaned).max()) == pytest.approx(settings.peak_limit, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "rate", "channels"),
    [("a.wav", 44100, 2), ("a.flac", 24000, 1), ("a.ogg", 44100, 1), ("a.mp3", 22050, 2)],
)
def test_formats_rates_and_channels(
    tmp_path: Path,
    speech: Speech,
    settings: PreparationConfig,
    name: str,
    rate: int,
    channels: int,
) -> None:
    samples = np.repeat(speech(1.0, rate)[:, None], channels, axis=1)
    soundfile.write(tmp_path / name, samples, rate)
    cleaned, measurements = clean(tmp_path / name, settings)
    assert measurements.rate_hz == rate
    assert measurements.kept_s == pytest.approx(1.24, abs=0.06)
    assert active_level(cleaned) == pytest.approx(settings.level_dbfs, abs=0.6)


def test_utterance_file_holds_the_features_of_its_audio(
    tmp_path: Path, speech: Speech, settings: PreparationConfig
) -> None:
    soundfile.write(tmp_path / "a.wav", speech(0.5), 8000)
    chosen = settings.model_copy(update={"f0": True})
    outcome = process(Task(tmp_path / "a.wav", tmp_path / "out" / "a.safetensors"), chosen)
    assert outcome.redone
    tensors = read_utterance_file(tmp_path / "out" / "a.safetensors", settings.features)
    audio, mel, f0 = tensors["audio"], tensors["mel"], tensors["f0"]
    assert len(audio) == outcome.samples == mel.shape[1] * settings.features.hop_length
    torch.testing.assert_close(mel, log_mel(audio.float() / 32768, settings.features))
    assert f0.shape == mel.shape[1:]
    voiced = f0[f0 > 0]
    assert float(voiced.median()) == pytest.approx(120, rel=0.03)


def _write_fault(path: Path, fault: str, speech: Speech) -> None:
    samples = speech(1.0)
    nothing = np.zeros(0, dtype=np.float32)
    signals = {
        "no samples": nothing,
        "digital silence": np.zeros(8000, dtype=np.float32),
        "faint noise": samples * 0 + speech(1.0, peak=1e-4),
        "clipped": np.clip(5 * samples, -1, 1),
        "short": speech(0.1),
        "long": speech(31.0),
        "hours": speech(130.0),
        "not finite": np.where(np.arange(len(samples)) == 50, np.nan, samples),
    }
    if fault in signals:
        subtype = "FLOAT" if fault == "not finite" else "PCM_16"
        soundfile.write(path, signals[fault], 8000, subtype=subtype)
        return
    soundfile.write(path, samples, 1000 if fault == "rate" else 8000)
    whole = path.read_bytes()
    contents = {"no bytes": b"", "text": b"RIFF, she said.\n" * 90, "header cut": whole[:30]}
    path.write_bytes(contents.get(fault, whole))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("no bytes", "empty"),
        ("no samples", "empty"),
        ("text", "unreadable"),
        ("header cut", "unreadable"),
        ("not finite", "unreadable"),
        ("rate", "unreadable"),
        ("digital silence", "silent"),
        ("faint noise", "silent"),
        ("clipped", "clipped"),
        ("short", "too_short"),
        ("long", "too_long"),
        ("hours", "too_long"),
    ],
)
def test_each_fault_is_rejected_with_its_reason(
    tmp_path: Path, speech: Speech, settings: PreparationConfig, fault: str, reason: Reason
) -> None:
    path, target = tmp_path / "a.wav", tmp_path / "out" / "a.safetensors"
    _write_fault(path, fault, speech)
    outcome = process(Task(path, target), settings)
    assert outcome.refusal is not None
    assert outcome.refusal.reason == reason
    assert outcome.refusal.detail
    assert not target.exists()


def test_missing_source_is_unreadable(tmp_path: Path, settings: PreparationConfig) -> None:
    outcome = process(Task(tmp_path / "gone.wav", tmp_path / "a.safetensors"), settings)
    assert outcome.refusal is not None
    assert outcome.refusal.reason == "unreadable"


def test_target_that_cannot_be_written_is_the_users_error(
    tmp_path: Path, speech: Speech, settings: PreparationConfig
) -> None:
    soundfile.write(tmp_path / "a.wav", speech(0.5), 8000)
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(CorpusError, match="cannot be written"):
        process(Task(tmp_path / "a.wav", tmp_path / "taken" / "a.safetensors"), settings)


def test_contradicting_durations_are_refused() -> None:
    with pytest.raises(ValueError, match="min_duration_s 3 is not below max_duration_s 2"):
        PreparationConfig(min_duration_s=3.0, max_duration_s=2.0)
