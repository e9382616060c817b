"""The listening socket."""

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from vocoder.errors import ConfigError

from .settings import ServerSettings

SOCKET_MODE = 0o666
"""A proxy often runs as another user; who may connect is up to the socket's folder."""


@contextlib.contextmanager
def listening(settings: ServerSettings) -> Iterator[socket.socket]:
    """A socket that listens where the settings say.

    Raises:
        ConfigError: the address is not available.
    """
    # Bound here because uvicorn would exit with a status of its own.
    if settings.uds is None:
        with listen(settings.host, settings.port) as listener:
            yield listener
        return
    with _listen_unix(settings.uds) as listener:
        try:
            yield listener
        finally:
            settings.uds.unlink(missing_ok=True)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on an address of this machine.

    Raises:
        ConfigError: the address is not available.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # "::" is every address, and not only every one of IPv6.
    both = host == "::" and socket.has_dualstack_ipv6()
    try:
        return socket.create_server((host, port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host} port {port}: {error.strerror or error}; "
            "choose another with --host and --port",
            param="port",
        ) from None


def _listen_unix(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_left_over(path):
            path.unlink()
        listener.bind(str(path))
        path.chmod(SOCKET_MODE)
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {path}: {error.strerror or error}; choose another with --uds",
            param="uds",
        ) from None
    return listener


def _is_left_over(path: Path) -> bool:
    """Whether there is a socket at a path on which nobody listens any more."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(path))
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def url_of(settings: ServerSettings, listener: socket.socket) -> str:
    """The URL at which a browser reaches the listener, or the path of its Unix socket."""
    if settings.uds is not None:
        return f"unix:{settings.uds}"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{listener.getsockname()[1]}{settings.root_path or ''}"
