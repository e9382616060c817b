"""Every kind of model in the family learns from real speech and generates audio."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from conftest import ASSETS, BANDED, CONFIGS

from vocoder.corpus.manifest import Corpus
from vocoder.corpus.prepare import prepare
from vocoder.corpus.settings import PreparationConfig
from vocoder.features.feature_file import Features
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.training import loop
from vocoder.training.config import VocoderTraining
from vocoder.training.data.segments import Segments
from vocoder.voices import voice
from vocoder.wavenet.model import WaveNet

STEPS = 45


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three speakers, one sentence each; two of them have tags."""
    root = tmp_path_factory.mktemp("speech")
    tags = {}
    for path in sorted((ASSETS / "speech").glob("*.flac")):
        folder = root / "in" / path.stem.split("_")[0]
        folder.mkdir(parents=True)
        shutil.copy(path, folder)
        if not path.stem.startswith("slt"):
            tags[path.stem] = ["soft", "bright"][: 1 + path.stem.startswith("bdl")]
    (root / "in" / "tags.json").write_text(json.dumps(tags))
    settings = PreparationConfig(validation_fraction=0.0, test_fraction=0.0)
    prepare([root / "in"], root / "out", settings, jobs=1)
    return root / "out"


@torch.inference_mode()
def bits_of(model: WaveNet, speech: Path) -> float:
    """Bits per sample over two seconds of each speaker."""
    segments = Segments(Corpus.load(speech), "train", model.config, 160, seed=0)
    nats = []
    for utterance in segments.utterances:
        row = segments.segment(utterance, 0)
        conditioning = model.condition_margined(row.features[None], row.speaker[None])
        nats.append(model.nll(row.audio[None], conditioning)[row.mask[None].bool()])
    return float(torch.cat(nats).mean()) / math.log(2)


@pytest.mark.parametrize(
    "name",
    [
        "mu_law_pre_emphasis",
        "gaussian",
        "contexts",
        "contexts_hold_1",
        "unconditional",
        "tags",
        "bands_4",
    ],
)
def test_the_loss_falls_on_real_speech(speech: Path, tmp_path: Path, name: str) -> None:
    model = (CONFIGS | BANDED)["mu_law" if name == "tags" else name]
    settings = VocoderTraining(
        name="family",
        model=model.model_copy(update={"speakers": ("default",), "tags": ()}),
        corpus=str(speech),
        output=str(tmp_path / "run"),
        steps=STEPS,
        batch_size=2,
        segment_frames=8,
        learning_rate=4e-3,
        warm_up_steps=5,
        ema_decay=0.9,
        log_every=15,
        checkpoint_every=STEPS,
        validate_every=STEPS,
        validation_clips=1,
    )
    folder = loop.train(settings)
    made = voice.load(folder)
    torch.manual_seed(settings.seed)
    assert bits_of(made.model, speech) < bits_of(WaveNet(made.config).eval(), speech) - 0.1
    assert made.config.tags == ("bright", "soft")
    given = (
        Features.lasting(0.1, made.config.features)
        if model.conditioning.kind == "none"
        else Features(torch.full((80, 8), -9.0), made.config.features)
    )
    synthesizer = Synthesizer()
    sounds = [
        b"".join(s.tobytes() for s in synthesizer.vocode(given, voice=made, seed=1, tags=tags))
        for tags in ((), ("soft",))
    ]
    assert sounds[0] != sounds[1]
    assert len(sounds[0]) == 4 * 8 * 200
