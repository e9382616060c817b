"""The voices in `checkpoints` speak intelligibly, with each of their speakers."""

from pathlib import Path

import numpy as np
import pytest

from vocoder.evaluation.word_errors import PocketSphinxAsr, word_errors, words_of
from vocoder.synthesis.speech import Speech
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.voices.registry import VoiceRegistry
from vocoder.voices.voice import Voice

CHECKPOINTS = Path(__file__).parents[2] / "checkpoints"
RATE = 16000
SPEAKERS = ("bdl", "kathleen", "slt")
TEXTS = ("He turned sharply and faced Gregson across the table.", "It was a dark night.")


@pytest.fixture(scope="module")
def synthesizer() -> Synthesizer:
    return Synthesizer()


@pytest.fixture(scope="module")
def registry() -> VoiceRegistry:
    return VoiceRegistry(CHECKPOINTS)


@pytest.fixture(scope="module")
def arctic(registry: VoiceRegistry) -> Voice:
    return registry.get("arctic")


@pytest.mark.parametrize("name", ["arctic", "arctic-light"])
@pytest.mark.parametrize("speaker", SPEAKERS)
def test_a_recogniser_understands_the_speech(
    synthesizer: Synthesizer, registry: VoiceRegistry, name: str, speaker: str
) -> None:
    recogniser, wrong, count = PocketSphinxAsr(), 0, 0
    voice = registry.get(name)
    for text in TEXTS:
        speech = Speech(text, speaker=speaker, seed=1)
        chunks = [chunk.samples for chunk in synthesizer.speak(speech, voice=voice)]
        heard = recogniser.transcribe(np.concatenate(chunks), RATE)
        wrong += word_errors(words_of(text), heard)
        count += len(words_of(text))
    assert wrong / count < 0.5


def test_a_recogniser_does_not_hear_words_in_noise() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(3 * RATE).astype(np.float32)
    assert word_errors(words_of(TEXTS[0]), PocketSphinxAsr().transcribe(noise, RATE)) >= 8


def test_arctic_is_the_default_voice(registry: VoiceRegistry) -> None:
    assert registry.get().id == "arctic"


def test_sentences_join_without_a_click(synthesizer: Synthesizer, arctic: Voice) -> None:
    speech = Speech("Sea shells. She sells them! Does she?", speaker="slt", seed=2)
    chunks = list(synthesizer.speak(speech, voice=arctic))
    joins, length = [], 0
    for chunk in chunks:
        if chunk.text and length:
            joins.append(length)
        length += len(chunk.samples)
    steps = np.abs(np.diff(np.concatenate([chunk.samples for chunk in chunks])))
    assert len(joins) == 2
    for join in joins:
        near = steps[join - 20 : join + 20]
        assert near.max() < 0.1 * steps.max()


def test_speakers_differ_in_pitch_and_speed_changes_the_duration(
    synthesizer: Synthesizer, arctic: Voice
) -> None:
    assert arctic.acoustic is not None
    middles = arctic.acoustic.f0_mean.exp().tolist()
    assert middles[0] < 150 < min(middles[1:])
    durations = {
        speed: next(
            iter(synthesizer.plan(Speech(TEXTS[0], speaker="slt", speed=speed), voice=arctic))
        ).duration_s
        for speed in (0.5, 1.0, 2.0)
    }
    assert durations[0.5] > 1.7 * durations[1.0] > 3 * durations[2.0]
