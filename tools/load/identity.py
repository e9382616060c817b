"""Checks by SHA-256 that a seed gives the same bytes however they are requested.

    python tools/load identity --load 10 --features FEATURES.safetensors

Text is sent over HTTP in each format, streamed and whole, and over a WebSocket at once, by word and
by character; features over HTTP, and over a WebSocket at once and in parts: first alone, then with
``--load`` other listeners. The decoded 16-bit samples are compared, because a streamed WAV's header
and a streamed FLAC's blocks differ from the file's. MP3 is only compared with MP3, without the
frame that only a whole file has. Under load, every byte must be the same as alone.
"""

import asyncio
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from httpx2 import HTTPStatusError
from websockets.exceptions import InvalidStatus

from .listeners import Load
from .listening import talking
from .progress import Progress
from .server import Server, arguments
from .texts import PASSAGE
from .ways import Ask, Asking, Way

ATTEMPTS = 30
LOAD_S = 3600.0
"""Maximum duration of the load; it ends with the last request."""


@dataclass(frozen=True)
class Outcome:
    """The bytes of one way, alone and under load, and the number of samples in the speech."""

    way: Way
    alone: bytes
    loaded: bytes | None
    samples: int

    @property
    def sound(self) -> str:
        """Hash of the audio."""
        return hashlib.sha256(self.way.heard(self.alone, self.samples)).hexdigest()

    @property
    def same(self) -> bool:
        """Whether the bytes under load are the same."""
        return self.loaded is None or self.loaded == self.alone


async def compare(ways: list[Way], load: Load | None, listeners: int) -> list[Outcome]:
    """Try every way alone, and again under load if there is one."""
    progress = Progress()

    async def each(what: str) -> list[bytes]:
        found = []
        for number, way in enumerate(ways, start=1):
            progress.show(f"{what}, {number} of {len(ways)}: {way.name}")
            found.append(await _admitted(way.ask))
        return found

    try:
        alone = await each("alone")
        loaded: list[bytes] | None = None
        if load is not None:
            busy = asyncio.create_task(load.run(listeners))
            await asyncio.sleep(load.ramp_s + 1)
            loaded = await each(f"beside {listeners} listeners")
            busy.cancel()
    finally:
        progress.end()
    samples = len(alone[0]) // 2  # The first way is raw 16-bit samples.
    return [
        Outcome(way, alone[number], loaded[number] if loaded else None, samples)
        for number, way in enumerate(ways)
    ]


async def _admitted(ask: Ask) -> bytes:
    """The response, retrying while the previous request still holds its slot."""
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
    """The ways that differ from the first of their group, or from themselves under load."""
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
    server: Server, voice: str | None, features: Path | None, load: int, text: str = PASSAGE
) -> list[Outcome]:
    """The outcome of every way, also with ``load`` listeners if that is not 0."""
    async with server.client() as client:
        voices = (await client.get("/v1/audio/voices")).json()["voices"]
    own = next(info for info in voices if voice in (None, info["id"]))
    ways = Asking(server, voice, own["sample_rate_hz"], text).ways(features)
    others = Load(server, lambda number: talking(number, voice), LOAD_S, 2.0, 0.0, 0.0)
    return await compare(ways, others if load else None, load)


def main() -> int:
    """Run the tool; returns its exit status."""
    parser = arguments(__doc__.split("\n")[0])
    parser.add_argument("--voice", help="voice; default: the server's")
    parser.add_argument(
        "--load", type=int, default=0, help="repeat everything with this many listeners"
    )
    parser.add_argument("--features", type=Path, help="feature file of the voice, to try as well")
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
    print("\n".join(wrong) or f"all {len(rows)} ways give the same audio")
    return 1 if wrong else 0
