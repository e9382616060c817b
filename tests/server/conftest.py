"""An application that speaks with tiny untrained voices, and a client of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from serving import features_of, save_voice

from server.app import create_app
from server.settings import ServerSettings
from vocoder.features import serialize
from vocoder.synthesizer import Synthesizer
from vocoder.voice import VoiceRegistry


@pytest.fixture(scope="session")
def voices_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("voices")
    save_voice(folder, "arctic")
    save_voice(folder, "other", seed=1)
    return folder


@pytest.fixture(scope="session")
def synthesizer(voices_dir: Path) -> Synthesizer:
    return Synthesizer(VoiceRegistry(voices_dir))


@pytest.fixture
def settings(voices_dir: Path) -> ServerSettings:
    return ServerSettings(voices_dir=voices_dir, max_body_bytes=100_000, max_audio_s=2.0)


@pytest.fixture
def client(settings: ServerSettings, synthesizer: Synthesizer) -> Iterator[TestClient]:
    with TestClient(create_app(settings, synthesizer)) as client:
        yield client


@pytest.fixture
def feature_file() -> bytes:
    return serialize(features_of(3))
