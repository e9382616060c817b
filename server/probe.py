"""A container's health check: is the server with these settings ready?

``python -m vocoder.server.probe`` requests ``/readyz`` at the configured address. It exits with 0
if the server is ready, otherwise with 1 and prints the reason.
"""

import http.client
import json
import socket
import sys

from vocoder.errors import ConfigError

from .settings import ServerSettings

TIMEOUT_S = 4.0

ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where to reach a server that listens on all addresses."""


def probe(settings: ServerSettings) -> str | None:
    """Why the server is not ready; None if it is."""
    host, connection = _connection(settings)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        return f"no answer from {host}: {error or type(error).__name__}"
    finally:
        connection.close()
    if answer.status == http.HTTPStatus.OK:
        return None
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"{host} answered {answer.status}: is it this server?"


class _UnixConnection(http.client.HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        """See :class:`http.client.HTTPConnection`."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(self._path)


def _connection(settings: ServerSettings) -> tuple[str, http.client.HTTPConnection]:
    """Where the server is, for messages, and a connection to it."""
    if settings.uds is not None:
        return str(settings.uds), _UnixConnection(str(settings.uds))
    host = ANYWHERE.get(settings.host, settings.host)
    connection = http.client.HTTPConnection(host, settings.port, timeout=TIMEOUT_S)
    return f"{host} port {settings.port}", connection


def main() -> None:
    """Exit with a status, and the reason on standard error."""
    try:
        reason = probe(ServerSettings.load())
    except ConfigError as error:
        reason = str(error)
    if reason:
        print(reason, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
