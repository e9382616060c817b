"""Audio files and buffers: read, resample, encode, write. Samples are float32 in [-1, 1)."""

import io
import struct
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
import soundfile
import torch
import torchaudio

from vocoder import files
from vocoder.errors import AudioError

Samples = npt.NDArray[np.float32]
AudioFormat = Literal["mp3", "wav", "flac", "pcm"]

MEDIA_TYPES: dict[AudioFormat, str] = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "pcm": "audio/pcm",
}
PCM_16_LEVELS = 32768
LARGEST_PCM_16 = (PCM_16_LEVELS - 1) / PCM_16_LEVELS

ZERO_CROSSINGS, ROLLOFF, KAISER_BETA = 64, 0.95, 14.77
"""The resampling filter: half its length, its cut-off relative to Nyquist, its Kaiser beta."""


def read(source: Path | BinaryIO, sample_rate_hz: int | None = None) -> tuple[Samples, int]:
    """Read a WAV, FLAC, MP3 or OGG file as mono.

    Args:
        source: a path or an open binary file.
        sample_rate_hz: resample to this rate; the file's own if None.

    Returns:
        Samples (T,), channels averaged, and their rate.

    Raises:
        AudioError: no such file, not audio, truncated, empty, or with samples that are not finite.
    """
    name = source.name if isinstance(source, Path) else "the audio"
    if isinstance(source, Path) and not source.is_file():
        raise AudioError(f"{source}: no such file")
    try:
        samples, rate = soundfile.read(source, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise AudioError(
            f"{name}: not readable as audio ({str(error).rstrip('.')}); give WAV, FLAC, MP3 or OGG"
        ) from None
    mono = samples.mean(axis=1, dtype=np.float32)
    if mono.size == 0:
        raise AudioError(f"{name}: contains no samples")
    if not np.isfinite(mono).all():
        raise AudioError(f"{name}: contains NaN or infinite samples")
    if sample_rate_hz is None or sample_rate_hz == rate:
        return mono, int(rate)
    return resample(mono, int(rate), sample_rate_hz), sample_rate_hz


def resample(samples: Samples, rate_hz: int, to_rate_hz: int) -> Samples:
    """Resample (T,) by windowed-sinc interpolation (torchaudio's Kaiser window)."""
    if rate_hz == to_rate_hz:
        return samples
    resampled = torchaudio.functional.resample(
        torch.from_numpy(samples),
        rate_hz,
        to_rate_hz,
        lowpass_filter_width=ZERO_CROSSINGS,
        rolloff=ROLLOFF,
        resampling_method="sinc_interp_kaiser",
        beta=KAISER_BETA,
    )
    return np.asarray(resampled.numpy(), dtype=np.float32)


def to_pcm16(samples: Samples) -> npt.NDArray[np.int16]:
    """Round to 16-bit integers, clipping at full scale."""
    scaled = np.rint(samples.astype(np.float64) * PCM_16_LEVELS)
    return np.clip(scaled, -PCM_16_LEVELS, PCM_16_LEVELS - 1).astype(np.int16)


def encode(samples: Samples, sample_rate_hz: int, audio_format: AudioFormat) -> bytes:
    """Encode mono samples as MP3, 16-bit WAV or FLAC, or raw little-endian 16-bit PCM."""
    pcm = to_pcm16(samples)
    if audio_format == "pcm":
        return pcm.astype("<i2").tobytes()
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm, sample_rate_hz, **file_settings(audio_format, sample_rate_hz))
    return buffer.getvalue()


def file_settings(audio_format: AudioFormat, sample_rate_hz: int) -> dict[str, Any]:
    """libsndfile's settings for a format; MP3 gets 80 to 104 kbit/s, or 48 below 16 kHz."""
    if audio_format != "mp3":
        return {"format": audio_format.upper(), "subtype": "PCM_16"}
    # The level is relative to the bit rates that MPEG defines for each range of sample rates.
    level = 0.75 if sample_rate_hz >= 32000 else 0.5 if sample_rate_hz >= 16000 else 0.25
    return {
        "format": "MP3",
        "subtype": "MPEG_LAYER_III",
        "bitrate_mode": "CONSTANT",
        "compression_level": level,
    }


def wav_header(sample_rate_hz: int) -> bytes:
    """Header of a 16-bit mono WAV of unknown length: its sizes are the largest possible."""
    unknown, pcm, mono, bytes_per_sample = 0xFFFFFFFF, 1, 1, 2
    rate = (sample_rate_hz, sample_rate_hz * bytes_per_sample)
    form = struct.pack("<HHIIHH", pcm, mono, *rate, bytes_per_sample, 8 * bytes_per_sample)
    return struct.pack("<4sI4s4sI", b"RIFF", unknown, b"WAVE", b"fmt ", len(form)) + (
        form + struct.pack("<4sI", b"data", unknown)
    )


def check_output(path: Path) -> AudioFormat:
    """The format for a file name.

    Raises:
        AudioError: the name does not end in ``.wav``, ``.flac`` or ``.mp3``.
    """
    kinds: dict[str, AudioFormat] = {".wav": "wav", ".flac": "flac", ".mp3": "mp3"}
    if path.suffix.lower() not in kinds:
        raise AudioError(f"{path}: name the output .wav, .flac or .mp3")
    return kinds[path.suffix.lower()]


def write(path: Path, samples: Samples, sample_rate_hz: int) -> None:
    """Write mono samples as 16-bit WAV or FLAC, or as MP3, atomically.

    Raises:
        AudioError: the name does not end in ``.wav``, ``.flac`` or ``.mp3``.
    """
    files.write_bytes(path, encode(samples, sample_rate_hz, check_output(path)))
