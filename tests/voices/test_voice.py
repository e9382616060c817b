import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import CONFIGS, TINY, random_acoustic_model, random_model
from safetensors.torch import save_file

from vocoder.errors import NotFoundError, VoiceError
from vocoder.voices import voice
from vocoder.voices.registry import VoiceRegistry
from vocoder.voices.voice import MANIFEST, VOCODER_WEIGHTS


@pytest.fixture
def folder(voices: Path, tmp_path: Path) -> Path:
    """A copy of the tiny voice that a test can damage."""
    return Path(shutil.copytree(voices / "tiny", tmp_path / "tiny"))


def test_a_saved_voice_loads_with_the_same_weights(tmp_path: Path) -> None:
    model = random_model(CONFIGS["mu_law"])
    manifest = voice.VoiceManifest(id="x", model=model.config, weights={})
    saved = voice.save(tmp_path, model, manifest)
    loaded = voice.load(tmp_path)
    assert loaded.manifest == saved
    assert loaded.config == model.config
    assert not loaded.model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor)


@pytest.mark.parametrize("damage", ["truncated", "padded", "flipped", "missing"])
def test_damaged_weights_are_refused(folder: Path, damage: str) -> None:
    path = folder / VOCODER_WEIGHTS
    data = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(data[:-4])
    elif damage == "padded":
        path.write_bytes(data + b"\0\0\0\0")
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    with pytest.raises(VoiceError, match="No such file" if damage == "missing" else "SHA-256"):
        voice.load(folder)


def test_weights_of_another_shape_are_refused_even_with_a_correct_hash(folder: Path) -> None:
    import hashlib

    other = random_model(CONFIGS["mu_law"])
    save_file(other.state_dict(), folder / VOCODER_WEIGHTS)
    manifest = json.loads((folder / MANIFEST).read_text())
    digest = hashlib.sha256((folder / VOCODER_WEIGHTS).read_bytes()).hexdigest()
    manifest["weights"][VOCODER_WEIGHTS] = digest
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(VoiceError, match="has shape"):
        voice.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2, this version reads 1"),
        ({"mood": "gay"}, "unknown key"),
        ({"id": "../etc"}, "id"),
        ({"weights": {"../../secret": "0"}}, "weights must name"),
        ({"generation": {"temperature": 0.0}}, "temperature"),
        ({"generation": {"contrast": {"first": 5, "last": 4}}}, "last 4 is below first 5"),
        ({"generation": {"speaker_contrast": {"dora": {}}}}, "'dora': the voice has ann, ben, cat"),
    ],
)
def test_an_invalid_manifest_is_refused(folder: Path, change: dict, message: str) -> None:
    manifest = json.loads((folder / MANIFEST).read_text()) | change
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(VoiceError, match=message):
        voice.load(folder)


def test_a_manifest_that_is_not_json_is_refused(folder: Path) -> None:
    (folder / MANIFEST).write_text("{")
    with pytest.raises(VoiceError, match="not JSON"):
        VoiceRegistry(folder.parent)


def test_the_registry_finds_voices_by_id_only(voices: Path) -> None:
    registry = VoiceRegistry(voices)
    assert registry.ids() == ["tiny"]
    assert registry.get() is registry.get("tiny")
    for wrong in ("nobody", "../tiny", "tiny/", "", "TINY"):
        with pytest.raises(NotFoundError, match="choose one of tiny"):
            registry.get(wrong)
    with pytest.raises(NotFoundError, match="ann, ben, cat"):
        registry.get().speaker_index("dora")


def test_an_empty_or_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="contains no voices"):
        VoiceRegistry(tmp_path).get()
    with pytest.raises(VoiceError, match="no such folder"):
        VoiceRegistry(tmp_path / "none")


def test_an_acoustic_model_is_saved_and_loaded_with_its_voice(tmp_path: Path) -> None:
    model, acoustic = random_model(TINY), random_acoustic_model()
    acoustic.f0_mean[0] = 5.4321
    manifest = voice.VoiceManifest(id="x", model=model.config, weights={})
    voice.save(tmp_path, model, manifest, acoustic)
    loaded = voice.load(tmp_path)
    assert loaded.acoustic is not None
    assert not loaded.acoustic.training
    own = acoustic.state_dict()
    for name, tensor in loaded.acoustic.state_dict().items():
        assert tensor.dtype == own[name].dtype
        assert torch.allclose(tensor, own[name], rtol=1e-3, atol=1e-6), name
    assert torch.equal(loaded.acoustic.f0_mean, acoustic.f0_mean)
    # Saving again changes nothing; saving without one removes the file.
    again = voice.save(tmp_path / "again", loaded.model, manifest, loaded.acoustic)
    assert again.weights == loaded.manifest.weights
    voice.save(tmp_path, model, manifest)
    assert voice.load(tmp_path).acoustic is None
    assert not (tmp_path / voice.ACOUSTIC_WEIGHTS).exists()


def test_the_acoustic_model_stays_on_the_cpu(tmp_path: Path) -> None:
    model, acoustic = random_model(TINY), random_acoustic_model()
    manifest = voice.VoiceManifest(id="x", model=model.config, weights={})
    voice.save(tmp_path / "x", model, manifest, acoustic)
    for loaded in (
        voice.load(tmp_path / "x", torch.device("meta")),
        VoiceRegistry(tmp_path, torch.device("meta")).get(),
    ):
        assert loaded.acoustic is not None
        assert {part.device.type for part in loaded.model.parameters()} == {"meta"}
        assert {part.device.type for part in loaded.acoustic.parameters()} == {"cpu"}


def test_an_acoustic_model_with_other_symbols_is_refused(tmp_path: Path) -> None:
    model = random_model(TINY)
    manifest = voice.VoiceManifest(id="x", model=model.config, weights={})
    voice.save(tmp_path, model, manifest, random_acoustic_model())
    path = tmp_path / voice.MANIFEST
    data = json.loads(path.read_text())
    data["symbols"] = data["symbols"][::-1]
    path.write_text(json.dumps(data))
    with pytest.raises(VoiceError, match="symbols"):
        voice.load(tmp_path)


def test_an_acoustic_model_that_refers_to_unknown_symbols_is_refused(tmp_path: Path) -> None:
    model, acoustic = random_model(TINY), random_acoustic_model()
    acoustic.alias[3] = 4000
    manifest = voice.VoiceManifest(id="x", model=model.config, weights={})
    voice.save(tmp_path, model, manifest, acoustic)
    with pytest.raises(VoiceError, match="alias"):
        voice.load(tmp_path)
