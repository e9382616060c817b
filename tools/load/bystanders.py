"""Those who behave while a test misbehaves: listeners, and a probe of the server's answers."""

import asyncio
import time
from dataclasses import dataclass, field

from websockets.exceptions import InvalidHandshake

from .listening import Heard, listen, talking
from .playing import quantile
from .server import Server

ROUND_S = 5.0
"""How long a listener listens before it connects again."""

PROBE_EVERY_S = 0.05


@dataclass
class Bystanders:
    """Listeners on WebSockets and a probe of ``/healthz``, for as long as something else runs.

    Attributes:
        server: to connect to.
        listeners: how many.
        buffer_s: of their players.
        heard: what they received.
        answers_s: how long each answer of ``/healthz`` took.
        failed: probes without an answer.
    """

    server: Server
    listeners: int
    buffer_s: float = 0.0
    heard: list[Heard] = field(default_factory=list)
    answers_s: list[float] = field(default_factory=list)
    failed: int = 0

    async def during(self, work: "asyncio.Task[None]") -> None:
        """Listen and probe until ``work`` is done."""
        await asyncio.gather(
            self._probe(work), *(self._listen(number, work) for number in range(self.listeners))
        )
        work.result()

    @property
    def late(self) -> int:
        """Chunks of audio that came too late."""
        return sum(one.clock.late for one in self.heard if one.clock)

    def as_json(self) -> dict[str, object]:
        """The findings."""
        return {
            "listened": len(self.heard),
            "late_chunks": self.late,
            "refused": sum(one.refused_s is not None for one in self.heard),
            "errors": sorted({one.error for one in self.heard if one.error}),
            "probes": len(self.answers_s),
            "probes_failed": self.failed,
            "probe_median_ms": _ms(quantile(self.answers_s, 0.5)),
            "probe_p99_ms": _ms(quantile(self.answers_s, 0.99)),
            "probe_worst_ms": _ms(max(self.answers_s, default=None)),
        }

    async def _listen(self, number: int, work: "asyncio.Task[None]") -> None:
        while not work.done():
            until = time.perf_counter() + ROUND_S
            begun = time.perf_counter()
            try:
                found = await listen(self.server, talking(number, None), until, self.buffer_s)
            except (InvalidHandshake, OSError):  # There are too many connections.
                found = Heard(refused_s=time.perf_counter() - begun)
            self.heard.append(found)
            if self.heard[-1].refused_s is not None:
                await asyncio.sleep(1.0)

    async def _probe(self, work: "asyncio.Task[None]") -> None:
        async with self.server.client() as client:
            while not work.done():
                begun = time.perf_counter()
                try:
                    answer = await client.get("/healthz")
                    self.failed += answer.status_code != 200
                except OSError:
                    self.failed += 1
                except Exception as error:  # The client's own kinds of errors.
                    self.failed += 1
                    print(f"/healthz: {error!r}")
                self.answers_s.append(time.perf_counter() - begun)
                await asyncio.sleep(PROBE_EVERY_S)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 1)
