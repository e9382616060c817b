"""Clients that stand still, in every way, while others listen.

    python tools/load stall --readers 200 --sockets 200 --seconds 90 --listeners 4

Readers request long speech and read nothing; sockets send nothing, half a head or half a body. They
come from several loopback addresses, and come again when they are dropped. The listeners must get
every chunk in time, and at the end all places must be free again within ``--free-s``.
"""

import asyncio
import contextlib
import json
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from .bystanders import Bystanders
from .server import Server, arguments
from .texts import PASSAGE

ADDRESSES = 8
"""Loopback addresses that the clients come from."""

RECEIVE_BYTES = 4096
PAUSE_S = 1.0
BODY = json.dumps({"input": PASSAGE * 20, "response_format": "pcm"}).encode()
HEAD = b"POST /v1/audio/speech HTTP/1.1\r\nHost: stall\r\nContent-Type: application/json\r\n"
COMPLETE = HEAD + b"Content-Length: %d\r\n" % len(BODY)
SENT = {
    "reader": COMPLETE + b"\r\n" + BODY,
    "silent": b"",
    "half a head": HEAD,
    "half a body": COMPLETE + b"\r\n" + BODY[: len(BODY) // 2],
}


@dataclass
class Stalls:
    """A run.

    Attributes:
        server: to connect to.
        readers: clients that read nothing.
        sockets: clients that do not finish what they send.
        seconds: how long they go on.
        dropped: how often clients of each kind were dropped or refused.
    """

    server: Server
    readers: int
    sockets: int
    seconds: float
    dropped: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        """Run all clients."""
        end = time.monotonic() + self.seconds
        others = [kind for kind in SENT if kind != "reader"]
        kinds = ["reader"] * self.readers
        kinds += [others[number % len(others)] for number in range(self.sockets)]
        await asyncio.gather(*(self._stall(kind, at, end) for at, kind in enumerate(kinds)))

    async def _stall(self, kind: str, number: int, end: float) -> None:
        loop = asyncio.get_running_loop()
        while (left := end - time.monotonic()) > 0:
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
            client.setblocking(False)
            try:
                with contextlib.suppress(OSError):  # Only Linux has all of them.
                    client.bind((f"127.0.0.{2 + number % ADDRESSES}", 0))
                async with asyncio.timeout(left):
                    await loop.sock_connect(client, self.server.address)
                    await loop.sock_sendall(client, SENT[kind])
                    await _until_closed(client)
                self.dropped[kind] += 1
            except TimeoutError:
                return
            except OSError:
                self.dropped[kind] += 1
            finally:
                client.close()
            await asyncio.sleep(PAUSE_S)


async def _until_closed(client: socket.socket) -> None:
    """Wait until the server has closed the connection, without reading what it has sent."""
    while True:
        await asyncio.sleep(0.2)
        try:
            # Looks at what is there, so that the receive buffer stays full.
            if not client.recv(1, socket.MSG_PEEK):
                return
        except BlockingIOError:
            continue
        if _is_closed_by_peer(client):
            return


def _is_closed_by_peer(client: socket.socket) -> bool:
    if not hasattr(socket, "TCP_INFO"):
        return False
    established = 1
    return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != established


async def attack(stalls: Stalls, bystanders: Bystanders, free_s: float) -> dict[str, Any]:
    """Run everything; returns the findings."""
    await bystanders.during(asyncio.create_task(stalls.run()))
    begun = time.monotonic()
    free_after: float | None = None
    while free_after is None and time.monotonic() - begun < free_s:
        metrics = await stalls.server.metrics()
        if not metrics.total("vocoder_streams"):
            free_after = round(time.monotonic() - begun, 1)
        await asyncio.sleep(0.5)
    metrics = await stalls.server.metrics()
    limits = ("response_stalled", "head_timeout", "body_timeout", "connections")
    return {
        "dropped": dict(stalls.dropped),
        **bystanders.as_json(),
        "free_after_s": free_after,
        **{
            limit: int(metrics.total("vocoder_limits_total", limit=limit))
            for limit in (*limits, "connections_per_address")
        },
    }


def main() -> int:
    """Run the tool; returns its exit status."""
    parser = arguments(__doc__.split("\n")[0])
    parser.add_argument("--readers", type=int, default=200, help="clients that read nothing")
    parser.add_argument("--sockets", type=int, default=200, help="clients that do not finish")
    parser.add_argument("--seconds", type=float, default=90.0, help="how long they go on")
    parser.add_argument("--listeners", type=int, default=4, help="number of others who listen")
    parser.add_argument("--free-s", type=float, default=60.0, help="until places are free again")
    options = parser.parse_args()
    server = Server(options.url, options.key)
    stalls = Stalls(server, options.readers, options.sockets, options.seconds)
    bystanders = Bystanders(server, options.listeners)
    found = asyncio.run(attack(stalls, bystanders, options.free_s))
    failed = [what for what in ("late_chunks", "probes_failed", "errors") if found[what]]
    if found["free_after_s"] is None:
        failed.append("places are still taken")
    if options.json:
        print(json.dumps({**found, "wrong": failed}))
    else:
        for name, value in found.items():
            print(f"{name:24} {value}")
        print("wrong: " + ", ".join(failed) if failed else "nobody noticed")
    return 1 if failed else 0
