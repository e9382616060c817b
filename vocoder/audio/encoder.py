"""Incremental encoding of audio in chunks, for streaming.

The bytes do not depend on the chunk sizes. A stream lacks the metadata that is only known at the
end: the sizes in WAV, length and checksum in FLAC, the gapless playback information in MP3.
"""

import io

import soundfile

from vocoder.audio import io as audio
from vocoder.audio.io import AudioFormat, Samples
from vocoder.audio.resampler import Resampler

SHORT_FLAC_BLOCKS = 0.25
"""The highest compression level with blocks of 1152 samples; the default levels use 4096."""


class Encoder:
    """Encodes one signal as 16-bit mono PCM, WAV or FLAC, or as MP3.

    When streaming, PCM and WAV have no delay. FLAC is emitted in blocks of 1152 samples, MP3 in
    frames of 576 (1152 from 32 kHz on) with a look-ahead of two to three frames.

    Args:
        audio_format: the output format.
        rate_hz: sample rate of the input.
        to_rate_hz: sample rate of the output; that of the input if None.
        whole: return nothing before the end, and then the complete file that
            :func:`vocoder.audio.io.encode` would return. The encoded audio stays in memory.
    """

    def __init__(
        self,
        audio_format: AudioFormat,
        rate_hz: int,
        to_rate_hz: int | None = None,
        *,
        whole: bool = False,
    ) -> None:
        rate = rate_hz if to_rate_hz is None else to_rate_hz
        self._resampler = Resampler(rate_hz, rate)
        self._sink = io.BytesIO() if whole else _Sink()
        self._file: soundfile.SoundFile | None = None
        self._ready = b""
        self._frame_to_drop = audio_format == "mp3" and not whole
        if audio_format == "wav" and not whole:
            self._sink.write(audio.wav_header(rate))
        elif audio_format != "pcm":
            settings = audio.file_settings(audio_format, rate)
            if audio_format == "flac" and not whole:
                settings["compression_level"] = SHORT_FLAC_BLOCKS
            self._file = soundfile.SoundFile(
                self._sink, "w", samplerate=rate, channels=1, **settings
            )

    def push(self, samples: Samples) -> bytes:
        """Encode a chunk (T,) of any length; returns the finished bytes, if any."""
        self._write(self._resampler.push(samples))
        return self._drained()

    def finish(self) -> bytes:
        """Return the remaining bytes. Nothing may be pushed afterwards."""
        self._write(self._resampler.finish())
        self.close()
        return self._sink.getvalue() if isinstance(self._sink, io.BytesIO) else self._drained()

    def close(self) -> None:
        """Abandon the encoding; no effect after :meth:`finish`."""
        if self._file is not None:
            self._file.close()

    def _write(self, samples: Samples) -> None:
        pcm = audio.to_pcm16(samples)
        if self._file is None:
            self._sink.write(pcm.astype("<i2").tobytes())
        else:
            self._file.write(pcm)

    def _drained(self) -> bytes:
        if isinstance(self._sink, io.BytesIO):
            return b""
        self._ready += self._sink.drain()
        start = 0
        if self._frame_to_drop:
            # The first frame of an MP3 is reserved for metadata that is only known at the end; it
            # would play as 24 to 72 ms of silence. Its body is zeros, so the next frame starts
            # where its header recurs.
            start = self._ready.find(self._ready[:2], 2)
            if start < 0:
                return b""
            self._frame_to_drop = False
        ready, self._ready = self._ready[start:], b""
        return ready


class _Sink:
    """An append-only file that is drained; overwriting earlier bytes has no effect."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._length = self._position = 0

    def write(self, data: bytes) -> int:
        new = memoryview(data)[max(0, self._length - self._position) :]
        self._data += new
        self._length += len(new)
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self._length)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, count: int = -1) -> bytes:
        raise OSError("this file is write-only")

    def drain(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data
