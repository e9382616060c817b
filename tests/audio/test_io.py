from pathlib import Path

import numpy as np
import pytest
import soundfile

from vocoder.audio import io as audio
from vocoder.errors import AudioError


def tone(rate: int = 16000, seconds: float = 0.5, hz: float = 440.0) -> audio.Samples:
    t = np.arange(int(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * hz * t)).astype(np.float32)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_written_files_read_back_to_16_bits(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"tone{suffix}"
    audio.write(path, tone(), 16000)
    found, rate = audio.read(path)
    assert rate == 16000
    assert np.abs(found - tone()).max() <= 0.5 / 32768 + 1e-9


@pytest.mark.parametrize(("suffix", "rate"), [(".ogg", 44100), (".mp3", 48000), (".wav", 8000)])
def test_other_rates_formats_and_channels_are_read(tmp_path: Path, suffix: str, rate: int) -> None:
    path = tmp_path / f"tone{suffix}"
    left = tone(rate)
    soundfile.write(path, np.stack((left, 0 * left), axis=1), rate)
    found, read_rate = audio.read(path, 16000)
    assert read_rate == 16000
    middle = found[2000:6000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert abs(spectrum.argmax() * 16000 / len(middle) - 440) < 5
    assert 0.15 < middle.std() / 0.5 < 0.40


def test_resampling_keeps_amplitude_and_removes_aliases() -> None:
    kept = audio.resample(tone(48000, hz=1000), 48000, 16000)
    gone = audio.resample(tone(48000, hz=11000), 48000, 16000)
    assert abs(kept[1000:-1000].std() / tone().std() - 1) < 0.01
    assert gone[1000:-1000].std() < 1e-3


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"hello, this is text", "not readable as audio"), (b"", "not readable as audio")],
)
def test_files_other_than_audio_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "text.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=message):
        audio.read(path)


def test_empty_missing_and_non_finite_audio_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no such file"):
        audio.read(tmp_path / "none.wav")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, dtype=np.float32), 16000)
    with pytest.raises(AudioError, match="no samples"):
        audio.read(tmp_path / "empty.wav")
    soundfile.write(tmp_path / "nan.wav", np.full(9, np.nan), 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match="NaN"):
        audio.read(tmp_path / "nan.wav")


def test_pcm_is_little_endian_and_clips() -> None:
    data = audio.encode(np.array([0.0, 2.0, -2.0], dtype=np.float32), 16000, "pcm")
    assert data == b"\x00\x00\xff\x7f\x00\x80"


def test_an_unknown_suffix_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"\.wav, \.flac or \.mp3"):
        audio.write(tmp_path / "tone.mp4", tone(), 16000)
    assert not list(tmp_path.iterdir())
