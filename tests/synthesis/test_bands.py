"""A voice with bands sounds the same however its audio is generated and delivered."""

import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import BANDED, random_mel, random_model

from vocoder.audio.io import Samples
from vocoder.config import GenerationConfig
from vocoder.features.feature_file import Features
from vocoder.scheduling.stream import Chunk, End
from vocoder.synthesis.request import SynthesisRequest, Vocoding
from vocoder.synthesis.segments import post_filter, samples_before_audio
from vocoder.synthesis.streaming import StreamingSynthesizer
from vocoder.synthesis.synthesizer import Request, Synthesizer
from vocoder.voices import voice as voices
from vocoder.voices.voice import Voice

FRAMES = 9
PATIENCE_S = 60.0


@pytest.fixture(params=[0, 1], ids=["no correction", "correction"])
def voice(request: pytest.FixtureRequest, tmp_path: Path) -> Voice:
    model = random_model(BANDED["bands_4"])
    manifest = voices.VoiceManifest(
        id="banded",
        model=model.config,
        generation=GenerationConfig(correction_passes=request.param),
        weights={},
    )
    voices.save(tmp_path / "banded", model, manifest)
    return voices.load(tmp_path / "banded")


def features(voice: Voice, frames: int) -> Features:
    return Features(random_mel(voice.config, 1, frames, seed=frames)[0], voice.config.features)


def streamed(synthesizer: Synthesizer, voice: Voice, given: Features, seed: int) -> Samples:
    chunks: list[Samples] = []
    ended, errors = threading.Event(), []

    def sink(event: Chunk | End) -> None:
        if isinstance(event, Chunk):
            chunks.append(event.samples)
        else:
            errors.append(event.error)
            ended.set()

    streaming = StreamingSynthesizer(synthesizer)
    try:
        streaming.start(SynthesisRequest(voice, Vocoding(given, None, seed, (), 0.0)), sink)
        assert ended.wait(PATIENCE_S)
    finally:
        streaming.close()
    assert errors == [None]
    return np.concatenate(chunks)


def test_streamed_equals_whole_equals_batched(voice: Voice) -> None:
    synthesizer = Synthesizer()
    given = features(voice, FRAMES)
    chunks = list(synthesizer.vocode(given, voice=voice, seed=3))
    assert len(chunks) > 1
    whole = np.concatenate(chunks)
    assert whole.shape == (FRAMES * 200,)
    other = Request(features(voice, 4), "cat", 9)
    many = synthesizer.vocode_many([other, Request(given, None, 3)], voice=voice)
    assert many[0].shape == (4 * 200,)
    assert many[1].tobytes() == whole.tobytes()
    assert streamed(synthesizer, voice, given, 3).tobytes() == whole.tobytes()


def test_the_first_audio_needs_the_stated_samples(voice: Voice) -> None:
    count, bands = samples_before_audio(voice), voice.config.bands
    assert count % bands == 0
    given = np.random.default_rng(0).standard_normal(count).astype(np.float32) * 0.1
    mel = np.full((80, 40), -9.0, dtype=np.float32)
    chain = post_filter(voice)
    chain.extend(mel)
    assert len(chain.push(given[:-bands])) == 0
    assert 0 < len(chain.push(given[-bands:])) <= 200
