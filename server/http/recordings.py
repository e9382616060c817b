"""Recordings that clients send: decoded within bounds, whatever their headers claim."""

import io
import math

import numpy as np
import soundfile

from vocoder.audio import io as audio
from vocoder.audio.io import Samples
from vocoder.errors import AudioError

from ..errors import Refusal

FORMATS = ("WAV", "WAVEX", "FLAC", "MP3", "OGG")
"""libsndfile's names of the containers that are taken; it would read many more."""

RATES_HZ = (4000, 192_000)
LARGEST_PEAK = 100.0
LARGEST_FILTER = 2**22
"""Taps in all phases of the filter that resamples: rates without a common divisor need billions."""

BLOCK_FRAMES = 2**16


def read(data: bytes, rate_hz: int, max_audio_s: float) -> Samples:
    """A recording as mono samples (T,) at ``rate_hz``, channels averaged.

    No more is decoded than is allowed: a few bytes of FLAC can stand for hours.

    Args:
        data: a WAV, FLAC, MP3 or OGG file.
        rate_hz: to resample to.
        max_audio_s: longest recording, in seconds.

    Raises:
        AudioError: empty, not audio, cut short, or samples that are no recording.
        Refusal: 422, it is too long.
    """
    if not data:
        raise AudioError("the body is empty: send a WAV, FLAC, MP3 or OGG file")
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            _check(file, rate_hz)
            own_rate_hz = int(file.samplerate)
            samples = _mono(file, max_audio_s)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        # Not its message, which names the buffer in memory.
        reason = getattr(error, "error_string", str(error)).rstrip(".").lower()
        raise AudioError(
            f"the body is not readable as audio ({reason}): send a WAV, FLAC, MP3 or OGG file"
        ) from None
    if not samples.size:
        raise AudioError("the recording holds no samples")
    peak = float(np.abs(samples).max())
    if not peak <= LARGEST_PEAK:  # Nor is NaN.
        raise AudioError(
            f"the recording holds samples of {peak:g}: full scale is 1, and at most "
            f"{LARGEST_PEAK:g} is taken"
        )
    return audio.resample(samples, own_rate_hz, rate_hz)


def _check(file: soundfile.SoundFile, rate_hz: int) -> None:
    if file.format not in FORMATS:
        raise AudioError(f"the body is {file.format}: send a WAV, FLAC, MP3 or OGG file")
    own, (low, high) = int(file.samplerate), RATES_HZ
    divisor = math.gcd(own, rate_hz)
    step, phases = own // divisor, rate_hz // divisor
    reach = audio.ZERO_CROSSINGS * max(1.0, step / phases) / audio.ROLLOFF
    if not low <= own <= high or phases * (step + 2 * reach) > LARGEST_FILTER:
        raise AudioError(
            f"the recording has {own} samples a second, which this server does not resample: "
            f"send one of {low} to {high} Hz, such as {rate_hz} or 48000"
        )


def _mono(file: soundfile.SoundFile, max_audio_s: float) -> Samples:
    most = int(max_audio_s * file.samplerate)
    blocks: list[Samples] = []
    count = 0
    while count <= most:
        block = file.read(min(BLOCK_FRAMES, most + 1 - count), dtype="float32", always_2d=True)
        if not len(block):
            return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)
        blocks.append(block.mean(axis=1, dtype=np.float32))
        count += len(block)
    raise Refusal(
        422,
        f"the recording is longer than {max_audio_s:g} s, the most that this server takes a "
        "request: send it in parts",
        code="audio_too_long",
    )
