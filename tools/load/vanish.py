"""Clients that disconnect abruptly, and what they leave behind.

    python tools/load vanish --clients 1000 --pid PID

Each client connects over HTTP or a WebSocket and disconnects during the handshake, after the first
audio, in the middle, or after reading nothing for a while, by a close or a reset. Soon after the
last one the server must have no streams and no rows, and no more files and threads than before.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import cycle, islice, product

from .processes import POOLED_THREADS, Holdings, listening_on
from .progress import Progress
from .raw import Opcode, RawSocket
from .server import SOCKET_PATH, Server, arguments
from .texts import PASSAGE

SPEECH_PATH = "/v1/audio/speech"
SILENCE_S = 1.0
SETTLE_S = 10.0
"""Time within which the server must have settled."""

AT_ONCE = 4
WARM_UP = 40
"""Clients before the first sample, because a server opens its pools and caches only once."""

METHODS = ("http", "socket")
MOMENTS = ("handshake", "first audio", "middle", "silence")
ENDINGS = ("close", "reset")


@dataclass(frozen=True)
class Vanishing:
    """How a client disconnects."""

    method: str
    moment: str
    ending: str


def kinds() -> Iterator[Vanishing]:
    """Every kind in turn, endlessly."""
    return cycle([Vanishing(*each) for each in product(METHODS, MOMENTS, ENDINGS)])


def vanish(server: Server, kind: Vanishing) -> str:
    """Run such a client; returns the server's answer, or ``vanished`` if all went as planned."""
    raw = RawSocket(server.address, timeout_s=60.0)
    try:
        if kind.method == "http":
            return _over_http(server, raw, kind)
        return _over_socket(server, raw, kind)
    except (EOFError, OSError) as error:
        return f"{kind.moment}: {type(error).__name__} {error}"
    finally:
        if kind.ending == "reset":
            raw.reset()
        else:
            raw.close()


def _over_http(server: Server, raw: RawSocket, kind: Vanishing) -> str:
    body = json.dumps({"input": PASSAGE, "response_format": "pcm"}).encode()
    headers = {"Host": "vanish", "Content-Type": "application/json", **server.headers}
    lines = [f"POST {SPEECH_PATH} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode()
    if kind.moment == "handshake":
        raw.send(head + body[: len(body) // 2])
        return "vanished"
    raw.send(head + body)
    if kind.moment == "silence":
        time.sleep(SILENCE_S)
        return "vanished"
    status = raw.read_status()
    if status != 200:
        return f"refused with {status}"
    raw.read_some()
    if kind.moment == "middle":
        raw.read_some()
    return "vanished"


def _over_socket(server: Server, raw: RawSocket, kind: Vanishing) -> str:
    raw.ask_for_upgrade(SOCKET_PATH, server.headers)
    if kind.moment == "handshake":
        return "vanished"
    status = raw.read_status()
    if status != 101:
        return f"refused with {status}"
    raw.send_frame(Opcode.TEXT, json.dumps({"type": "Speak", "text": PASSAGE}))
    raw.send_frame(Opcode.TEXT, '{"type":"Flush"}')
    if kind.moment == "silence":
        time.sleep(SILENCE_S)
        return "vanished"
    wanted = 1 if kind.moment == "first audio" else 3
    while wanted:
        wanted -= raw.read_frame().opcode == Opcode.BINARY
    return "vanished"


@dataclass(frozen=True)
class Left:
    """What the clients left behind.

    Attributes:
        clients: number of clients.
        answers: number of clients by answer.
        settled_s: time until the server had no streams and no rows; None if it still has some.
        streams: remaining streams.
        rows: remaining rows.
        before: the server's resources before, as text; None if its process is unknown.
        after: its resources after.
        more_files: additional open files.
        more_threads: additional threads.
        releases: cumulative counts of row releases, by upper bound in milliseconds.
    """

    clients: int
    answers: dict[str, int]
    settled_s: float | None
    streams: float
    rows: float
    before: str | None
    after: str | None
    more_files: int
    more_threads: int
    releases: dict[str, float]

    @property
    def nothing(self) -> bool:
        """Whether nothing was left behind."""
        settled = self.settled_s is not None
        return settled and self.more_files <= 0 and self.more_threads <= POOLED_THREADS


async def come_and_vanish(server: Server, clients: int, pid: int | None) -> Left:
    """Run ``clients`` clients."""
    pool, progress = ThreadPoolExecutor(AT_ONCE), Progress()
    loop = asyncio.get_running_loop()

    async def let(count: int) -> dict[str, int]:
        answers: dict[str, int] = {}
        jobs = [loop.run_in_executor(pool, vanish, server, kind) for kind in islice(kinds(), count)]
        for done, job in enumerate(jobs, start=1):
            answer = await job
            answers[answer] = answers.get(answer, 0) + 1
            progress.show(f"{done} of {count} clients have disconnected")
        return answers

    await let(min(WARM_UP, clients))
    await _settled(server)
    before = Holdings.of(pid) if pid else None
    answers = await let(clients)
    settled_s = await _settled(server)
    after, until = before, time.monotonic() + SETTLE_S
    # Connections close a moment after their last byte.
    while pid and before and time.monotonic() < until:
        after = Holdings.of(pid)
        if after.files <= before.files and after.threads <= before.threads + POOLED_THREADS:
            break
        await asyncio.sleep(0.2)
    progress.end()
    metrics = await server.metrics()
    return Left(
        clients,
        answers,
        settled_s,
        metrics.total("vocoder_streams"),
        metrics.total("vocoder_rows"),
        str(before) if before else None,
        str(after) if after else None,
        after.files - before.files if after and before else 0,
        after.threads - before.threads if after and before else 0,
        {
            f"{1000 * bound:g}": count
            for bound, count in metrics.buckets("vocoder_row_release_seconds").items()
        },
    )


async def _settled(server: Server) -> float | None:
    begun = time.monotonic()
    while (waited := time.monotonic() - begun) < SETTLE_S:
        metrics = await server.metrics()
        if not metrics.total("vocoder_streams") and not metrics.total("vocoder_rows"):
            return round(waited, 2)
        await asyncio.sleep(0.1)
    return None


def main() -> int:
    """Run the tool; returns its exit status."""
    parser = arguments(__doc__.split("\n")[0])
    parser.add_argument("--clients", type=int, default=1000, help="number of clients")
    parser.add_argument(
        "--pid", type=int, help="process id of the server; default: found by its port"
    )
    options = parser.parse_args()
    server = Server(options.url, options.key)
    pid = options.pid or listening_on(server.address[1])
    left = asyncio.run(come_and_vanish(server, options.clients, pid))
    if options.json:
        print(json.dumps(asdict(left) | {"nothing": left.nothing}))
    else:
        for name, value in asdict(left).items():
            print(f"{name:14} {value}")
    return 0 if left.nothing else 1
