"""Sends bodies with wrong values in every place, and checks that nobody else notices.

    python tools/load bodies --count 10000 --at-once 16 --listeners 8

The bodies are made from the server's own OpenAPI document: each has one key with very many, very
long or very deep values, or very many keys, up to the limit of its route. Meanwhile others listen,
and ``/healthz`` is asked again and again.
"""

import asyncio
import json
import multiprocessing
import random
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from .bystanders import Bystanders
from .processes import Holdings, listening_on
from .progress import Progress
from .server import Server, arguments

LIMITS_BYTES = {
    "/v1/audio/speech": 1_250_000,
    "/v1/audio/speech/plan": 1_250_000,
    "/v1/speak": 1_250_000,
    "/v1/audio/vocode": 16 * 2**20,
}
"""Routes that take JSON, and the default limits of their bodies."""

SMALLEST_BYTES = 1000
ITEMS = ("1", '""', "null", "true", "[]", "{}", "-1e9", '"a"', "[[1]]", '{"a":1}', "1e999", "NaN")
MOST_MB = 100.0
SLOWEST_P99_MS, SLOWEST_MS = 100.0, 250.0


def bulk(draw: random.Random, size: int) -> bytes:
    """A JSON value of about ``size`` bytes."""
    item = draw.choice(ITEMS)
    count = max(1, size // (len(item) + 1))
    kind = draw.randrange(8)
    if kind < 3:
        text = "[" + ",".join([item] * count) + "]"
    elif kind == 3:
        text = "[" + ",".join(["[" + ",".join([item] * 20) + "]"] * (count // 20 + 1)) + "]"
    elif kind == 4:
        text = "{" + ",".join(f'"k{number}":{item}' for number in range(size // 12)) + "}"
    elif kind == 5:
        text = '"' + draw.choice(("a", ",", "<a>", "\\u0041", "[", '\\"')) * (size // 6) + '"'
    elif kind == 6:
        text = "[" * size if draw.random() < 0.5 else '{"a":' * (size // 5)
    else:
        text = "9" * size
    return text.encode()


def body(draw: random.Random, properties: dict[str, Any], limit: int) -> bytes:
    """One body, of any size up to ``limit``, evenly by order of magnitude."""
    size = int(SMALLEST_BYTES * (limit * 0.98 / SMALLEST_BYTES) ** draw.random()) - 500
    fields = {"input": b'"Hello."', "text": b'"Hello."', "mel": b"[[1,2],[1,2]]"}
    parts = {key: value for key, value in fields.items() if key in properties}
    if draw.random() < 0.2:
        item = draw.choice(ITEMS)
        key = "k" if draw.random() < 0.5 else ""
        extra = (f'"{key or number}":{item}' for number in range(max(1, size // 14)))
        parts[""] = ",".join(extra).encode()
    else:
        parts[draw.choice(sorted(properties))] = bulk(draw, size)
    members = [b'"%b":%b' % (key.encode(), value) if key else value for key, value in parts.items()]
    draw.shuffle(members)
    return b"{" + b",".join(members) + (b"}" if draw.random() < 0.95 else b"")


@dataclass
class Bodies:
    """A run.

    Attributes:
        count: bodies to send.
        at_once: how many are on their way at a time.
        answers: how often each route answered with each status.
    """

    count: int
    at_once: int
    seed: int
    answers: Counter[str] = field(default_factory=Counter)

    async def run(self, server: Server) -> None:
        """Send all of them."""
        async with server.client() as client:
            document = (await client.get("/openapi.json")).json()
        schemas = {path: _properties(document, path) for path in LIMITS_BYTES}
        numbers, progress = iter(range(self.count)), Progress()
        await asyncio.gather(
            *(self._work(server, schemas, numbers, progress) for _ in range(self.at_once))
        )
        progress.end()

    async def _work(
        self,
        server: Server,
        schemas: dict[str, dict[str, Any]],
        numbers: Iterator[int],
        progress: Progress,
    ) -> None:
        async with server.client(120.0) as client:
            for number in numbers:
                draw = random.Random(self.seed * 1_000_003 + number)
                path = draw.choice(sorted(LIMITS_BYTES))
                data = await asyncio.to_thread(body, draw, schemas[path], LIMITS_BYTES[path])
                try:
                    # Some are long texts, which nobody listens to.
                    async with client.stream(
                        "POST", path, content=data, headers={"content-type": "application/json"}
                    ) as answer:
                        if answer.status_code != 200:
                            await answer.aread()
                    self.answers[f"{path} {answer.status_code}"] += 1
                except Exception as error:  # The client's own kinds of errors.
                    self.answers[f"{path} {type(error).__name__}"] += 1
                progress.show(f"{number + 1} of {self.count} bodies")


def _properties(document: dict[str, Any], path: str) -> dict[str, Any]:
    content = document["paths"][path]["post"]["requestBody"]["content"]
    found: dict[str, Any] = content["application/json"]["schema"]["properties"]
    return found


def _send_all(server: Server, bodies: Bodies) -> Counter[str]:
    asyncio.run(bodies.run(server))
    return bodies.answers


async def attack(
    server: Server, bodies: Bodies, bystanders: Bystanders, pid: int | None
) -> dict[str, Any]:
    """Run everything; returns the findings."""
    before = Holdings.of(pid) if pid else None

    async def send() -> None:
        # In another process: what takes time there must not look like a slow server here.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            loop = asyncio.get_running_loop()
            bodies.answers = await loop.run_in_executor(pool, _send_all, server, bodies)

    await bystanders.during(asyncio.create_task(send()))
    await asyncio.sleep(3.0)
    after = Holdings.of(pid) if pid else None
    return {
        "answers": dict(bodies.answers.most_common()),
        **bystanders.as_json(),
        "grown_mb": round(after.rss_mb - before.rss_mb, 1) if before and after else None,
    }


def wrong(found: dict[str, Any]) -> list[str]:
    """The checks that failed."""
    failed = [
        f"{what} is {found[what]}" for what in ("late_chunks", "probes_failed") if found[what]
    ]
    for what, most in (
        ("probe_p99_ms", SLOWEST_P99_MS),
        ("probe_worst_ms", SLOWEST_MS),
        ("grown_mb", MOST_MB),
    ):
        if (found[what] or 0) > most:
            failed.append(f"{what} is {found[what]}, the limit is {most:g}")
    odd = [answer for answer in found["answers"] if answer.split()[-1][0] not in "24"]
    return [*failed, *(f"{found['answers'][answer]} x {answer}" for answer in odd)]


def main() -> int:
    """Run the tool; returns its exit status."""
    parser = arguments(__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="number of bodies")
    parser.add_argument("--at-once", type=int, default=16, help="bodies on their way at a time")
    parser.add_argument("--listeners", type=int, default=8, help="number of others who listen")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random choices")
    options = parser.parse_args()
    server = Server(options.url, options.key)
    bodies = Bodies(options.count, options.at_once, options.seed)
    bystanders = Bystanders(server, options.listeners)
    pid = listening_on(server.address[1])
    found = asyncio.run(attack(server, bodies, bystanders, pid))
    failed = wrong(found)
    if options.json:
        print(json.dumps({**found, "wrong": failed}))
    else:
        for name, value in found.items():
            print(f"{name:16} {value}")
        print("\n".join(failed) or "nobody noticed", file=sys.stdout)
    return 1 if failed else 0
