"""The listening socket."""

import socket

from vocoder.errors import ConfigError


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on an address of this machine.

    Raises:
        ConfigError: the address is not available.
    """
    # Bound here because uvicorn would exit with a status of its own.
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
    """The URL at which a browser reaches the listener."""
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{listener.getsockname()[1]}"
