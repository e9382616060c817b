"""Proxies in front of the server: the path below which they serve it, and the client's address.

Plain ASGI: nothing is buffered.
"""

import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ..settings import ROOT_PATH

PREFIX_HEADER = "x-forwarded-prefix"
LONGEST_PREFIX = 200


class Proxies:
    """Takes ``X-Forwarded-For``, ``-Proto`` and ``-Prefix`` from trusted proxies.

    The prefix becomes the scope's ``root_path``, whether the proxy strips it from the path or not.

    Args:
        app: the application.
        root_path: prefix of a proxy that sends no header.
        trusted: addresses and networks of proxies. What comes over a Unix socket is trusted too.
    """

    def __init__(self, app: ASGIApp, root_path: str, trusted: Sequence[str]) -> None:
        self.app = app
        self.root_path = root_path
        self._addresses = ProxyHeadersMiddleware(app, list(trusted))  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] in ("http", "websocket"):
            prefix = self._prefix(scope)
            if prefix and not _is_below(scope["path"], prefix):
                scope["path"] = prefix + scope["path"]
                if "raw_path" in scope:
                    scope["raw_path"] = prefix.encode() + scope["raw_path"]
            scope["root_path"] = prefix
        await self._addresses(scope, receive, send)  # type: ignore[arg-type]

    def _prefix(self, scope: Scope) -> str:
        client = scope.get("client")
        if client is None or client[0] in self._addresses.trusted_hosts:
            given = Headers(scope=scope).get(PREFIX_HEADER, "").rstrip("/")
            if len(given) <= LONGEST_PREFIX and re.fullmatch(ROOT_PATH, given):
                return given
        return self.root_path


def path_of(scope: Scope) -> str:
    """The path of a request, without the prefix of a proxy."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] if root and _is_below(path, root) else path


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(f"{prefix}/")
