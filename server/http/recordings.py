"""Uploaded recordings, decoded within limits whatever their headers claim."""

import io
import math

import numpy as np
import soundfile

from vocoder.audio import io as audio
from vocoder.audio.io import Samples
from vocoder.errors import AudioError

from ..errors import Refusal

FORMATS = ("WAV", "WAVEX", "FLAC", "MP3", "OGG")
"""libsndfile's names of the accepted containers; it could read many more."""

RATES_HZ = (4000, 192_000)
LARGEST_PEAK = 100.0
LARGEST_FILTER = 2**22
"""Maximum taps over all phases of the resampling filter; coprime rates would need billions."""

BLOCK_FRAMES = 2**16


def read(data: bytes, rate_hz: int, max_audio_s: float) -> Samples:
    """A recording as mono samples (T,) at ``rate_hz``, channels averaged.

    Decoding stops at the limit, because a few bytes of FLAC can hold hours of silence.

    Args:
        data: a WAV, FLAC, MP3 or OGG file.
        rate_hz: rate to resample to.
        max_audio_s: maximum length, in seconds.

    Raises:
        AudioError: the file is empty, not audio, truncated, or has unusable samples.
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
        # Not its message, which shows the buffer's address.
        reason = getattr(error, "error_string", str(error)).rstrip(".").lower()
        raise AudioError(
            f"cannot read the body as audio ({reason}): send a WAV, FLAC, MP3 or OGG file"
        ) from None
    if not samples.size:
        raise AudioError("the recording has no samples")
    peak = float(np.abs(samples).max())
    if not peak <= LARGEST_PEAK:  # False for NaN too.
        raise AudioError(
            f"the recording has samples of {peak:g}: full scale is 1, and the limit is "
            f"{LARGEST_PEAK:g}"
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
            f"the recording's sample rate of {own} Hz is not supported: "
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
        f"the recording is longer than {max_audio_s:g} s, the limit per request: send it in parts",
        code="audio_too_long",
    )
