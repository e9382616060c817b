"""Where the server listens: Unix sockets and both families of addresses."""

import socket
from pathlib import Path

import pytest

from vocoder.errors import ConfigError
from vocoder.server.settings import ServerSettings
from vocoder.server.sockets import listening, url_of


def test_a_unix_socket_is_replaced_if_it_was_left_over(tmp_path: Path) -> None:
    settings = ServerSettings(uds=tmp_path / "server.sock")
    assert settings.uds is not None
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(settings.uds))
    left.close()
    with listening(settings) as listener:
        assert url_of(settings, listener) == f"unix:{settings.uds}"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(settings.uds))
        with pytest.raises(ConfigError, match="--uds"), listening(settings):
            pass
    assert not settings.uds.exists()


def test_an_ordinary_file_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="--uds"), listening(ServerSettings(uds=path)):
        pass
    assert path.read_text() == "mine"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_all_addresses_are_those_of_both_families() -> None:
    with listening(ServerSettings(host="::", port=0)) as listener:
        port = listener.getsockname()[1]
        for address in ("127.0.0.1", "::1"):
            socket.create_connection((address, port), timeout=5).close()
