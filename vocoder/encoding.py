"""Encoding of audio that comes in chunks, so that each can be sent before the next is there.

The bytes do not depend on how the audio was cut. They are those of the whole file but for what only
the end shows: sizes in WAV, length and checksum in FLAC, the gap-less playing information in MP3.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import soundfile

from vocoder import audio
from vocoder.audio import AudioFormat, Samples

SHORT_FLAC_BLOCKS = 0.25
"""The highest compression level with blocks of 1152 samples; the usual ones have 4096."""


class Encoder:
    """Encodes one signal as 16-bit mono PCM, WAV or FLAC, or as MP3.

    PCM and WAV come out at once, FLAC in blocks of 1152 samples, MP3 in frames of 576 (of 1152 from
    32 kHz on), two to three of which the encoder looks ahead.
    """

    def __init__(self, audio_format: AudioFormat, sample_rate_hz: int) -> None:
        self._format, self._rate = audio_format, sample_rate_hz
        self._ready = audio.wav_header(sample_rate_hz) if audio_format == "wav" else b""
        self._file: soundfile.SoundFile | None = None
        if audio_format in ("flac", "mp3"):
            settings = audio.file_settings(audio_format, sample_rate_hz)
            if audio_format == "flac":
                settings["compression_level"] = SHORT_FLAC_BLOCKS
            self._sink = _Sink()
            self._file = soundfile.SoundFile(
                self._sink, "w", samplerate=sample_rate_hz, channels=1, **settings
            )
        self._begun = False

    def push(self, samples: Samples) -> bytes:
        """Take a chunk (T,) of any length; give what is encoded by now, which may be nothing."""
        if self._file is None:
            done, self._ready = self._ready, b""
            return done + audio.encode(samples, self._rate, "pcm")
        self._file.write(audio.to_pcm16(samples))
        return self._drain()

    def finish(self) -> bytes:
        """The rest; nothing may be pushed after it."""
        if self._file is None:
            return self.push(np.zeros(0, dtype=np.float32))
        self._file.close()
        return self._drain()

    def _drain(self) -> bytes:
        data = self._sink.drain()
        if self._format != "mp3" or self._begun:
            return data
        # The first frame is kept free for what only the end shows, and would be 24 to 72 ms of
        # silence. It is zeros behind its header, so the next frame is where that recurs.
        self._ready += data
        start = self._ready.find(self._ready[:2], 2)
        if start < 0:
            return b""
        first, self._ready, self._begun = self._ready[start:], b"", True
        return first


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


def encoded(chunks: Iterable[Samples], encoder: Encoder) -> Iterator[bytes]:
    """The bytes of audio as it comes, one part a chunk, and one more; parts may be empty."""
    for chunk in chunks:
        yield encoder.push(chunk)
    yield encoder.finish()
