"""An application with tiny untrained voices, and its clients."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from browsing import chromium, shipped_voice
from exchanges import right
from fastapi.testclient import TestClient
from serving import features_of, live, save_voice

from vocoder.features.feature_file import serialize
from vocoder.server.app import create_app
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.voices.registry import VoiceRegistry


@pytest.fixture(scope="session", autouse=True)
def _collector_as_it_is() -> Iterator[None]:
    """Scanning all objects of a test process takes half a second per application."""
    with mock.patch("vocoder.server.service.readiness.freeze_gc"):
        yield


@pytest.fixture(scope="session")
def voices_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("voices")
    save_voice(folder, "arctic")
    save_voice(folder, "other", seed=1, passes=1)
    return folder


@pytest.fixture(scope="session")
def registry(voices_dir: Path) -> VoiceRegistry:
    return VoiceRegistry(voices_dir)


@pytest.fixture(scope="session")
def synthesizer() -> Synthesizer:
    return Synthesizer()


@pytest.fixture
def settings(voices_dir: Path) -> ServerSettings:
    # Set, because measuring would take a while for each application.
    return ServerSettings(
        voices_dir=voices_dir,
        max_body_bytes=100_000,
        max_audio_s=2.0,
        max_streams=32,
        client_engines=("reference",),
    )


@pytest.fixture
def client(
    settings: ServerSettings, synthesizer: Synthesizer, registry: VoiceRegistry
) -> Iterator[TestClient]:
    with TestClient(create_app(settings, synthesizer, registry)) as client:
        yield client


@pytest.fixture
def feature_file() -> bytes:
    return serialize(features_of(3))


@pytest.fixture(scope="module")
def port(voices_dir: Path, synthesizer: Synthesizer, registry: VoiceRegistry) -> Iterator[int]:
    """A server on a real socket, for misbehaving clients."""
    settings = ServerSettings(voices_dir=voices_dir, max_text_chars=20_000, max_streams=64)
    with live(create_app(settings, synthesizer, registry)) as port:
        yield port


@pytest.fixture(scope="module")
def page_port() -> Iterator[int]:
    """A server with the voice in `checkpoints`, for the page."""
    with shipped_voice() as port:
        yield port


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; the test is skipped without it."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def sound(port: int) -> bytes:
    """The audio that a well-behaved client gets."""
    return right(port)


@pytest.fixture
def lives_on(port: int, sound: bytes, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """After the test the server works as before, and its log has no unexpected errors."""
    yield
    assert right(port) == sound
    # Uvicorn logs protocol violations as errors of its own, with a traceback.
    ours = [
        record.getMessage()
        for record in [*caplog.get_records("call"), *caplog.records]
        if record.levelno >= logging.ERROR and not record.name.startswith("uvicorn")
    ]
    assert ours == []
