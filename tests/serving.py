"""Helpers of the server's tests: a tiny untrained voice, its features, a running server."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response

from vocoder.acoustic.model import AcousticModel
from vocoder.config import (
    AcousticConfig,
    ConditioningConfig,
    FeatureConfig,
    GenerationConfig,
    ModelConfig,
    StackConfig,
)
from vocoder.features.feature_file import Features
from vocoder.server.app import uvicorn_config
from vocoder.voices import voice
from vocoder.voices.voice import VoiceManifest
from vocoder.wavenet.model import WaveNet

VOCODE_URL = "/v1/audio/vocode"
SPEECH_URL = "/v1/audio/speech"
FEATURES = FeatureConfig(
    sample_rate_hz=8000, n_fft=256, win_length=256, hop_length=40, n_mels=8, f_max_hz=4000.0
)
CONFIG = ModelConfig(
    features=FEATURES,
    stack=StackConfig(
        cycles=1, layers_per_cycle=2, residual_channels=4, gate_channels=8, skip_channels=4
    ),
    conditioning=ConditioningConfig(
        encoder_channels=4, encoder_layers=0, channels=4, upsample=(5,)
    ),
    speakers=("slt", "花子"),
)


ACOUSTIC = AcousticConfig(
    encoder_channels=8,
    encoder_layers=1,
    prosody_channels=8,
    prosody_layers=1,
    decoder_channels=8,
    decoder_layers=1,
    refiner_channels=8,
    refiner_layers=1,
    refiner_steps=1,
)


def save_voice(
    folder: Path, voice_id: str, seed: int = 0, *, reads_text: bool = True, passes: int = 0
) -> None:
    """Write an untrained voice below ``folder``."""
    torch.manual_seed(seed)
    manifest = VoiceManifest(
        id=voice_id,
        name=voice_id.title(),
        licence="MIT",
        model=CONFIG,
        generation=GenerationConfig(correction_passes=passes),
        weights={},
    )
    model = WaveNet(CONFIG)
    acoustic = AcousticModel(ACOUSTIC, FEATURES, len(CONFIG.speakers)) if reads_text else None
    voice.save(folder / voice_id, model, manifest, acoustic)


def features_of(frames: int, config: FeatureConfig = FEATURES) -> Features:
    """Plausible, deterministic features."""
    noise = torch.Generator().manual_seed(frames)
    mel = torch.randn(config.n_mels, frames, generator=noise) - 6.0
    return Features(mel=mel, config=config)


def say(client: TestClient, text: str, **options: Any) -> Response:
    """Request speech with seed 1."""
    return client.post(SPEECH_URL, json={"input": text, "seed": 1, **options})


def error_of(answer: Response, status: int) -> dict[str, Any]:
    """A response's error, after checking its status and format."""
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    error: dict[str, Any] = answer.json()["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert "\n" not in error["message"]
    return error


def events_of(answer: Response) -> list[dict[str, Any]]:
    """The server-sent events of a response."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    *blocks, last = answer.text.split("\n\n")
    assert last == ""
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


@contextlib.contextmanager
def live(app: FastAPI) -> Iterator[int]:
    """Serve an application on a free port of this machine; yields the port."""
    config = (
        uvicorn_config(app)
        if hasattr(getattr(app, "state", None), "service")
        else uvicorn.Config(app, log_config=None, access_log=False)
    )
    config.port = 0
    server = uvicorn.Server(config)
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
