"""A tiny untrained voice, an application that speaks with it, and a server on a real socket."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from server.app import create_app
from server.settings import ServerSettings

from vocoder import voice
from vocoder.config import ConditioningConfig, FeatureConfig, ModelConfig, StackConfig
from vocoder.features import Features, serialize
from vocoder.synthesizer import Synthesizer
from vocoder.voice import VoiceManifest, VoiceRegistry
from vocoder.wavenet.model import WaveNet

FEATURES = FeatureConfig(
    sample_rate_hz=8000, n_fft=256, win_length=256, hop_length=40, n_mels=8, f_max_hz=4000.0
)
CONFIG = ModelConfig(
    features=FEATURES,
    stack=StackConfig(
        cycles=1, layers_per_cycle=2, residual_channels=4, gate_channels=8, skip_channels=4
    ),
    conditioning=ConditioningConfig(encoder_channels=4, encoder_layers=0, channels=4, upsample=(5,)),
    speakers=("slt", "花子"),
)


def save_voice(folder: Path, voice_id: str, seed: int = 0) -> None:
    """Write an untrained voice below ``folder``."""
    torch.manual_seed(seed)
    manifest = VoiceManifest(
        id=voice_id, name=voice_id.title(), licence="MIT", model=CONFIG, weights={}
    )
    voice.save(folder / voice_id, WaveNet(CONFIG), manifest)


def features_of(frames: int, config: FeatureConfig = FEATURES) -> Features:
    """Plausible features, the same each time."""
    noise = torch.Generator().manual_seed(frames)
    mel = torch.randn(config.n_mels, frames, generator=noise) - 6.0
    return Features(mel=mel, config=config)


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


Live = Callable[[FastAPI], contextlib.AbstractContextManager[int]]


@pytest.fixture
def live() -> Live:
    """Serves an application on a free port of this machine, and gives the port."""

    @contextlib.contextmanager
    def serve(app: FastAPI) -> Iterator[int]:
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.005)
            yield server.servers[0].sockets[0].getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()

    return serve
