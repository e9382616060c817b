"""G.711, telephony's 8-bit code: mu-law (North America, Japan) or A-law (elsewhere)."""

import functools
import io
import struct
from typing import Literal

import numpy as np
import numpy.typing as npt
import soundfile

from vocoder.audio.io import Samples, to_pcm16
from vocoder.audio.resampler import Resampler

Law = Literal["mulaw", "alaw"]

USUAL_RATE_HZ = 8000
"""The sample rate of telephony."""

_SUBTYPES: dict[Law, str] = {"mulaw": "ULAW", "alaw": "ALAW"}
_WAV_FORMATS: dict[Law, int] = {"mulaw": 7, "alaw": 6}


class LawEncoder:
    """Encodes one signal as raw G.711 or as a WAV stream; the bytes do not depend on chunk sizes.

    Args:
        law: the companding law.
        rate_hz: sample rate of the input.
        to_rate_hz: sample rate of the output.
        wav: whether to start with a WAV header.
    """

    def __init__(self, law: Law, rate_hz: int, to_rate_hz: int, *, wav: bool = False) -> None:
        self._table = _codes(law)
        self._resampler = Resampler(rate_hz, to_rate_hz)
        self._header = wav_header(law, to_rate_hz) if wav else b""

    def push(self, samples: Samples) -> bytes:
        """Encode a chunk (T,) of any length; returns the finished bytes, if any."""
        return self._encoded(self._resampler.push(samples))

    def finish(self) -> bytes:
        """Return the remaining bytes. Nothing may be pushed afterwards."""
        return self._encoded(self._resampler.finish())

    def close(self) -> None:
        """Abandon the encoding; there is nothing to release."""

    def _encoded(self, samples: Samples) -> bytes:
        header, self._header = self._header, b""
        return header + encode(to_pcm16(samples), self._table)


def encode(pcm: npt.NDArray[np.int16], table: npt.NDArray[np.uint8]) -> bytes:
    """Encode 16-bit samples (T,) with a law's table."""
    return table[pcm.view(np.uint16)].tobytes()


def wav_header(law: Law, sample_rate_hz: int) -> bytes:
    """Header of a mono WAV of unknown length: its sizes are the largest possible."""
    unknown = 0xFFFFFFFF
    rate = (sample_rate_hz, sample_rate_hz)
    form = struct.pack("<HHIIHHH", _WAV_FORMATS[law], 1, *rate, 1, 8, 0)
    return b"".join(
        (
            struct.pack("<4sI4s", b"RIFF", unknown, b"WAVE"),
            struct.pack("<4sI", b"fmt ", len(form)) + form,
            struct.pack("<4sII", b"fact", 4, unknown),
            struct.pack("<4sI", b"data", unknown),
        )
    )


@functools.cache
def _codes(law: Law) -> npt.NDArray[np.uint8]:
    """The code of each 16-bit sample, indexed by its bits as an unsigned number (65536,)."""
    every = np.arange(2**16, dtype=np.uint16).view(np.int16)
    file = io.BytesIO()
    soundfile.write(file, every, USUAL_RATE_HZ, format="RAW", subtype=_SUBTYPES[law])
    return np.frombuffer(file.getvalue(), dtype=np.uint8)
