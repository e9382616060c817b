"""Measures how a client that requests much and reads nothing affects other listeners.

    python tools/load unread --seconds 60 --others 8

The others listen without it first, and then with it; none of their audio may be late.
"""

import asyncio
import json

from .listeners import Load
from .listening import talking
from .raw import Opcode, RawSocket
from .results import Run
from .server import SOCKET_PATH, Server, arguments
from .texts import PASSAGE

PASSAGES = 20


async def compare(
    server: Server, seconds: float, others: int, buffer_s: float = 0.0
) -> tuple[Run, Run]:
    """The others' results, without and with such a client."""
    load = Load(server, lambda number: talking(number, None), seconds, 2.0, buffer_s, 0.0)
    alone = await load.run(others)
    with RawSocket(server.address) as raw:
        status = await asyncio.to_thread(raw.upgrade, SOCKET_PATH, server.headers)
        if status != 101:
            raise ConnectionError(f"the client that does not read was refused with {status}")
        for _ in range(PASSAGES):
            raw.send_frame(Opcode.TEXT, json.dumps({"type": "Speak", "text": PASSAGE}))
        raw.send_frame(Opcode.TEXT, '{"type":"Flush"}')
        return alone, await load.run(others)


def main() -> int:
    """Run the tool; returns its exit status."""
    parser = arguments(__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long it reads nothing")
    parser.add_argument("--others", type=int, default=4, help="number of other listeners")
    options = parser.parse_args()
    server = Server(options.url, options.key)
    alone, beside = asyncio.run(compare(server, options.seconds, options.others))
    if options.json:
        print(json.dumps({"alone": alone.as_json(), "beside": beside.as_json()}))
    else:
        print(f"without it: {alone}\nwith it: {beside}")
    return 0 if alone.on_time and beside.on_time else 1
