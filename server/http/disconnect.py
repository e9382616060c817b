"""Stops work for clients that disconnect."""

import asyncio
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

Result = TypeVar("Result")


async def while_connected(request: Request, work: "asyncio.Task[Result]") -> Result:
    """The result of ``work``, which is cancelled if the client disconnects first.

    Only to be called once the body has been read: the next message is then the disconnect.

    Raises:
        ClientDisconnect: the client is gone.
    """
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientDisconnect
        return work.result()
    finally:
        gone.cancel()
        work.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
