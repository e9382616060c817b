from pathlib import Path

import pytest
import torch
from conftest import CONFIGS, SPEAKERS, TINY, random_acoustic_model, random_model

from vocoder.config import ModelConfig
from vocoder.errors import VoiceError
from vocoder.voices import voice
from vocoder.voices.export import pack
from vocoder.voices.voice import VOCODER_WEIGHTS


def save(folder: Path, config: ModelConfig, *, reads: bool = False) -> Path:
    provenance = voice.AcousticProvenance(steps=7) if reads else None
    manifest = voice.VoiceManifest(
        id="trained", name="Trained", model=config, weights={}, acoustic_provenance=provenance
    )
    acoustic = random_acoustic_model(config.features, len(config.speakers)) if reads else None
    voice.save(folder, random_model(config), manifest, acoustic)
    return folder


def test_a_packed_voice_keeps_everything_but_its_id(tmp_path: Path) -> None:
    source = save(tmp_path / "run", CONFIGS["logistics"], reads=True)
    manifest = pack(source, tmp_path / "voices" / "mine")
    given, packed = voice.load(source), voice.load(tmp_path / "voices" / "mine")
    assert packed.manifest == manifest
    assert packed.manifest == given.manifest.model_copy(update={"id": "mine"})


def test_the_acoustic_model_of_another_voice_is_used(tmp_path: Path) -> None:
    source = save(tmp_path / "run", CONFIGS["logistics"])
    reader = save(tmp_path / "reader", TINY, reads=True)
    pack(source, tmp_path / "mine", acoustic=reader, name="Mine")
    packed, lender = voice.load(tmp_path / "mine"), voice.load(reader)
    assert packed.acoustic is not None
    assert lender.acoustic is not None
    for key, tensor in lender.acoustic.state_dict().items():
        assert torch.equal(packed.acoustic.state_dict()[key], tensor)
    assert packed.manifest.name == "Mine"
    assert packed.manifest.acoustic_provenance == lender.manifest.acoustic_provenance
    assert packed.config == CONFIGS["logistics"]


@pytest.mark.parametrize(
    ("config", "reads", "message"),
    [
        (TINY, False, "has no acoustic model"),
        (
            TINY.model_copy(update={"speakers": SPEAKERS[::-1]}),
            True,
            "cat, ben, ann.*ann, ben, cat",
        ),
        (CONFIGS["odd"], True, "sample_rate_hz 8000"),
    ],
)
def test_voices_that_do_not_match_are_refused(
    tmp_path: Path, config: ModelConfig, reads: bool, message: str
) -> None:
    source = save(tmp_path / "run", CONFIGS["logistics"])
    reader = save(tmp_path / "reader", config, reads=reads)
    with pytest.raises(VoiceError, match=message):
        pack(source, tmp_path / "mine", acoustic=reader)
    assert not (tmp_path / "mine").exists()


def test_an_existing_folder_or_an_invalid_id_is_refused(tmp_path: Path) -> None:
    source = save(tmp_path / "run", CONFIGS["logistics"])
    with pytest.raises(VoiceError, match="already exists"):
        pack(source, source)
    with pytest.raises(VoiceError, match="becomes the voice's id"):
        pack(source, tmp_path / "My voice")


def test_a_damaged_voice_is_not_packed(tmp_path: Path) -> None:
    source = save(tmp_path / "run", CONFIGS["logistics"])
    path = source / VOCODER_WEIGHTS
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(VoiceError, match="SHA-256"):
        pack(source, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_a_write_error_is_reported_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = save(tmp_path / "run", CONFIGS["logistics"])
    (tmp_path / "file").touch()
    with pytest.raises(VoiceError, match="Not a directory"):
        pack(source, tmp_path / "file" / "mine")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(voice, "save", full)
    with pytest.raises(VoiceError, match="No space left"):
        pack(source, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_a_folder_created_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, mine = save(tmp_path / "run", CONFIGS["logistics"]), tmp_path / "mine"
    load = voice.load

    def meanwhile(folder: Path) -> voice.Voice:
        mine.mkdir()
        (mine / "theirs").touch()
        return load(folder)

    monkeypatch.setattr(voice, "load", meanwhile)
    with pytest.raises(VoiceError, match="File exists"):
        pack(source, mine)
    assert (mine / "theirs").exists()
