"""Which web origins may call the server: CORS, and the same for WebSockets, which it leaves out."""

from collections.abc import Collection, Sequence

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from .. import openapi
from ..errors import Refusal
from .authentication import refuse

EXPOSED = (*openapi.HEADERS, "retry-after")
"""Headers of answers that a page's script may read."""


def cross_origin(origins: Sequence[str]) -> list[Middleware]:
    """What lets pages of other origins read answers; nothing where there are no origins.

    It belongs around everything else, so that errors can be read too. Keys are not cookies: a page
    has to know one to use it, so credentials in CORS's sense stay off. Scripts may send any header:
    clients such as OpenAI's add their own.
    """
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=("GET", "POST"),
            allow_headers=("*",),
            expose_headers=EXPOSED,
        )
    ]


class SocketOrigins:
    """Refuses WebSockets that pages of other origins open, with 403.

    A browser sends ``Origin`` with each and leaves the decision to the server. Pages of the
    server's own origin may always; what is no browser sends none and may, too.

    Args:
        app: what is guarded.
        origins: the others that may; any may where there are none, or one is ``*``.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self.app = app
        self.origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a socket; anything else passes through."""
        if scope["type"] != "websocket" or self._allowed(Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        refusal = Refusal(
            403,
            "pages of this origin may not open WebSockets here: "
            "the server's setting cors_origins lists those that may",
            code="origin_not_allowed",
        )
        await refuse(refusal, scope, receive, send)

    def _allowed(self, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin is None or not self.origins or "*" in self.origins or origin in self.origins:
            return True
        # Without the scheme: behind a proxy that ends TLS the server knows only http.
        return origin.partition("://")[2] == headers.get("host", "").lower()
