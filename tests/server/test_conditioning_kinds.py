"""Voices conditioned on linguistic features, with tags, and on nothing, over every route."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import CONFIGS, SPEAKERS, random_acoustic_model, random_model
from fastapi.testclient import TestClient
from serving import VOCODE_URL, live
from socketing import hear, send, socket

from vocoder.audio import io as audio
from vocoder.config import ConditioningConfig, ModelConfig
from vocoder.errors import FeatureError, NotFoundError
from vocoder.features import feature_file as features
from vocoder.features.feature_file import Features
from vocoder.server.app import create_app
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.speech import Speech
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.text.linguistic import CHANNELS, LAYOUT
from vocoder.voices import voice
from vocoder.voices.registry import VoiceRegistry
from vocoder.voices.voice import Voice

LINGUISTIC = CONFIGS["linguistic_tags"].model_copy(
    update={
        "conditioning": ConditioningConfig(
            kind="linguistic", linguistic_channels=CHANNELS, encoder_channels=8, channels=8
        )
    }
)


def save(folder: Path, name: str, model: ModelConfig, *, reads: bool) -> None:
    network = random_model(model)
    manifest = voice.VoiceManifest(id=name, model=network.config, weights={})
    acoustic = random_acoustic_model(speakers=len(SPEAKERS)) if reads else None
    voice.save(folder / name, network, manifest, acoustic)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> VoiceRegistry:
    folder = tmp_path_factory.mktemp("voices")
    save(folder, "reader", LINGUISTIC, reads=True)
    save(folder, "sea", CONFIGS["unconditional"], reads=False)
    return VoiceRegistry(folder)


@pytest.fixture(scope="module")
def synthesizer() -> Synthesizer:
    return Synthesizer()


@pytest.fixture(scope="module")
def reader(registry: VoiceRegistry) -> Voice:
    return registry.get("reader")


@pytest.fixture(scope="module")
def app(synthesizer: Synthesizer, registry: VoiceRegistry) -> object:
    settings = ServerSettings(voices_dir=registry.folder, max_streams=16)
    return create_app(settings, synthesizer, registry)


@pytest.fixture
def client(app: object) -> Iterator[TestClient]:
    with TestClient(app) as client:  # type: ignore[arg-type]
        yield client


@pytest.fixture(scope="module")
def read(synthesizer: Synthesizer, reader: Voice) -> Features:
    """The linguistic voice's features of a text."""
    return synthesizer.features(Speech("Ready."), voice=reader)


def spoken(synthesizer: Synthesizer, reader: Voice, given: Features, **options: object) -> bytes:
    chunks = synthesizer.vocode(
        given,
        voice=reader,
        **options,  # type: ignore[arg-type]
    )
    return audio.encode(np.concatenate(list(chunks)), given.config.sample_rate_hz, "pcm")


def test_a_file_of_linguistic_features_is_vocoded_as_by_the_synthesizer(
    client: TestClient, synthesizer: Synthesizer, reader: Voice, read: Features
) -> None:
    want = spoken(synthesizer, reader, read, seed=3)
    assert len(want) == 2 * read.frames * read.config.hop_length
    query = {"voice": "reader", "seed": 3, "response_format": "pcm"}
    kind = {"content-type": "application/octet-stream"}
    whole = features.serialize(read)
    bare = features.serialize(replace(read, mel=read.mel[:, :0], f0=None))
    for body in (whole, bare):
        answer = client.post(VOCODE_URL, content=body, headers=kind, params=query)
        assert answer.status_code == 200, answer.text
        assert answer.content == want
    assert features.deserialize(whole, read.config).layout == LAYOUT
    assert features.deserialize(bare, read.config).mel.shape[1] == 0


def test_linguistic_features_as_json_without_a_mel(
    client: TestClient, synthesizer: Synthesizer, reader: Voice, read: Features
) -> None:
    assert read.linguistic is not None
    rows = read.linguistic.tolist()
    body = {"voice": "reader", "linguistic": rows, "seed": 3, "response_format": "pcm"}
    answer = client.post(VOCODE_URL, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.content == spoken(synthesizer, reader, read, seed=3)


def test_linguistic_frames_over_the_socket(
    app: object, synthesizer: Synthesizer, reader: Voice
) -> None:
    given = torch.randn(CHANNELS, 24, generator=torch.Generator().manual_seed(2))
    config = LINGUISTIC.features
    nothing = torch.empty(config.n_mels, 0)
    want = spoken(synthesizer, reader, Features(nothing, config, linguistic=given), seed=1)
    with live(app) as port, socket(f"127.0.0.1:{port}", voice="reader") as connection:  # type: ignore[arg-type]
        send(connection, "Start", input="features")
        send(connection, "Features", linguistic=given[:, :5].T.tolist())
        connection.send(given[:, 5:].T.contiguous().numpy().astype("<f4").tobytes())
        send(connection, "Flush")
        send(connection, "Features", mel=[[0.0] * config.n_mels])
        heard = hear(connection)
    assert heard.audio[None] == want
    (error,) = heard.of("Error")
    assert "the voice is conditioned on linguistic, not on mel" in error["error"]["message"]


def test_tags_change_what_is_heard_and_unknown_ones_are_refused(
    client: TestClient,
    synthesizer: Synthesizer,
    registry: VoiceRegistry,
    reader: Voice,
    read: Features,
) -> None:
    assert read.linguistic is not None
    body = {"voice": "reader", "linguistic": read.linguistic.tolist(), "seed": 3}
    body["response_format"] = "pcm"
    plain = client.post(VOCODE_URL, json=body).content
    soft = client.post(VOCODE_URL, json={**body, "tags": ["soft"]}).content
    both = client.post(VOCODE_URL, json={**body, "tags": ["soft", "bright"]}).content
    assert len({plain, soft, both}) == 3
    assert soft == spoken(synthesizer, reader, read, seed=3, tags=["soft"])
    refused = client.post(VOCODE_URL, json={**body, "tags": ["loud"]})
    assert refused.status_code == 404
    assert "tag 'loud' is unknown: voice reader has bright, soft" in refused.text
    speech = {"input": "Ready.", "model": "reader", "seed": 3, "response_format": "pcm"}
    speech["sample_rate"] = 16000  # type: ignore[assignment]
    said = [client.post("/v1/audio/speech", json={**speech, "tags": t}) for t in ([], ["soft"])]
    assert [answer.status_code for answer in said] == [200, 200]
    assert said[0].content != said[1].content
    with pytest.raises(NotFoundError, match="has none"):
        registry.get("sea").check_tags(["soft"])


def test_a_voice_without_conditioning_generates_the_requested_length(
    client: TestClient, synthesizer: Synthesizer
) -> None:
    ask = {"voice": "sea", "seconds": 0.5, "seed": 4, "response_format": "pcm"}
    answer = client.post(VOCODE_URL, json=ask)
    assert answer.status_code == 200, answer.text
    assert len(answer.content) == 2 * 8000
    assert answer.content == client.post(VOCODE_URL, json=ask).content
    assert answer.content != client.post(VOCODE_URL, json={**ask, "seed": 5}).content
    listed = {each["id"]: each for each in client.get("/v1/audio/voices").json()["data"]}
    assert listed["sea"]["conditioning"] == "none"
    assert listed["reader"]["tags"] == ["bright", "soft"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"voice": "sea"}, "give mel, linguistic or both, or only seconds"),
        ({"voice": "sea", "seconds": 1, "mel": [[0.0]]}, "only seconds"),
        ({"voice": "sea", "mel": [[-9.0]] * 80}, "conditioned on nothing: give seconds"),
        ({"voice": "sea", "seconds": 1e9}, "the limit is 60 s"),
        ({"voice": "reader", "mel": [[-9.0]] * 80}, "give those, or text"),
        (
            {"voice": "reader", "linguistic": [[1.0]] * 3},
            f"shape (3, 1), expected ({CHANNELS}, frames)",
        ),
        ({"voice": "reader", "linguistic": [[1.0], [1.0, 2.0]]}, "2 frames in channel 1 and 1"),
        (
            {"voice": "reader", "linguistic": [[1.0]] * CHANNELS, "mel": [[-9.0, -9.0]] * 80},
            "mel has 2 frames, linguistic 1",
        ),
    ],
)
def test_features_of_the_wrong_kind_are_refused(
    client: TestClient, asked: dict[str, object], message: str
) -> None:
    answer = client.post(VOCODE_URL, json=asked)
    assert answer.status_code == 422
    assert message in json.loads(answer.text)["error"]["message"]


def test_features_with_another_symbol_table_are_refused(
    synthesizer: Synthesizer, reader: Voice, read: Features
) -> None:
    other = replace(read, layout="0" * 16)
    with pytest.raises(FeatureError, match=f"layout 0000.*needs {LAYOUT}"):
        spoken(synthesizer, reader, other)


def test_a_voice_that_corrects_its_spectrum_needs_the_mel_too(
    synthesizer: Synthesizer, reader: Voice, read: Features
) -> None:
    corrected = reader.with_generation(correction_passes=1)
    bare = replace(read, mel=read.mel[:, :0])
    with pytest.raises(FeatureError, match="towards a mel: give mel too"):
        list(synthesizer.vocode(bare, voice=corrected))
    assert sum(map(len, synthesizer.vocode(read, voice=corrected)))
