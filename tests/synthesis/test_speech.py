"""Text to audio: sentences, the gaps between them, seeds, errors."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, random_acoustic_model, random_model

from vocoder.config import GenerationConfig
from vocoder.errors import FeatureError, NotFoundError, TextError, UserError
from vocoder.features.feature_file import Features
from vocoder.generation.noise import MAX_SEED
from vocoder.synthesis.speech import SENTENCE_GAP_S, Speech, next_seed, renderings
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.text.linguistic import CHANNELS
from vocoder.voices import voice as voice_files
from vocoder.voices.registry import VoiceRegistry
from vocoder.voices.voice import Voice

TEXT = "She sells. Sea shells!"


@pytest.fixture(scope="module")
def synthesizer() -> Synthesizer:
    return Synthesizer()


@pytest.fixture(scope="module")
def voice(voices: Path) -> Voice:
    return VoiceRegistry(voices).get()


def whole(synthesizer: Synthesizer, voice: Voice, speech: Speech) -> np.ndarray:
    return np.concatenate([one.samples for one in synthesizer.speak(speech, voice=voice)])


def test_the_same_seed_gives_the_same_audio_and_each_setting_changes_it(
    synthesizer: Synthesizer, voice: Voice
) -> None:
    speech = Speech(TEXT, speaker="ben", seed=5)
    first = whole(synthesizer, voice, speech)
    assert np.array_equal(first, whole(synthesizer, voice, speech))
    for change in ({"seed": 6}, {"speaker": "cat"}, {"speed": 1.5}, {"pitch": 3.0}):
        assert not np.array_equal(first, whole(synthesizer, voice, replace(speech, **change)))


def test_sentences_follow_each_other_with_their_words(
    synthesizer: Synthesizer, voice: Voice
) -> None:
    chunks = list(synthesizer.speak(Speech(TEXT), voice=voice))
    assert [chunk.text for chunk in chunks if chunk.text] == ["She sells.", "Sea shells!"]
    words = [word for chunk in chunks for word in chunk.words]
    assert [word.text for word in words] == ["She", "sells", "Sea", "shells"]
    seconds = sum(len(chunk.samples) for chunk in chunks) / 16000
    assert words[-1].end_s < seconds
    starts = [word.start_s for word in words]
    assert starts == sorted(starts)
    # The second sentence starts where the first one's audio ends.
    first = next(i for i, chunk in enumerate(chunks) if i and chunk.text)
    before = sum(len(chunk.samples) for chunk in chunks[:first]) / 16000
    assert words[1].end_s < before - SENTENCE_GAP_S < before < words[2].start_s


def test_a_sentence_within_a_text_sounds_as_alone(synthesizer: Synthesizer, voice: Voice) -> None:
    together = whole(synthesizer, voice, Speech(TEXT, seed=1))
    second = whole(synthesizer, voice, Speech("Sea shells!", seed=next_seed(1)))
    assert np.array_equal(together[-len(second) :], second)


def test_the_plan_lists_the_sentences_to_be_spoken(synthesizer: Synthesizer, voice: Voice) -> None:
    speech = Speech("Dr. Smith paid $3.50. " + TEXT, seed=2)
    plan = list(synthesizer.plan(speech, voice=voice))
    assert [sentence.text for sentence in plan] == [
        "Doctor Smith paid three dollars and fifty cents.",
        "She sells.",
        "Sea shells!",
    ]
    assert plan[1].phonemes == "ʃˈi sˈɛlz."
    seconds = sum(sentence.duration_s for sentence in plan)
    assert len(whole(synthesizer, voice, speech)) == pytest.approx(16000 * seconds)


def test_a_lexicon_and_inline_phonemes_are_spoken(synthesizer: Synthesizer, voice: Voice) -> None:
    speech = Speech("A gif [[həˈloʊ]].", lexicon={"gif": "dʒɪf"})
    (plan,) = synthesizer.plan(speech, voice=voice)
    assert "d͡ʒɪf həlˈoʊ" in plan.phonemes


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"text": ""}, TextError, "empty"),
        ({"text": "\U0001f600 \U0001f680"}, TextError, "nothing to speak"),
        ({"text": "Привет, мир"}, TextError, "Latin"),
        ({"text": "<speak>", "ssml": True}, TextError, "line 1"),
        ({"speed": 5.0}, TextError, "0.25 to 4"),
        ({"speed": float("nan")}, TextError, "speed nan"),
        ({"pitch": 13.0}, TextError, "-12 to 12"),
        ({"speaker": "dora"}, NotFoundError, "ann, ben, cat"),
        ({"seed": -1}, UserError, "seed -1"),
        ({"seed": MAX_SEED + 1}, UserError, "seed"),
        ({"lexicon": {"gif": "?"}}, TextError, "unknown"),
    ],
)
def test_mistakes_are_raised_before_any_audio(
    synthesizer: Synthesizer,
    voice: Voice,
    change: dict[str, object],
    error: type[UserError],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        synthesizer.speak(replace(Speech(TEXT), **change), voice=voice)


def test_a_voice_without_an_acoustic_model_says_so(synthesizer: Synthesizer, voice: Voice) -> None:
    with pytest.raises(TextError, match="no acoustic model"):
        synthesizer.speak(Speech(TEXT), voice=replace(voice, acoustic=None))


def test_long_texts_need_no_more_memory_than_short_ones(voice: Voice) -> None:
    def peak(sentences: int) -> int:
        tracemalloc.start()
        count = sum(1 for _ in renderings(Speech("Sea shells, she sells. " * sentences), voice))
        assert count == sentences
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(5)
    assert peak(200) < peak(20) + 2**20


@pytest.fixture(scope="module")
def linguistic(tmp_path_factory: pytest.TempPathFactory) -> Voice:
    """A voice whose WaveNet is conditioned on linguistic features."""
    conditioning = TINY.conditioning.model_copy(
        update={"kind": "linguistic", "linguistic_channels": CHANNELS}
    )
    model = random_model(TINY.model_copy(update={"conditioning": conditioning}))
    folder = tmp_path_factory.mktemp("linguistic") / "ling"
    manifest = voice_files.VoiceManifest(
        id="ling", model=model.config, generation=GenerationConfig(), weights={}
    )
    voice_files.save(folder, model, manifest, random_acoustic_model())
    return voice_files.load(folder)


def test_a_wavenet_conditioned_on_linguistic_features_speaks(linguistic: Voice) -> None:
    synthesizer = Synthesizer()
    first = whole(synthesizer, linguistic, Speech(TEXT, seed=1))
    assert np.isfinite(first).all()
    assert np.array_equal(first, whole(synthesizer, linguistic, Speech(TEXT, seed=1)))
    # The words matter, not only their number.
    other = whole(synthesizer, linguistic, Speech("He sells. Sea shells!", seed=1))
    assert not np.array_equal(first[:4000], other[:4000])
    mel = Features(linguistic.acoustic.harmonics.table[:9].T.clone(), linguistic.config.features)
    with pytest.raises(FeatureError, match="linguistic"):
        synthesizer.vocode(mel, voice=linguistic)
