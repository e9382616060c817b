"""Sends thousands of requests of all kinds, and checks memory, files and threads for leaks.

    python tools/load soak --requests 5000 --plot docs/service/memory.png

The server's processes are sampled every second. After a warm-up (pools, caches, and an allocator
that grows to its working size) memory must not grow with the requests, and at the end there must be
no more files and threads than after the warm-up.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import psutil
from matplotlib.figure import Figure
from websockets.exceptions import InvalidStatus

from .mixture import BUSY, KINDS, RECORDING, Busy, Caller, Unexpected
from .processes import POOLED_THREADS, Holdings, listening_on
from .progress import Progress
from .server import Server, arguments

SAMPLE_EVERY_S = 1.0
STREAMS_END_S = 60.0
"""Time within which the streams of clients that stand still end."""

QUIET_S = 3.0
"""Time within which finished connections are closed."""

BUSY_WAIT_S = 0.2


@dataclass
class Soak:
    """A run and its observations.

    Attributes:
        done: requests so far.
        kinds: number of requests of each kind with the expected outcome.
        busy: how often the server was at its limit.
        unexpected: other outcomes, and how often they occurred.
        samples: requests done, with the server's resources at that time.
    """

    done: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    busy: int = 0
    unexpected: Counter[str] = field(default_factory=Counter)
    samples: list[tuple[int, Holdings]] = field(default_factory=list)

    async def ask(self, caller: Caller, names: Sequence[str]) -> None:
        """One request of a random kind; retried while the server is busy."""
        (name,) = caller.draw.choices(names, [KINDS[name][1] for name in names])
        kind = KINDS[name][0]
        while True:
            try:
                await kind(caller)
                self.kinds[name] += 1
            except Busy:
                self.busy += 1
            except InvalidStatus as error:
                if error.response.status_code not in BUSY:
                    self.unexpected[f"{name}: {error}"] += 1
                    break
                self.busy += 1
            except (Unexpected, OSError, TimeoutError) as error:
                self.unexpected[f"{name}: {error}"[:300]] += 1
                break
            except Exception as error:  # Client errors are counted, and must not end the run.
                self.unexpected[f"{name}: {type(error).__name__} {error}"[:300]] += 1
                break
            else:
                break
            await asyncio.sleep(BUSY_WAIT_S)
        self.done += 1


@dataclass(frozen=True)
class Verdict:
    """The outcome of a soak test.

    Attributes:
        requests: number of requests.
        seconds: duration.
        slope_mb: memory growth per 1,000 requests after the warm-up.
        rss_mb: resident memory after the warm-up and at the end, both when idle.
        files: open files, likewise.
        threads: maximum up to the end of the warm-up, because pools grow on demand; at the end.
        streams: those left at the end.
        kinds: number of requests of each kind.
        busy: how often the server was at its limit.
        unexpected: unexpected outcomes, and how often they occurred.
    """

    requests: int
    seconds: float
    slope_mb: float
    rss_mb: tuple[float, float]
    files: tuple[int, int]
    threads: tuple[int, int]
    streams: int
    kinds: dict[str, int]
    busy: int
    unexpected: dict[str, int]

    def wrong(self, most_slope_mb: float) -> list[str]:
        """The checks that failed."""
        found = []
        if self.slope_mb > most_slope_mb:
            found.append(f"memory grows by {self.slope_mb:.2f} MB per 1,000 requests")
        if self.files[1] > self.files[0]:
            found.append(f"open files grew from {self.files[0]} to {self.files[1]}")
        if self.threads[1] > self.threads[0] + POOLED_THREADS:
            found.append(f"threads grew from {self.threads[0]} to {self.threads[1]}")
        if self.streams:
            found.append(f"{self.streams} streams are left")
        return [*found, *(f"{count} x {what}" for what, count in self.unexpected.items())]


async def soak(
    server: Server,
    pid: int,
    *,
    requests: int,
    warm_up: int,
    at_once: int,
    every: int = 5000,
    seed: int = 1,
    kinds: Sequence[str] = tuple(KINDS),
    features: bytes,
    recording: bytes,
) -> tuple[Soak, Verdict]:
    """Send ``requests`` requests, ``at_once`` concurrently.

    Raises:
        psutil.NoSuchProcess: the server has exited.
    """
    run, begun, progress = Soak(), time.monotonic(), Progress()

    async def watch() -> None:
        while True:
            run.samples.append((run.done, held := Holdings.of(pid)))
            progress.show(f"{run.done} of {requests} requests; the server uses {held}")
            await asyncio.sleep(SAMPLE_EVERY_S)

    async def until(count: int) -> Holdings:
        numbers = iter(range(run.done, count))

        async def work(worker: int) -> None:
            async with server.client() as client:
                for number in numbers:
                    draw = random.Random(seed * 1_000_003 + number)
                    await run.ask(Caller(server, client, draw, features, recording), kinds)

        await asyncio.gather(*(work(worker) for worker in range(at_once)))
        await asyncio.sleep(QUIET_S)
        return Holdings.of(pid)

    watching = asyncio.create_task(watch())
    try:
        before = after = await until(warm_up)
        for count in range(warm_up + every, requests + every, every):
            after = await until(min(count, requests))
            print(f"{run.done} requests: the server uses {after}", file=sys.stderr, flush=True)
        streams = await _streams_left(server)
    finally:
        watching.cancel()
        progress.end()
    return run, Verdict(
        requests=run.done,
        seconds=round(time.monotonic() - begun, 1),
        slope_mb=round(_slope(run.samples, warm_up)[0], 3),
        rss_mb=(round(before.rss_mb, 1), round(after.rss_mb, 1)),
        files=(before.files, after.files),
        threads=(
            max(held.threads for done, held in run.samples if done <= warm_up),
            after.threads,
        ),
        streams=streams,
        kinds=dict(run.kinds.most_common()),
        busy=run.busy,
        unexpected=dict(run.unexpected.most_common()),
    )


async def _streams_left(server: Server) -> int:
    """Streams and waiting requests, once those of clients that stand still have ended."""
    deadline = time.monotonic() + STREAMS_END_S
    while True:
        metrics = await server.metrics()
        left = metrics.total("vocoder_streams") + metrics.total("vocoder_waiting")
        if not left or time.monotonic() > deadline:
            return int(left)
        await asyncio.sleep(SAMPLE_EVERY_S)


def _slope(samples: list[tuple[int, Holdings]], warm_up: int) -> tuple[float, float]:
    """Least squares after the warm-up: MB per 1,000 requests, and MB at zero requests."""
    after = [(done, held.rss_mb) for done, held in samples if done > warm_up]
    if len({done for done, _ in after}) < 2:
        return 0.0, after[0][1] if after else 0.0
    slope, start = np.polyfit([done / 1000 for done, _ in after], [mb for _, mb in after], 1)
    return float(slope), float(start)


def plot(run: Soak, verdict: Verdict, warm_up: int, path: Path) -> None:
    """Plot memory, files and threads over the requests."""
    done = [count for count, _ in run.samples]
    figure = Figure(figsize=(8, 5), layout="constrained")
    memory, counts = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    memory.plot(done, [held.rss_mb for _, held in run.samples], linewidth=0.8, label="resident")
    slope, start = _slope(run.samples, warm_up)
    ends = (warm_up, verdict.requests)
    memory.plot(
        ends,
        [start + slope * end / 1000 for end in ends],
        "--",
        label=f"{slope:+.2f} MB per 1,000 requests after the warm-up",
    )
    memory.set(ylabel="memory, MB", ylim=(0, None))
    counts.plot(done, [held.files for _, held in run.samples], linewidth=0.8, label="files")
    counts.plot(done, [held.threads for _, held in run.samples], linewidth=0.8, label="threads")
    counts.set(xlabel="requests of mixed kinds", ylabel="open", ylim=(0, None))
    for axes in (memory, counts):
        axes.axvline(warm_up, color="grey", linewidth=0.8, linestyle=":")
        axes.legend(loc="lower right")
        axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> int:
    """Run the tool; returns its exit status."""
    parser = arguments(__doc__.split("\n")[0])
    parser.add_argument("--requests", type=int, default=5000, help="number of requests")
    parser.add_argument(
        "--warm-up", type=int, default=1000, help="how many of them are the warm-up"
    )
    parser.add_argument("--every", type=int, default=5000, help="requests between two reports")
    parser.add_argument("--at-once", type=int, default=6, help="concurrent requests")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random choices")
    parser.add_argument(
        "--pid", type=int, help="process id of the server; default: found by its port"
    )
    parser.add_argument("--plot", type=Path, help="file for a plot")
    parser.add_argument(
        "--most-slope", type=float, default=1.0, help="allowed growth in MB per 1,000 requests"
    )
    parser.add_argument(
        "--kinds",
        nargs="+",
        choices=KINDS,
        default=list(KINDS),
        help="kinds of requests; default: all",
    )
    parser.add_argument(
        "--features",
        type=Path,
        default=RECORDING.with_suffix(".safetensors"),
        help="feature file of the voice",
    )
    options = parser.parse_args()
    server = Server(options.url, options.key)
    pid = options.pid or listening_on(server.address[1])
    if pid is None:
        parser.error(f"no process on this machine listens on {options.url}: give --pid")
    try:
        run, verdict = asyncio.run(
            soak(
                server,
                pid,
                requests=options.requests,
                warm_up=options.warm_up,
                at_once=options.at_once,
                every=options.every,
                seed=options.seed,
                kinds=options.kinds,
                features=options.features.read_bytes(),
                recording=RECORDING.read_bytes(),
            )
        )
    except psutil.NoSuchProcess:
        print("the server has exited", file=sys.stderr)
        return 1
    wrong = verdict.wrong(options.most_slope)
    if options.plot:
        plot(run, verdict, options.warm_up, options.plot)
    if options.json:
        samples = [{"requests": done, **asdict(held)} for done, held in run.samples]
        print(json.dumps({**asdict(verdict), "wrong": wrong, "samples": samples}))
    else:
        for name, value in asdict(verdict).items():
            print(f"{name:12} {value}")
        print("\n".join(wrong) or "no leaks")
    return 1 if wrong else 0
