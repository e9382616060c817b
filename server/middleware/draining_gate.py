"""Refuses new requests while the server drains."""

from starlette.types import ASGIApp, Receive, Scope, Send

from ..draining import Draining
from ..errors import error_response
from ..metrics import Metrics
from .proxies import path_of

OPEN_PATHS = frozenset(("/healthz", "/readyz", "/metrics"))
"""Paths that are served until the end and do not delay the shutdown."""


class DrainingGate:
    """Counts running requests, and answers new ones with 503 while the server drains."""

    def __init__(
        self, app: ASGIApp, draining: Draining, metrics: Metrics, retry_after_s: int
    ) -> None:
        self.app = app
        self.draining = draining
        self.metrics = metrics
        self.retry_after_s = retry_after_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] not in ("http", "websocket") or path_of(scope) in OPEN_PATHS:
            await self.app(scope, receive, send)
        elif self.draining.is_set():
            self.metrics.rejected("draining")
            response = error_response(
                503,
                "this server is shutting down: retry, and another instance will answer",
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
