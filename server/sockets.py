"""The socket that a server listens on."""

import socket

from vocoder.errors import ConfigError


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on an address of this machine.

    Raises:
        ConfigError: the address cannot be had.
    """
    # Bound here and not by uvicorn, which would exit with a status of its own.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host} port {port}: {error.strerror or error}; "
            "choose another with --host and --port",
            param="port",
        ) from None


def url_of(host: str, listener: socket.socket) -> str:
    """Where a browser finds what listens."""
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{listener.getsockname()[1]}"
