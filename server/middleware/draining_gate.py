"""Refuses new requests while the server drains."""

from starlette.types import ASGIApp, Receive, Scope, Send

from .. import metrics
from ..draining import Draining
from ..errors import error_response

OPEN_PATHS = frozenset(("/healthz", "/readyz", "/metrics"))
"""Paths that are served to the end, and that nobody waits for."""


class DrainingGate:
    """Counts what runs, and answers 503 to what comes while it drains."""

    def __init__(self, app: ASGIApp, draining: Draining, retry_after_s: int) -> None:
        self.app = app
        self.draining = draining
        self.retry_after_s = retry_after_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in OPEN_PATHS:
            await self.app(scope, receive, send)
        elif self.draining.is_set():
            metrics.rejected("draining")
            response = error_response(
                503,
                "this server is about to stop: ask again, another will answer",
                code="draining",
                headers={"retry-after": str(self.retry_after_s), "connection": "close"},
            )
            await response(scope, receive, send)
        else:
            self.draining.running += 1
            try:
                await self.app(scope, receive, send)
            finally:
                self.draining.running -= 1
