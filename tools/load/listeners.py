"""Measures how many clients can listen at once: N WebSockets, each with a play clock.

    python tools/load listeners -n 20 --seconds 60
    python tools/load listeners --find 4 64        the most without a late chunk
    python tools/load listeners -n 20 --beyond     with as many more that ask to be admitted

Playback starts with the first chunk (or ``--player-buffer`` after it); a chunk is late if it
arrives after the audio before it has been played. First audio is the time from the first text to
the first chunk.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .listening import Heard, Recording, Source, listen, talking
from .progress import Progress
from .results import Run
from .server import Server, arguments

KNOCK_EVERY_S = 1.0


@dataclass(frozen=True)
class Load:
    """A number of listeners, and their behaviour.

    Attributes:
        server: to connect to.
        source: gives what listener ``number`` requests.
        seconds: how long they listen after the last has connected.
        ramp_s: time over which they connect.
        buffer_s: of their players.
        conversation_s: time after which each is replaced by another; 0 never does.
    """

    server: Server
    source: Callable[[int], Source]
    seconds: float
    ramp_s: float
    buffer_s: float
    conversation_s: float

    async def run(self, listeners: int, knocking: int = 0) -> Run:
        """Run ``listeners``, with ``knocking`` more that repeatedly ask to be admitted."""
        begun, cpu = time.perf_counter(), time.process_time()
        end = begun + self.ramp_s + self.seconds
        shown = asyncio.create_task(_show(listeners, begun, end))
        seats = [self._seat(number, listeners, begun, end) for number in range(listeners)]
        knocks = [
            # They arrive one by one, as the others did.
            self._knock(listeners + number, begun + self.ramp_s + number / knocking, end)
            for number in range(knocking)
        ]
        found = await asyncio.gather(*seats, *knocks)
        shown.cancel()
        return Run.of(
            [one for many in found for one in many],
            listeners=listeners,
            knocked=knocking,
            seconds=time.perf_counter() - begun,
            cpu_s=time.process_time() - cpu,
        )

    async def _seat(self, number: int, of: int, begun: float, end: float) -> list[Heard]:
        """A sequence of listeners, each replacing the one before."""
        come = begun + self.ramp_s * number / max(1, of)
        await asyncio.sleep(max(0.0, come - time.perf_counter()))
        heard: list[Heard] = []
        # The first ones leave at different times, as later ones do.
        leave_s = self.conversation_s * (1 + number / max(1, of))
        while (left := end - time.perf_counter()) > 0.5:
            until = end if not self.conversation_s else min(end, end - left + leave_s)
            source = self.source(number + 1000 * len(heard))
            heard.append(await listen(self.server, source, until, self.buffer_s))
            leave_s = self.conversation_s
            if heard[-1].error or heard[-1].refused_s is not None:
                break
        return heard

    async def _knock(self, number: int, begin: float, end: float) -> list[Heard]:
        """A client that asks to be admitted until it is."""
        await asyncio.sleep(max(0.0, begin - time.perf_counter()))
        heard: list[Heard] = []
        while time.perf_counter() < end - KNOCK_EVERY_S:
            heard.append(await listen(self.server, self.source(number), end, self.buffer_s))
            if heard[-1].refused_s is None:
                break
            await asyncio.sleep(KNOCK_EVERY_S)
        return heard


async def find(load: Load, least: int, most: int) -> list[Run]:
    """Bisect for the largest number of listeners that are all admitted and on time."""
    runs = []
    while least <= most:
        count = (least + most) // 2
        runs.append(run := await load.run(count))
        print(run, file=sys.stderr, flush=True)
        least, most = (count + 1, most) if run.held else (least, count - 1)
        await asyncio.sleep(1.0)  # Until the server has noticed that the last listeners left.
    return runs


async def _show(listeners: int, begun: float, end: float) -> None:
    progress = Progress()
    try:
        while True:
            now = time.perf_counter()
            progress.show(f"{listeners} listeners: {now - begun:.0f} of {end - begun:.0f} s")
            await asyncio.sleep(0.5)
    finally:
        progress.end()


def main() -> int:
    """Run the tool; returns its exit status."""
    parser = arguments(__doc__.split("\n")[0])
    parser.add_argument("--voice", help="voice; default: the server's")
    parser.add_argument("-n", "--listeners", type=int, default=8, help="number of listeners")
    parser.add_argument("--seconds", type=float, default=60.0, help="duration in seconds")
    parser.add_argument("--ramp", type=float, default=5.0, help="seconds over which they connect")
    parser.add_argument(
        "--player-buffer", type=float, default=0.0, help="ms that players buffer before they start"
    )
    parser.add_argument(
        "--conversation",
        type=float,
        default=0.0,
        help="seconds after which each is replaced by another; 0 never does",
    )
    parser.add_argument("--features", type=Path, help="feature file to send instead of text")
    parser.add_argument(
        "--find", type=int, nargs=2, metavar=("LEAST", "MOST"), help="search for the capacity"
    )
    parser.add_argument("--beyond", action="store_true", help="as many more ask to be admitted")
    options = parser.parse_args()
    runs = asyncio.run(_run(options, _load(options)))
    best = max((run for run in runs if run.held), key=lambda run: run.listeners, default=None)
    if options.json:
        held = best.listeners if best else None
        print(json.dumps({"held": held, "runs": [run.as_json() for run in runs]}))
    elif options.find:
        print(f"capacity {best.listeners}: {best}" if best else "none of these numbers was on time")
    else:
        print(runs[0])
    return 0 if best or (not options.find and runs[0].on_time) else 1


def _load(options: argparse.Namespace) -> Load:
    recording = Recording.load(options.features) if options.features else None

    def source(number: int) -> Source:
        if recording is None:
            return talking(number, options.voice)
        return recording.again(seed=number, voice=options.voice)

    return Load(
        Server(options.url, options.key),
        source,
        options.seconds,
        options.ramp,
        options.player_buffer / 1000,
        options.conversation,
    )


async def _run(options: argparse.Namespace, load: Load) -> list[Run]:
    if options.find:
        return await find(load, *options.find)
    return [await load.run(options.listeners, options.listeners if options.beyond else 0)]
