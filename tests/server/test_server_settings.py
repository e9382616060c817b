"""Settings from the environment and from arguments, and what is refused."""

import socket
from pathlib import Path

import pytest
from server.app import serve
from server.settings import ServerSettings

from vocoder.errors import ConfigError, VoiceError


def test_arguments_precede_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOCODER_PORT", "9000")
    monkeypatch.setenv("VOCODER_MAX_AUDIO_S", "12.5")
    assert ServerSettings.load().port == 9000
    settings = ServerSettings.load(port=9001, host=None)
    assert (settings.port, settings.host, settings.max_audio_s) == (9001, "127.0.0.1", 12.5)


def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOCODER_PORT", "eighty")
    with pytest.raises(ConfigError, match="VOCODER_PORT = 'eighty'"):
        ServerSettings.load()


def test_a_bad_argument_is_named() -> None:
    with pytest.raises(ConfigError, match="setting port = 70000"):
        ServerSettings.load(port=70000)
    with pytest.raises(ConfigError, match="unknown setting prot"):
        ServerSettings.load(prot=1)


def test_no_such_folder_of_voices(tmp_path: Path) -> None:
    with pytest.raises(VoiceError, match="no such folder"):
        serve(ServerSettings(voices_dir=tmp_path / "none"))


def test_a_taken_port(voices_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1 port {port}"):
            serve(ServerSettings(voices_dir=voices_dir, port=port))


def test_an_address_that_is_not_ours(voices_dir: Path) -> None:
    with pytest.raises(ConfigError, match="cannot listen on 203.0.113.1"):
        serve(ServerSettings(voices_dir=voices_dir, host="203.0.113.1"))
