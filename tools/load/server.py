"""Connections to a running server."""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import httpx2
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import ClientConnection, connect

SOCKET_PATH = "/v1/audio/stream"


@dataclass(frozen=True)
class Server:
    """A server's address and API key.

    Attributes:
        url: such as ``http://127.0.0.1:8000``.
        key: sent as a bearer token; None if none is needed.
    """

    url: str
    key: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every request."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "127.0.0.1", parts.port or 80

    @asynccontextmanager
    async def socket(self, **query: object) -> AsyncIterator[ClientConnection]:
        """A WebSocket for audio, with these defaults of its contexts.

        Raises:
            InvalidStatus: the server refused it.
        """
        given = {name: str(value) for name, value in query.items() if value is not None}
        url = f"ws{self.url.removeprefix('http')}{SOCKET_PATH}?{urlencode(given)}"
        async with connect(
            url,
            additional_headers=self.headers,
            compression=None,
            proxy=None,
            max_size=None,
            max_queue=None,  # Keep reading even while this process is slow.
            open_timeout=60,
            close_timeout=2,
        ) as socket:
            yield socket

    def client(self, timeout_s: float = 60.0) -> httpx2.AsyncClient:
        """A client for its HTTP routes."""
        return httpx2.AsyncClient(
            base_url=self.url,
            headers=self.headers,
            timeout=timeout_s,
            trust_env=False,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
        )

    async def metrics(self) -> "Metrics":
        """Its current metrics."""
        async with self.client() as client:
            answer = await client.get("/metrics")
            answer.raise_for_status()
        return Metrics(answer.text)


class Metrics:
    """The contents of ``/metrics`` at one time."""

    def __init__(self, text: str) -> None:
        self._samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def total(self, name: str, **labels: str) -> float:
        """Sum of all samples with that name and these labels; 0 if there are none."""
        return sum(
            sample.value
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def buckets(self, name: str) -> dict[float, float]:
        """A histogram's cumulative buckets, by upper bound."""
        found: dict[float, float] = {}
        for sample in self._samples:
            if sample.name == f"{name}_bucket":
                bound = float(sample.labels["le"])
                found[bound] = found.get(bound, 0.0) + sample.value
        return dict(sorted(found.items()))


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser with the options of all tools."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="URL of the server")
    parser.add_argument("--key", help="API key, if the server requires one")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser
