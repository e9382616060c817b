"""Accepts or refuses a WebSocket, and serves the connection."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.websockets import WebSocket, WebSocketDisconnect

from vocoder.errors import UserError

from ..errors import Refusal, status_of
from ..middleware.authentication import refuse
from ..service.service import Service
from .connection import Connection
from .contexts import Contexts
from .dialect import Dialect
from .lease import SlotLease
from .messages import Options, parse_query
from .outgoing import Outgoing
from .voice_settings import resolve

Translation = Callable[[Service, Options], Awaitable[Options]]
"""Turns a dialect's options into this server's own."""


async def unchanged(service: Service, options: Options) -> Options:
    """The options of a dialect that needs no translation."""
    return options


async def admit(
    websocket: WebSocket,
    dialect: Dialect,
    model: type[Options],
    translate: Translation = unchanged,
) -> None:
    """Serve a client, or refuse it at the handshake.

    Args:
        websocket: whose handshake has not been answered.
        dialect: the client's protocol.
        model: of its query.
        translate: turns the query into this server's own options.
    """
    service: Service = websocket.app.state.service
    try:
        options = parse_query(websocket.query_params.multi_items(), model)
        await _serve(websocket, service, dialect, await translate(service, options))
    except Refusal as error:
        refusal = error
    except UserError as error:
        refusal = Refusal(status_of(error), str(error), code=error.code, param=error.param)
    else:
        return
    service.metrics.limited(refusal.code)
    await refuse(refusal, websocket.scope, websocket.receive, websocket.send)


async def _serve(
    websocket: WebSocket, service: Service, dialect: Dialect, options: Options
) -> None:
    """Accept a client, and serve it until it disconnects.

    Raises:
        Refusal, UserError: it is refused; the handshake has not been answered.
    """
    settings = await resolve(service, options)
    idle_s = service.settings.idle_slot_s
    lease = SlotLease(service.admission, settings.voice, settings.engine, idle_s=idle_s)
    lease.acquire()
    try:
        headers = [(b"dg-request-id", websocket.state.request_id.encode())] * dialect.greets
        await websocket.accept(websocket.state.subprotocol, headers)
    except OSError:
        lease.release()
        raise WebSocketDisconnect(1006) from None  # The client left during the handshake.
    except BaseException:
        lease.release()
        raise
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(error: BaseException) -> None:
        if not failed.done():
            failed.set_exception(error)

    outgoing = Outgoing(
        websocket,
        dialect.shape,
        stalled_s=service.settings.stalled_s,
        reported=service.metrics.limited,
    )
    contexts = Contexts(websocket, service, outgoing, options, settings, lease, fail)
    try:
        await Connection(websocket, service, dialect, outgoing, contexts, failed).run()
    finally:
        await contexts.close()
        if failed.done():
            failed.exception()  # Marks it as retrieved.
