"""Settings from the environment and from arguments, and what is refused."""

import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
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


def test_names_of_voices_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOCODER_VOICE_ALIASES", '{"onyx": "arctic/bdl"}')
    assert ServerSettings.load().voice_aliases == {"onyx": "arctic/bdl"}
    for wrong in ("onyx=bdl", '{"onyx": 1}', "[]"):
        monkeypatch.setenv("VOCODER_VOICE_ALIASES", wrong)
        with pytest.raises(ConfigError, match="VOCODER_VOICE_ALIASES"):
            ServerSettings.load()


def test_no_such_folder_of_voices(tmp_path: Path) -> None:
    with pytest.raises(VoiceError, match="no such folder"):
        serve(ServerSettings(voices_dir=tmp_path / "none"))


def test_a_taken_port(voices_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1 port {port}"):
            serve(ServerSettings(voices_dir=voices_dir, port=port))


@pytest.fixture
def _logging_put_back() -> Iterator[None]:
    yield
    for name in ("server", "vocoder", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True


@pytest.mark.usefixtures("_logging_put_back")
def test_served_until_interrupted(voices_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    statuses = []

    def client() -> None:
        try:
            for _ in range(1000):
                try:
                    statuses.append(httpx2.get(f"http://127.0.0.1:{port}/healthz").status_code)
                    break
                except httpx2.TransportError:
                    time.sleep(0.01)
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=client)
    thread.start()
    serve(ServerSettings(voices_dir=voices_dir, port=port))
    thread.join()
    assert statuses == [200]
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert f"http://127.0.0.1:{port}" in lines[0]["message"]
    assert "arctic, other" in lines[0]["message"]
    assert [line["path"] for line in lines if line["message"] == "request"] == ["/healthz"]
