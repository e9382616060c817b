"""Encoding of audio that comes in chunks, so that each can be sent before the next is there.

The bytes do not depend on how the audio was cut. A stream lacks what only the end shows: sizes in
WAV, length and checksum in FLAC, what MP3 needs to play without gaps.
"""

import io

import soundfile

from vocoder.audio import io as audio
from vocoder.audio.io import AudioFormat, Samples
from vocoder.audio.resampler import Resampler

SHORT_FLAC_BLOCKS = 0.25
"""The highest compression level with blocks of 1152 samples; the usual ones have 4096."""


class Encoder:
    """Encodes one signal as 16-bit mono PCM, WAV or FLAC, or as MP3.

    In a stream, PCM and WAV come out at once, FLAC in blocks of 1152 samples, and MP3 in frames of
    576 (of 1152 from 32 kHz on), two to three of which the encoder looks ahead.

    Args:
        audio_format: what to encode as.
        rate_hz: of the samples.
        to_rate_hz: of the audio; that of the samples where None.
        whole: give nothing before the end, and then the file that
            :func:`vocoder.audio.io.encode` would give. What is encoded is kept until then.
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
        """Take a chunk (T,) of any length; give what is encoded by now, which may be nothing."""
        self._write(self._resampler.push(samples))
        return self._drained()

    def finish(self) -> bytes:
        """The rest; nothing may be pushed after it."""
        self._write(self._resampler.finish())
        self.close()
        return self._sink.getvalue() if isinstance(self._sink, io.BytesIO) else self._drained()

    def close(self) -> None:
        """Give up, or nothing where it has finished."""
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
            # The first frame of an MP3 is kept free for what only the end shows, and would be 24 to
            # 72 ms of silence. It is zeros behind its header: the next frame is where that recurs.
            start = self._ready.find(self._ready[:2], 2)
            if start < 0:
                return b""
            self._frame_to_drop = False
        ready, self._ready = self._ready[start:], b""
        return ready


class _Sink:
    """A file that only grows, and whose contents are taken away: changes to them are lost."""

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
        raise OSError("this file is only written")

    def drain(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data
