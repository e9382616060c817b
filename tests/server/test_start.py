"""Starting with something bad in it: what is good is served, what is bad is named."""

import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from serving import save_voice, say

from vocoder.errors import ConfigError
from vocoder.server.app import create_app
from vocoder.server.service.response_cache import ResponseCache
from vocoder.server.settings import ServerSettings
from vocoder.voices.voice import MANIFEST


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_voice(tmp_path / "voices", "ann")
    return tmp_path / "voices"


@pytest.mark.parametrize("kind", ["broken", "copy"])
def test_a_bad_voice_folder_does_not_stop_the_start(
    folder: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(folder / "ann", folder / "bad")
    if kind == "broken":
        (folder / "bad" / MANIFEST).write_text("{")
    with caplog.at_level(logging.ERROR):
        app = create_app(ServerSettings(voices_dir=folder, max_streams=4))
    assert len(caplog.records) == 1
    assert "bad" in caplog.text
    with TestClient(app) as client:
        assert say(client, "Hi.").status_code == 200
        ready = client.get("/readyz").json()
    assert ready == {"status": "ready", "refused_voices": ["bad"]}


@pytest.mark.parametrize("given", [{"engine": "foo"}, {"client_engines": ("cpu", "foo")}])
def test_an_unknown_engine_in_the_settings_is_named(folder: Path, given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="'foo' is unknown: choose one of auto"):
        create_app(ServerSettings(voices_dir=folder, **given))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"root_path": "voice"}, "leading slash"),
        ({"root_path": "/voice/"}, "leading slash"),
        ({"trusted_proxies": "10.0.0.0/8,proxy"}, "'proxy' is no address"),
        ({"log_level": "loud"}, "debug"),
    ],
)
def test_wrong_settings_are_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ServerSettings.load(**given)


def test_a_named_pipe_in_the_cache_holds_nobody(tmp_path: Path) -> None:
    cache = ResponseCache(tmp_path, 2**20)
    os.mkfifo(tmp_path / f"{'a' * 64}.response")
    assert cache.get("a" * 64) is None
