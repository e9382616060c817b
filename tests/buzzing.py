"""A corpus of generated buzzes, and the settings of a short training run."""

from pathlib import Path

import numpy as np
import pytest
from conftest import CONFIGS

from vocoder.audio import io as audio
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.prepare import prepare
from vocoder.corpus.settings import PreparationConfig
from vocoder.corpus.sharding import shard
from vocoder.training.config import VocoderTraining


def make_corpus(root: Path) -> Path:
    """Prepare a corpus of two speakers with eight short buzzes each."""
    generator = np.random.default_rng(0)
    for speaker, f0 in (("ann", 200.0), ("ben", 110.0)):
        for i in range(8):
            t = np.arange(16000 + 800 * i) / 16000
            buzz = sum(np.sin(2 * np.pi * f0 * (1 + i / 50) * h * t) / h for h in range(1, 12))
            sound = 0.1 * buzz * np.sin(np.pi * t / t[-1]) + 1e-3 * generator.standard_normal(
                len(t)
            )
            (root / "in" / speaker).mkdir(parents=True, exist_ok=True)
            audio.write(root / "in" / speaker / f"u{i}.wav", sound.astype(np.float32), 16000)
    settings = PreparationConfig(validation_fraction=0.2, test_fraction=0.2)
    prepare([root / "in"], root / "out", settings, jobs=1)
    return root / "out"


def run_config(corpus: Path | str, output: Path, **changes: object) -> VocoderTraining:
    """Settings for a few steps of a tiny model."""
    settings = {
        "name": "buzz",
        "model": CONFIGS["linear_prediction"].model_copy(update={"speakers": ("default",)}),
        "corpus": str(corpus),
        "output": str(output),
        "steps": 6,
        "segment_frames": 4,
        "warm_up_steps": 2,
        "log_every": 2,
        "checkpoint_every": 3,
        "validate_every": 3,
        "validation_clips": 2,
    }
    return VocoderTraining(**(settings | changes))


def shard_small(corpus: Corpus, folder: Path) -> None:
    """Write shards of a few utterances each; a buzz takes about 100 KB."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vocoder.corpus.sharding.MEGABYTE", 250_000)
        shard(corpus, folder, megabytes=1)
