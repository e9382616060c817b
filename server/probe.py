"""A container's health check: is the server with these settings ready?

``python -m vocoder.server.probe`` requests ``/readyz`` at the configured address. It exits with 0
if the server is ready, otherwise with 1 and prints the reason.
"""

import http.client
import json
import sys

from vocoder.errors import ConfigError

from .settings import ServerSettings

TIMEOUT_S = 4.0

ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where to reach a server that listens on all addresses."""


def probe(settings: ServerSettings) -> str | None:
    """Why the server is not ready; None if it is."""
    host = ANYWHERE.get(settings.host, settings.host)
    connection = http.client.HTTPConnection(host, settings.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        return f"no answer from {host} port {settings.port}: {error or type(error).__name__}"
    finally:
        connection.close()
    if answer.status == http.HTTPStatus.OK:
        return None
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"{host} port {settings.port} answered {answer.status}: is it this server?"


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
