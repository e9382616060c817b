"""The Python API: `vocoder.load`, and what it returns."""

from pathlib import Path

import numpy as np
import pytest
from conftest import ASSETS

import vocoder
from vocoder.audio import io as audio
from vocoder.features import feature_file
from vocoder.synthesis.speech import Speech
from vocoder.synthesis.synthesizer import Synthesizer

RECORDING = ASSETS / "speech" / "slt_arctic_a0090.flac"


@pytest.fixture(scope="module")
def tiny(voices: Path) -> vocoder.LoadedVoice:
    return vocoder.load("tiny", voices_dir=voices)


def test_every_public_name_is_there() -> None:
    for name in vocoder.__all__:
        assert getattr(vocoder, name) is not None
        assert name in dir(vocoder)
    with pytest.raises(AttributeError, match="no attribute 'speak'"):
        vocoder.speak  # type: ignore[attr-defined]  # noqa: B018


def test_the_shipped_voice_speaks() -> None:
    voice = vocoder.load("arctic")
    samples = voice.speak("Hello.", speaker="slt", seed=1)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert voice.sample_rate_hz == 16000
    assert 0.3 < len(samples) / voice.sample_rate_hz < 1.5
    assert voice.speakers == ("bdl", "kathleen", "slt")
    assert repr(voice) == "<LoadedVoice arctic: bdl, kathleen, slt; 16000 Hz>"


def test_streamed_and_whole_are_the_same_samples(tiny: vocoder.LoadedVoice) -> None:
    options = {"speaker": "ben", "seed": 3, "speed": 1.5, "pitch": 2.0, "lexicon": {"GIF": "dʒɪf"}}
    whole = tiny.speak("A GIF. Go on.", **options)  # type: ignore[arg-type]
    chunks = list(tiny.stream("A GIF. Go on.", **options))  # type: ignore[arg-type]
    assert len(chunks) > 2
    assert np.array_equal(np.concatenate([chunk.samples for chunk in chunks]), whole)
    assert [chunk.text for chunk in chunks if chunk.text] == ["a GIF.", "Go on."]
    speech = Speech("A GIF. Go on.", **options)  # type: ignore[arg-type]
    direct = Synthesizer().speak(speech, voice=tiny.voice)
    assert np.array_equal(np.concatenate([chunk.samples for chunk in direct]), whole)


def test_ssml_is_read_as_ssml(tiny: vocoder.LoadedVoice) -> None:
    marked = tiny.speak("<speak>Go on.</speak>", ssml=True)
    assert np.array_equal(marked, tiny.speak("Go on."))


def test_a_recording_is_copied_from_a_path_or_samples(
    tiny: vocoder.LoadedVoice, tmp_path: Path
) -> None:
    samples, rate = audio.read(RECORDING)
    short = samples[:4000]
    features = tiny.analyze(short)
    assert features.frames == 20
    copy = tiny.vocode(features, speaker="cat", seed=4)
    assert copy.dtype == np.float32
    assert len(copy) == 20 * 200
    assert np.array_equal(copy, tiny.vocode(features, speaker="cat", seed=4))
    clear = tiny.vocode(features, speaker="cat", seed=4, clarity=1.0)
    assert clear.shape == copy.shape
    assert not np.array_equal(clear, copy)
    tiny.save(tmp_path / "copy.wav", copy)
    again, again_rate = audio.read(tmp_path / "copy.wav")
    assert again_rate == rate == tiny.sample_rate_hz
    assert np.abs(again - copy).max() < 1e-4
    from_file = tiny.analyze(str(RECORDING))
    expected = feature_file.analyze(samples, tiny.voice.config.features)
    assert np.array_equal(from_file.mel.numpy(), expected.mel.numpy())


def test_a_voice_is_loaded_by_id_by_folder_or_by_default(voices: Path) -> None:
    by_id, by_folder = vocoder.load("tiny", voices_dir=str(voices)), vocoder.load(voices / "tiny")
    assert by_id.id == by_folder.id == vocoder.load(voices_dir=voices).id == "tiny"
    assert by_id.voice.digest == by_folder.voice.digest
    reference = vocoder.load("tiny", voices_dir=voices, engine="reference")
    assert reference.synthesizer.engine_name(reference.voice) == "reference"


def test_mistakes_are_user_errors(tiny: vocoder.LoadedVoice, tmp_path: Path) -> None:
    for mistake, message in (
        (lambda: vocoder.load("nobody"), "choose one of arctic, arctic-light"),
        (lambda: vocoder.load("../arctic"), "choose one of arctic, arctic-light"),
        (lambda: vocoder.load(tmp_path / "none"), "No such file"),
        (lambda: vocoder.load("arctic", device="warp"), "choose auto, cpu or cuda"),
        (lambda: tiny.speak("Hello.", speaker="dora"), "ann, ben, cat"),
        (lambda: tiny.stream("Hello.", speed=9), "0.25 to 4"),
        (lambda: tiny.analyze("none.wav"), "no such file"),
        (lambda: tiny.save("out.ogg", np.zeros(4, np.float32)), "name the output .wav"),
    ):
        with pytest.raises(vocoder.UserError, match=message):
            mistake()
