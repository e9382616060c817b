from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import random_mel
from torch import Tensor

from vocoder.audio.io import Samples
from vocoder.config import ContrastConfig
from vocoder.errors import EngineError, FeatureError, NotFoundError, UserError
from vocoder.features.feature_file import Features
from vocoder.features.spectral_contrast import sharpened
from vocoder.synthesis.speech import Speech, renderings
from vocoder.synthesis.synthesizer import Request, Synthesizer
from vocoder.voices.registry import VoiceRegistry
from vocoder.voices.voice import Voice


@pytest.fixture
def synthesizer() -> Synthesizer:
    return Synthesizer()


@pytest.fixture
def voice(voices: Path) -> Voice:
    return VoiceRegistry(voices).get()


def features(voice: Voice, frames: int, seed: int = 0) -> Features:
    return Features(random_mel(voice.config, 1, frames, seed)[0], voice.config.features)


def test_chunks_add_up_to_the_frames_and_repeat_with_the_seed(
    synthesizer: Synthesizer, voice: Voice
) -> None:
    given = features(voice, 10)
    chunks = list(synthesizer.vocode(given, voice=voice, speaker="ben", seed=3))
    assert len(chunks) > 1
    assert all(len(chunk) for chunk in chunks)
    whole = np.concatenate(chunks)
    assert whole.shape == (10 * 200,)
    assert whole.dtype == np.float32
    assert np.abs(whole).max() <= 1.0
    again = np.concatenate(list(synthesizer.vocode(given, voice=voice, speaker="ben", seed=3)))
    assert np.array_equal(whole, again)
    for change in ({"seed": 4}, {"speaker": "cat"}):
        arguments = {"speaker": "ben", "seed": 3} | change
        other = np.concatenate(list(synthesizer.vocode(given, voice=voice, **arguments)))
        assert not np.array_equal(whole, other)


def test_each_request_in_a_batch_sounds_as_alone(synthesizer: Synthesizer, voice: Voice) -> None:
    requests = [
        Request(features(voice, frames, seed=frames), speaker, seed)
        for frames, speaker, seed in ((9, "ann", 1), (1, "ben", 2), (17, "cat", 3), (8, None, 4))
    ]
    together = synthesizer.vocode_many(requests, voice=voice)
    for request, found in zip(requests, together, strict=True):
        alone = synthesizer.vocode(
            request.features, voice=voice, speaker=request.speaker, seed=request.seed
        )
        assert np.array_equal(np.concatenate(list(alone)), found)


def test_clarity_is_the_contrast_that_the_voice_adds_to_what_it_predicts(
    synthesizer: Synthesizer, voice: Voice
) -> None:
    def vocoded(given: Features, voice: Voice, speaker: str, clarity: float = 0.0) -> Samples:
        chunks = synthesizer.vocode(given, voice=voice, speaker=speaker, seed=3, clarity=clarity)
        return np.concatenate(list(chunks))

    usual, own = ContrastConfig(frequency=1.5), ContrastConfig(time=0.0)
    sharp = voice.with_generation(contrast=usual, speaker_contrast={"cat": own})
    given = features(voice, 20)
    for clear, speaker, contrast in (
        (sharp, "ben", usual),
        (sharp, "cat", own),
        (voice, "ben", ContrastConfig()),
    ):
        for clarity in (1.0, 0.5):
            mel = sharpened(given.mel, contrast.scaled(clarity), given.config)
            expected = vocoded(Features(mel, given.config), voice, speaker)
            assert np.array_equal(vocoded(given, clear, speaker, clarity), expected)
    assert np.array_equal(vocoded(given, sharp, "ben"), vocoded(given, voice, "ben"))


def test_text_is_spoken_with_the_contrast_of_the_speaker(voice: Voice) -> None:
    contrast = ContrastConfig(frequency=1.5)
    sharp = voice.with_generation(speaker_contrast={"ben": contrast})

    def mel(voice: Voice, speaker: str) -> Tensor:
        (rendering,) = renderings(Speech("Go on.", speaker=speaker, seed=3), voice)
        return rendering.mel

    config = voice.config.features
    assert torch.equal(mel(sharp, "ben"), sharpened(mel(voice, "ben"), contrast, config))
    assert torch.equal(mel(sharp, "cat"), mel(voice, "cat"))


def test_mistakes_are_raised_before_the_first_chunk(synthesizer: Synthesizer, voice: Voice) -> None:
    good = features(voice, 2)
    with pytest.raises(NotFoundError, match="speaker 'dora'"):
        synthesizer.vocode(good, voice=voice, speaker="dora")
    with pytest.raises(EngineError, match="choose one of auto, triton, cuda-graph, cpu, reference"):
        synthesizer.vocode(good, voice=voice, engine="warp")
    with pytest.raises(UserError, match="seed -1"):
        synthesizer.vocode(good, voice=voice, seed=-1)
    with pytest.raises(UserError, match="clarity 3 is not in 0 to 2"):
        synthesizer.vocode(good, voice=voice, clarity=3.0)
    with pytest.raises(FeatureError, match="no frames"):
        synthesizer.vocode(Features(good.mel[:, :0], good.config), voice=voice)
    other = good.config.model_copy(update={"hop_length": 100})
    with pytest.raises(FeatureError, match="hop_length 100, the voice needs 200"):
        synthesizer.vocode(Features(good.mel, other), voice=voice)


def test_the_choice_of_engine_is_logged_once_with_its_reason(
    synthesizer: Synthesizer, voice: Voice, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        assert synthesizer.engine_name(voice) == "cpu"
        synthesizer.engine_name(voice)
    lines = [r for r in caplog.records if "engine cpu on cpu" in r.getMessage()]
    assert len(lines) == 1


def test_auto_and_the_name_of_the_engine_share_one_engine(
    synthesizer: Synthesizer, voice: Voice
) -> None:
    engine = synthesizer.engine(voice)
    assert synthesizer.made_engine(voice, engine.name) is engine
    assert synthesizer.engine(voice, engine.name) is engine
    synthesizer.forget(voice)
    assert synthesizer.made_engine(voice) is None
    named = synthesizer.engine(voice, engine.name)
    assert named is not engine
    assert synthesizer.engine(voice, "auto") is named


def test_extreme_but_finite_features_give_finite_audio(
    synthesizer: Synthesizer, voice: Voice
) -> None:
    for level in (-23.0, 5.0, 20.0):
        mel = torch.full((80, 2), level)
        given = Features(mel, voice.config.features)
        audio = np.concatenate(list(synthesizer.vocode(given, voice=voice)))
        assert np.isfinite(audio).all()
