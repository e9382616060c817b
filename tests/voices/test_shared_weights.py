"""A voice may keep a weights file in another voice's folder instead of a copy of its own."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CONFIGS, TINY, random_acoustic_model, random_model

from vocoder.errors import VoiceError
from vocoder.voices import voice
from vocoder.voices.export import pack
from vocoder.voices.registry import VoiceRegistry
from vocoder.voices.voice import ACOUSTIC_WEIGHTS, MANIFEST, VOCODER_WEIGHTS

ROOT = Path(__file__).parents[2]


def save(folder: Path, seed: int = 0) -> None:
    manifest = voice.VoiceManifest(id=folder.name, model=TINY, weights={})
    voice.save(folder, random_model(TINY, seed), manifest, random_acoustic_model())


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads((folder / MANIFEST).read_text())
    change(data)
    (folder / MANIFEST).write_text(json.dumps(data))


def share(folder: Path, files: dict[str, str]) -> None:
    edit_manifest(folder, lambda data: data.update(shared=files))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two voices; `light` uses the acoustic model of `full`."""
    save(tmp_path / "full")
    save(tmp_path / "light", seed=1)
    (tmp_path / "light" / ACOUSTIC_WEIGHTS).unlink()
    share(tmp_path / "light", {ACOUSTIC_WEIGHTS: "full"})
    return tmp_path


def test_a_shared_file_loads_from_the_sibling_folder(folder: Path) -> None:
    full, light = voice.load(folder / "full"), voice.load(folder / "light")
    assert full.acoustic is not None
    assert light.acoustic is not None
    for name, tensor in full.acoustic.state_dict().items():
        assert torch.equal(light.acoustic.state_dict()[name], tensor)
    assert full.digest != light.digest


def test_sharing_does_not_change_the_digest(folder: Path) -> None:
    shared = voice.load(folder / "light").digest
    shutil.copyfile(folder / "full" / ACOUSTIC_WEIGHTS, folder / "light" / ACOUSTIC_WEIGHTS)
    edit_manifest(folder / "light", lambda data: data.pop("shared"))
    assert voice.load(folder / "light").digest == shared


def test_a_relative_or_linked_folder_finds_its_sibling(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder / "light")
    assert voice.load(Path()).acoustic is not None
    link = tmp_path_factory.mktemp("elsewhere") / "link"
    link.symlink_to(folder / "light")
    assert voice.load(link).acoustic is not None


def test_a_missing_sibling_is_named(folder: Path) -> None:
    shutil.rmtree(folder / "full")
    message = r"full/acoustic.safetensors: No such file.*light shares this file with 'full'"
    with pytest.raises(VoiceError, match=message):
        voice.load(folder / "light")


def test_a_sibling_with_other_weights_is_refused(folder: Path) -> None:
    path = folder / "full" / ACOUSTIC_WEIGHTS
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(VoiceError, match=r"SHA-256.*shares this file with 'full'"):
        voice.load(folder / "light")


@pytest.mark.parametrize("sibling", ["../full", "/etc", "full/../full", "", "Full", "full\n", 7])
def test_a_sibling_is_an_id_and_never_a_path(folder: Path, sibling: object) -> None:
    edit_manifest(folder / "light", lambda data: data.update(shared={ACOUSTIC_WEIGHTS: sibling}))
    with pytest.raises(VoiceError, match="shared"):
        voice.load(folder / "light")


def test_only_weights_can_be_shared(folder: Path) -> None:
    share(folder / "light", {"../secret": "full"})
    with pytest.raises(VoiceError, match=r"shared names '../secret', which weights does not list"):
        voice.load(folder / "light")


def test_a_packed_voice_is_self_contained(folder: Path, tmp_path: Path) -> None:
    manifest = pack(folder / "light", tmp_path / "alone" / "mine")
    assert manifest.shared == {}
    shutil.rmtree(folder / "full")
    packed = voice.load(tmp_path / "alone" / "mine")
    assert packed.acoustic is not None
    assert "shared" not in json.loads((packed.folder / MANIFEST).read_text())


def test_packing_copies_the_acoustic_model_that_the_donor_shares(
    folder: Path, tmp_path: Path
) -> None:
    model = random_model(CONFIGS["logistics"])
    manifest = voice.VoiceManifest(id="bare", model=model.config, weights={})
    voice.save(tmp_path / "bare", model, manifest)
    pack(tmp_path / "bare", tmp_path / "mine", acoustic=folder / "light")
    assert voice.load(tmp_path / "mine").acoustic is not None
    assert (tmp_path / "mine" / ACOUSTIC_WEIGHTS).is_file()


def test_the_registry_notices_a_change_of_a_shared_file(folder: Path) -> None:
    registry = VoiceRegistry(folder)
    before = registry.get("light")
    path = folder / "full" / ACOUSTIC_WEIGHTS
    intact = path.read_bytes()
    path.write_bytes(intact[:-1])
    assert registry.refresh() == []
    refused = {(change.kind, change.id) for change in registry.refresh()}
    assert refused == {("refused", "full"), ("refused", "light")}
    assert registry.get("light") is before
    # A new acoustic model for both, with the digests that go with it.
    manifest = voice.VoiceManifest(id="full", model=TINY, weights={})
    saved = voice.save(folder / "full", random_model(TINY), manifest, random_acoustic_model(seed=5))
    digest = saved.weights[ACOUSTIC_WEIGHTS]
    edit_manifest(folder / "light", lambda data: data["weights"].update({ACOUSTIC_WEIGHTS: digest}))
    changes = {(change.kind, change.id) for change in registry.refresh(at_once=True)}
    assert changes == {("replaced", "full"), ("replaced", "light")}
    assert registry.get("light").digest != before.digest


def test_the_shipped_voices_hold_one_copy_of_the_acoustic_model() -> None:
    checkpoints = ROOT / "checkpoints"
    assert [path.parent.name for path in checkpoints.rglob(ACOUSTIC_WEIGHTS)] == ["arctic"]
    digests = {"arctic": "c117011e2c48aca9", "arctic-light": "6d80a8c1f0ae25ec"}
    for name, digest in digests.items():
        loaded = voice.load(checkpoints / name)
        assert loaded.acoustic is not None
        assert loaded.digest.startswith(digest)
        assert (checkpoints / name / VOCODER_WEIGHTS).is_file()


def test_voices_that_share_a_file_share_the_model_in_memory() -> None:
    registry = VoiceRegistry(Path(__file__).parents[2] / "checkpoints")
    assert registry.get("arctic-light").acoustic is registry.get("arctic").acoustic
