"""Whether a seed gives the same bytes however it is asked for: by SHA-256.

    python tests/load identity --load 10 --features FEATURES.safetensors

A text over HTTP in each format, streamed and whole, and over a WebSocket whole, by word and by
character; features over HTTP, and over a WebSocket whole and in pieces: first alone, then while
``--load`` others listen. What is compared is what is heard, as 16-bit samples: the header of a
streamed WAV and the blocks of a streamed FLAC differ from the file's. MP3 is compared with itself,
without the frame that only a whole file has. Between alone and loaded, every byte counts.
"""

import asyncio
import hashlib
import io
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile
from httpx2 import HTTPStatusError
from websockets.exceptions import InvalidStatus

from .listeners import Load
from .listening import Recording, talking
from .progress import Progress
from .server import Server, arguments
from .texts import PASSAGE

SEED = 7
WAV_HEADER_BYTES = 44
FORMATS = ("pcm", "wav", "flac", "mp3")
READ_SAMPLES = 65536
ATTEMPTS = 30
LOAD_S = 3600.0
"""For how long the load would listen; it ends with the last way."""

Ask = Callable[[], Awaitable[bytes]]


@dataclass(frozen=True)
class Way:
    """One way of asking for the same speech.

    Attributes:
        name: for the table.
        group: ways of one group must sound alike.
        audio_format: of what it gives.
        whole: whether that is a whole file.
        ask: asks, and gives the bytes.
    """

    name: str
    group: str
    audio_format: str
    whole: bool
    ask: Ask

    def heard(self, data: bytes) -> bytes:
        """What of the bytes must be the same in all ways of the group."""
        if self.audio_format == "wav":
            return data[WAV_HEADER_BYTES:]
        if self.audio_format == "flac":
            return _samples_of_flac(data)
        if self.audio_format == "mp3" and self.whole:
            # The first frame says how long the file is; the next begins as it does.
            return data[data.find(data[:2], 2) :]
        return data


def _samples_of_flac(data: bytes) -> bytes:
    """Its samples; a streamed file does not say how many they are."""
    parts = []
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        while len(part := file.read(READ_SAMPLES, dtype="int16")):
            parts.append(part.astype("<i2").tobytes())
    return b"".join(parts)


@dataclass(frozen=True)
class Asking:
    """Asks a server for one speech, in every way.

    Attributes:
        server: whom.
        voice: by whom it is spoken; the server's choice where None.
        rate_hz: of the audio.
    """

    server: Server
    voice: str | None
    rate_hz: int

    def ways(self, features: Path | None) -> list[Way]:
        """Every way there is."""
        found = []
        for name in FORMATS:
            group = "text mp3" if name == "mp3" else "text"
            for stream in (False, True):
                label = f"HTTP {name}, {'streamed' if stream else 'whole'}"
                found.append(Way(label, group, name, not stream, self._speech(name, stream)))
        for label, pieces in (
            ("whole", [PASSAGE]),
            ("by word", _words(PASSAGE)),
            ("by character", list(PASSAGE)),
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
            "input": PASSAGE,
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
    """Words with the space before each, as a language model gives them."""
    return [f" {word}" if at else word for at, word in enumerate(text.split(" "))]


@dataclass(frozen=True)
class Outcome:
    """What a way gave, alone and under load."""

    way: Way
    alone: bytes
    loaded: bytes | None

    @property
    def sound(self) -> str:
        """Hash of what is heard."""
        return hashlib.sha256(self.way.heard(self.alone)).hexdigest()

    @property
    def same(self) -> bool:
        """Whether load changed nothing."""
        return self.loaded is None or self.loaded == self.alone


async def compare(ways: list[Way], load: Load | None, listeners: int) -> list[Outcome]:
    """Try every way alone, and where there is a load again under it."""
    progress = Progress()

    async def each(what: str) -> list[bytes]:
        found = []
        for number, way in enumerate(ways, start=1):
            progress.show(f"{what}, {number} of {len(ways)}: {way.name}")
            found.append(await _admitted(way.ask))
        return found

    try:
        alone = await each("alone")
        if load is None:
            return [Outcome(way, data, None) for way, data in zip(ways, alone, strict=True)]
        busy = asyncio.create_task(load.run(listeners))
        await asyncio.sleep(load.ramp_s + 1)
        loaded = await each(f"beside {listeners} listeners")
        busy.cancel()
        return [Outcome(*one) for one in zip(ways, alone, loaded, strict=True)]
    finally:
        progress.end()


async def _admitted(ask: Ask) -> bytes:
    """What is given once there is a place: the one before may be about to leave its own."""
    for _ in range(ATTEMPTS):
        try:
            return await ask()
        except InvalidStatus as error:
            if error.response.status_code != 429:
                raise
        except HTTPStatusError as error:
            if error.response.status_code != 429:
                raise
        await asyncio.sleep(1.0)
    raise TimeoutError(f"the server has had no place for {ATTEMPTS} s")


def differences(outcomes: list[Outcome]) -> list[str]:
    """Every way that differs from the first of its group, or from itself under load."""
    first: dict[str, Outcome] = {}
    wrong = []
    for outcome in outcomes:
        way = outcome.way
        expected = first.setdefault(way.group, outcome)
        if outcome.sound != expected.sound:
            wrong.append(f"{way.name} differs from {expected.way.name}")
        if not outcome.same:
            wrong.append(f"{way.name} differs under load")
        if not outcome.alone:
            wrong.append(f"{way.name} gave nothing")
    return wrong


async def tried(
    server: Server, voice: str | None, features: Path | None, load: int
) -> list[Outcome]:
    """What every way of asking a server gave; beside ``load`` listeners too, where there are."""
    async with server.client() as client:
        voices = (await client.get("/v1/audio/voices")).json()["voices"]
    own = next(info for info in voices if voice in (None, info["id"]))
    ways = Asking(server, voice, own["sample_rate_hz"]).ways(features)
    others = Load(server, lambda number: talking(number, voice), LOAD_S, 2.0, 0.0, 0.0)
    return await compare(ways, others if load else None, load)


def main() -> int:
    """Run the tool; its exit status."""
    parser = arguments(__doc__.split("\n")[0])
    parser.add_argument(
        "--load", type=int, default=0, help="listeners beside which all is repeated"
    )
    parser.add_argument("--features", type=Path, help="feature file of the voice, to be tried too")
    options = parser.parse_args()
    server = Server(options.url, options.key)
    outcomes = asyncio.run(tried(server, options.voice, options.features, options.load))
    wrong = differences(outcomes)
    rows = [
        {
            "way": outcome.way.name,
            "bytes": len(outcome.alone),
            "sound": outcome.sound,
            "same_under_load": None if outcome.loaded is None else outcome.same,
        }
        for outcome in outcomes
    ]
    if options.json:
        print(json.dumps({"ways": rows, "wrong": wrong}))
        return 1 if wrong else 0
    for row in rows:
        print(f"{row['way']:42} {row['bytes']:9} bytes  {row['sound']}  {row['same_under_load']}")
    print("\n".join(wrong) or f"all {len(rows)} ways give the same sound")
    return 1 if wrong else 0
