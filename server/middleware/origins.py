"""Which web origins may call the server: CORS, and the same check for WebSockets."""

from collections.abc import Collection, Sequence

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from .. import openapi
from ..errors import Refusal
from .authentication import refuse

EXPOSED = (*openapi.HEADERS, "retry-after")
"""Response headers that a page's script may read."""


def cross_origin(origins: Sequence[str]) -> list[Middleware]:
    """CORS for the given origins; no middleware at all if there are none.

    It must wrap everything else, so that pages can read errors too. API keys are not cookies: a
    page has to know one to use it, so CORS credentials stay off. Scripts may send any header, since
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
    """Refuses WebSockets opened by pages of other origins, with 403.

    CORS does not cover WebSockets: the browser sends ``Origin`` and leaves the decision to the
    server. Pages of the server's own origin are always allowed, and so are clients that send no
    origin, which are not browsers.

    Args:
        app: the application to guard.
        origins: other origins that are allowed; all are if it is empty or contains ``*``.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self.app = app
        self.origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a WebSocket; anything else passes through."""
        if scope["type"] != "websocket" or self._allowed(Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        refusal = Refusal(
            403,
            "pages of this origin may not open WebSockets here: "
            "the server's setting cors_origins lists the allowed origins",
            code="origin_not_allowed",
        )
        await refuse(refusal, scope, receive, send)

    def _allowed(self, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin is None or not self.origins or "*" in self.origins or origin in self.origins:
            return True
        # Compared without the scheme: behind a TLS proxy the server only sees http.
        return origin.partition("://")[2] == headers.get("host", "").lower()
