"""Evaluation of speech from text with an untrained voice on the toy corpus."""

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import CONFIGS, Toy, random_acoustic_model, random_model

from vocoder.errors import TextError, UserError
from vocoder.evaluation import speech, speech_report
from vocoder.evaluation import word_errors as recognition
from vocoder.evaluation.word_errors import PocketSphinxAsr, word_errors, words_of
from vocoder.voices import voice
from vocoder.voices.voice import Voice


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Voice:
    model = random_model(CONFIGS["mu_law"].model_copy(update={"speakers": ("ann", "ben")}))
    folder = tmp_path_factory.mktemp("reader") / "toy"
    manifest = voice.VoiceManifest(id="toy", model=model.config, weights={})
    voice.save(folder, model, manifest, random_acoustic_model(model.config.features, 2))
    return voice.load(folder)


def test_every_metric_is_measured_and_reported(toy: Toy, reader: Voice, tmp_path: Path) -> None:
    found = speech.evaluate_speech(reader, toy.corpus, per_speaker=3, report=tmp_path)
    assert set(found.speakers) == {"ann", "ben"}
    for own in found.speakers.values():
        assert own.sentences == 3
        assert 0 < own.duration_error_ms < 200
        assert -1 <= own.log_f0_correlation <= 1
        assert own.mcd_db > 0
        assert own.mcd_dtw_db > 0
        assert own.word_error_rate is None
    assert len(list(tmp_path.glob("*.png"))) == 2 * speech.PLOTS_PER_SPEAKER
    assert len(list(tmp_path.glob("*-recording.wav"))) == 2 * speech.PLOTS_PER_SPEAKER
    page = speech_report.write_page(tmp_path, found).read_text()
    assert page.count("![") == 2 * speech.PLOTS_PER_SPEAKER
    assert "| log-F0 correlation |" in page
    text = speech_report.summary(found)
    assert "log-F0 correlation" in text
    assert "word error" not in text
    again = speech.SpeechEvaluation.model_validate_json(found.model_dump_json())
    assert again == found


def test_a_voice_without_an_acoustic_model_is_refused(toy: Toy, reader: Voice) -> None:
    with pytest.raises(TextError, match="no acoustic model"):
        speech.evaluate_speech(replace(reader, acoustic=None), toy.corpus)


@pytest.mark.parametrize(
    ("spoken", "heard", "errors"),
    [
        ("a b c", "a b c", 0),
        ("a b c", "a x c", 1),
        ("a b c", "a c", 1),
        ("a b c", "a b b c d", 2),
        ("a b c", "", 3),
        ("", "a", 1),
    ],
)
def test_word_errors(spoken: str, heard: str, errors: int) -> None:
    assert word_errors(spoken.split(), heard.split()) == errors


def test_words_are_lower_case_without_punctuation() -> None:
    assert words_of("Don't stop-now, ‘Bob’!") == ["don't", "stop", "now", "bob"]


def test_the_error_for_a_missing_recogniser_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recognition.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install"):
        PocketSphinxAsr()
