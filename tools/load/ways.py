"""Every way of requesting the same speech."""

import io
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile

from .listening import Recording
from .server import Server
from .texts import PASSAGE

SEED = 7
WAV_HEADER_BYTES = 44
FORMATS = ("pcm", "wav", "flac", "mp3")

Ask = Callable[[], Awaitable[bytes]]


@dataclass(frozen=True)
class Way:
    """One way of requesting the same speech.

    Attributes:
        name: for the table.
        group: ways of one group must give the same audio.
        audio_format: of the response.
        whole: whether the response is a whole file.
        ask: sends the request and returns the bytes.
    """

    name: str
    group: str
    audio_format: str
    whole: bool
    ask: Ask

    def heard(self, data: bytes, samples: int) -> bytes:
        """The part of the bytes that must be the same in all ways of the group.

        ``samples`` is the length of the speech.
        """
        if self.audio_format == "wav":
            return data[WAV_HEADER_BYTES:]
        if self.audio_format == "flac":
            return _samples_of_flac(data, samples)
        if self.audio_format == "mp3" and self.whole:
            # Skip the first frame, which has the file's length; the next has the same header.
            return data[data.find(data[:2], 2) :]
        return data


def _samples_of_flac(data: bytes, count: int) -> bytes:
    """The samples of a FLAC file; a streamed one does not have their number, so it is added."""
    complete = data[:22] + count.to_bytes(4, "big") + data[26:]  # The last bytes of 36 bits.
    samples, _ = soundfile.read(io.BytesIO(complete), dtype="int16")
    return bytes(samples.astype("<i2").tobytes())


@dataclass(frozen=True)
class Asking:
    """Requests one speech in every way.

    Attributes:
        server: to send the requests to.
        voice: that speaks; the server's default if None.
        rate_hz: of the audio.
        text: to speak.
    """

    server: Server
    voice: str | None
    rate_hz: int
    text: str = PASSAGE

    def ways(self, features: Path | None) -> list[Way]:
        """All ways."""
        found = []
        for name in FORMATS:
            group = "text mp3" if name == "mp3" else "text"
            for stream in (False, True):
                label = f"HTTP {name}, {'streamed' if stream else 'whole'}"
                found.append(Way(label, group, name, not stream, self._speech(name, stream)))
        for label, pieces in (
            ("whole", [self.text]),
            ("by word", _words(self.text)),
            ("by character", list(self.text)),
        ):
            ask = self._spoken(pieces)
            found.append(Way(f"WebSocket text, {label}", "text", "pcm", False, ask))
        if features is not None:
            for stream in (False, True):
                label = f"HTTP features, {'streamed' if stream else 'whole'}"
                ask = self._vocoded(features, stream)
                found.append(Way(label, "features", "pcm", not stream, ask))
            frames = Recording.load(features).frames
            for count in (len(frames), 1, 7, 100):
                pieces_of = [
                    frames[at : at + count].tobytes() for at in range(0, len(frames), count)
                ]
                label = f"WebSocket features, {count} frames a message"
                found.append(Way(label, "features", "pcm", False, self._sent(pieces_of)))
        return found

    def _speech(self, audio_format: str, stream: bool) -> Ask:
        body = {
            "input": self.text,
            "seed": SEED,
            "response_format": audio_format,
            "stream": stream,
            "sample_rate": self.rate_hz,
        } | ({"model": self.voice} if self.voice else {})

        async def ask() -> bytes:
            async with self.server.client() as client:
                answer = await client.post("/v1/audio/speech", json=body)
            answer.raise_for_status()
            return answer.content

        return ask

    def _vocoded(self, features: Path, stream: bool) -> Ask:
        query: dict[str, str | int] = {
            "seed": SEED,
            "response_format": "pcm",
            "stream": str(stream).lower(),
            "sample_rate": self.rate_hz,
        }
        if self.voice:
            query["voice"] = self.voice

        async def ask() -> bytes:
            async with self.server.client() as client:
                answer = await client.post(
                    "/v1/audio/vocode",
                    params=query,
                    content=features.read_bytes(),
                    headers={"content-type": "application/octet-stream"},
                )
            answer.raise_for_status()
            return answer.content

        return ask

    def _spoken(self, pieces: list[str]) -> Ask:
        messages = [json.dumps({"type": "Speak", "text": piece}) for piece in pieces]
        return self._heard([*messages, '{"type":"Flush"}'])

    def _sent(self, pieces: list[bytes]) -> Ask:
        start = json.dumps({"type": "Start", "input": "features"})
        return self._heard([start, *pieces, '{"type":"Flush"}'])

    def _heard(self, messages: Sequence[str | bytes]) -> Ask:
        async def ask() -> bytes:
            query = {"seed": SEED, "sample_rate": self.rate_hz, "voice": self.voice}
            audio = []
            async with self.server.socket(**query) as socket:
                for message in messages:
                    await socket.send(message)
                async for answer in socket:
                    if isinstance(answer, bytes):
                        audio.append(answer)
                        continue
                    event = json.loads(answer)
                    if event["type"] == "Error":
                        raise RuntimeError(event["error"]["message"])
                    if event["type"] == "Flushed":
                        break
            return b"".join(audio)

        return ask


def _words(text: str) -> list[str]:
    """Words with the space before each, like the tokens of a language model."""
    return [f" {word}" if at else word for at, word in enumerate(text.split(" "))]
