"""Limits of connections, shared by all connections of a process."""

import contextlib
import ipaddress
import math
import resource
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from ..metrics import Limit, Metrics
from ..settings import ServerSettings

RESERVED_FILES = 96
"""Open files that are not connections."""

IPV6_SITE_BITS = 64
"""Addresses of one IPv6 site share these leading bits."""

SAFE_S = 0.5
"""How long a connection is left alone, because its first request may be on its way."""

SLOWEST_BYTES_PER_S = 1000
"""Anything slower counts as no progress."""


class Connection(Protocol):
    """A connection as the limits see it."""

    client: tuple[str, int] | None

    def drop(self) -> None:
        """Close it at once."""


@dataclass
class ConnectionLimits:
    """The limits, and the connections that count.

    Attributes:
        metrics: counts what goes beyond a limit.
        most: connections in all.
        most_per_address: connections of one client address.
        unlimited: addresses of proxies, behind which there can be many clients.
        head_bytes: largest head of a request.
        head_s: time for a head.
        stalled_s: time without progress after which a body or a response is dropped.
        retry_after_s: wait suggested to refused clients.
    """

    metrics: Metrics
    most: int
    most_per_address: int
    unlimited: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    head_bytes: int
    head_s: float
    stalled_s: float
    retry_after_s: int
    _open: dict[Connection, str | None] = field(default_factory=dict)
    _by_address: Counter[str] = field(default_factory=Counter)
    # Since when, in order of time: the first has been idle the longest.
    _idle: dict[Connection, float] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: ServerSettings, metrics: Metrics) -> "ConnectionLimits":
        """The limits in the settings."""
        return cls(
            metrics=metrics,
            most=min(settings.max_connections, open_files() - RESERVED_FILES),
            most_per_address=settings.max_connections_per_address,
            unlimited=tuple(map(ipaddress.ip_network, settings.trusted_proxies)),
            head_bytes=settings.max_head_bytes,
            head_s=settings.head_timeout_s,
            stalled_s=settings.stalled_s,
            retry_after_s=settings.retry_after_s,
        )

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, connection: Connection) -> Limit | None:
        """Count a connection; returns the limit that it exceeds, if any.

        If there are too many in all, the one that has been idle the longest is dropped for it,
        unless that was not long either.
        """
        site = self._site(connection.client[0]) if connection.client else None
        self._open[connection] = site
        if site is not None:
            self._by_address[site] += 1
            if self._by_address[site] > self.most_per_address:
                return "connections_per_address"
        if len(self._open) <= self.most:
            return None
        longest, since = next(iter(self._idle.items()), (None, 0.0))
        if longest is None or time.monotonic() - since < SAFE_S:
            return "connections"
        self.metrics.limited("connections")
        longest.drop()
        self.closed(longest)
        return None

    def closed(self, connection: Connection) -> None:
        """Stop counting a connection; calling it again does nothing."""
        self._idle.pop(connection, None)
        if connection in self._open:
            site = self._open.pop(connection)
            if site is not None:
                self._by_address[site] -= 1
                if not self._by_address[site]:
                    del self._by_address[site]

    def idle(self, connection: Connection) -> None:
        """A connection has no request in progress."""
        if connection in self._open:
            self._idle[connection] = time.monotonic()

    def busy(self, connection: Connection) -> None:
        """A connection has a request in progress."""
        self._idle.pop(connection, None)

    def _site(self, address: str) -> str | None:
        """What counts as one address; None if it is unlimited."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return address
        mapped = getattr(found, "ipv4_mapped", None)
        found = mapped or found
        if any(found in network for network in self.unlimited):
            return None
        if found.version == 6:
            return str(ipaddress.ip_network((int(found), IPV6_SITE_BITS), strict=False))
        return str(found)


def open_files() -> int:
    """How many files this process may have open, after raising its own limit if it can."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft != hard:
        with contextlib.suppress(OSError, ValueError):
            wanted = 2**16 if hard == resource.RLIM_INFINITY else min(hard, 2**16)
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**31 if soft in (resource.RLIM_INFINITY, math.inf) else max(soft, 2 * RESERVED_FILES)
