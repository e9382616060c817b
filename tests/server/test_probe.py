"""A container's health check: an exit status, and the reason on standard error."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from serving import live, save_voice

from vocoder.server.app import create_app
from vocoder.server.probe import probe
from vocoder.server.settings import ServerSettings


def settled(settings: ServerSettings, waiting: str) -> str | None:
    """The probe's result once the server has settled."""
    end = time.monotonic() + 60
    while waiting in str(said := probe(settings)) and time.monotonic() < end:
        time.sleep(0.05)
    return said


def test_ready(port: int) -> None:
    assert settled(ServerSettings(host="0.0.0.0", port=port), "yet") is None
    environment = {**os.environ, "VOCODER_HOST": "0.0.0.0", "VOCODER_PORT": str(port)}
    done = subprocess.run(
        [sys.executable, "-m", "vocoder.server.probe"], env=environment, timeout=30
    )
    assert done.returncode == 0


def test_nothing_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "no answer from 127.0.0.1" in str(probe(ServerSettings(port=port)))
    environment = {**os.environ, "VOCODER_PORT": str(port)}
    command = [sys.executable, "-m", "vocoder.server.probe"]
    done = subprocess.run(command, env=environment, timeout=30, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("no answer from 127.0.0.1")


def test_not_ready_yet(tmp_path: Path) -> None:
    save_voice(tmp_path, "arctic")
    weights = tmp_path / "arctic" / "vocoder.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    settings = ServerSettings(voices_dir=tmp_path, max_streams=1)
    app = create_app(settings)
    with live(app) as port:
        reason = settled(ServerSettings(port=port), "yet")
    assert "no voice could be loaded" in str(reason)


def test_another_server(tmp_path: Path) -> None:
    async def app(scope, receive, send):  # type: ignore[no-untyped-def]
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b"not here"})

    with live(app) as port:  # type: ignore[arg-type]
        assert "answered 404" in str(probe(ServerSettings(port=port)))


def test_an_invalid_setting_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    environment = {**os.environ, "VOCODER_PORT": "many"}
    done = subprocess.run(
        [sys.executable, "-m", "vocoder.server.probe"], env=environment, timeout=30
    )
    assert done.returncode == 1
    assert "VOCODER_PORT" in capfd.readouterr().err
