"""The speaker classifier, and the speaker accuracy of a voice."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Toy, random_model

from vocoder.audio.io import Samples
from vocoder.config import ConditioningConfig, FeatureConfig, ModelConfig, StackConfig
from vocoder.errors import UserError
from vocoder.evaluation.speaker_accuracy import SpeakerClassifier, evaluate_speakers, summary
from vocoder.text.linguistic import CHANNELS
from vocoder.voices import voice

RATE = FeatureConfig().sample_rate_hz
SMALL = StackConfig(
    cycles=1, layers_per_cycle=2, residual_channels=4, gate_channels=8, skip_channels=4
)


def vowel(f0_hz: float, formant_hz: float, seed: int) -> Samples:
    """Harmonics under a resonance: the resonance is the speaker, the pitch is the note."""
    generator = np.random.default_rng(seed)
    time = np.arange(RATE // 2) / RATE
    harmonics = np.arange(1, int(7000 / f0_hz)) * f0_hz
    gains = 1 / (1 + ((harmonics - formant_hz * generator.uniform(0.9, 1.1)) / 200) ** 2)
    wave = np.sin(2 * np.pi * harmonics * time[:, None]) @ gains
    noise = generator.standard_normal(len(time)) * 0.01
    return np.asarray(0.05 * wave + noise, dtype=np.float32)


def test_speakers_are_identified_at_any_pitch_and_level() -> None:
    classifier = SpeakerClassifier(("low", "high"), FeatureConfig())
    known = [(vowel(90 + 7 * n, formant, n), i) for n in range(12) for i, formant in SPEAKERS]
    classifier.fit(*zip(*known, strict=True))
    for n in range(8):
        for i, formant in SPEAKERS:
            unheard = vowel(220 - 11 * n, formant, 100 + n)
            assert classifier.identify(unheard) == i
            assert classifier.identify(unheard * np.float32(0.2)) == i


SPEAKERS = ((0, 600.0), (1, 2200.0))


def linguistic_voice(toy: Toy, folder: Path) -> voice.Voice:
    config = ModelConfig(
        features=toy.corpus.features,
        stack=SMALL,
        conditioning=ConditioningConfig(
            kind="linguistic", linguistic_channels=CHANNELS, encoder_channels=4, channels=4
        ),
        speakers=toy.corpus.speakers,
    )
    voice.save(folder, random_model(config), voice.VoiceManifest(id="v", model=config, weights={}))
    return voice.load(folder)


def test_every_sentence_is_spoken_as_every_speaker(toy: Toy, tmp_path: Path) -> None:
    result = evaluate_speakers(linguistic_voice(toy, tmp_path / "v"), toy.corpus, per_speaker=2)
    count = len(toy.corpus.speakers)
    assert all(sum(row) == result.sentences for row in result.named)
    assert len(result.named) == count
    assert result.accuracy == sum(result.named[i][i] for i in range(count)) / (
        count * result.sentences
    )
    assert f"{result.sentences} held-out sentences" in summary(result)


def test_a_corpus_with_one_speaker_is_refused(toy: Toy, tmp_path: Path) -> None:
    alone = replace(toy.corpus, speakers=toy.corpus.speakers[:1])
    with pytest.raises(UserError, match="has one speaker"):
        evaluate_speakers(linguistic_voice(toy, tmp_path / "v"), alone)
