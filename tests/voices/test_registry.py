"""Folders of voices that change while they are served: taken when sound and quiet, else refused."""

import functools
import shutil
from pathlib import Path

import pytest
import torch
from conftest import random_acoustic_model, random_model
from serving import CONFIG, FEATURES

from vocoder.acoustic.model import AcousticModel
from vocoder.errors import NotFoundError, UserError, VoiceError
from vocoder.voices import voice
from vocoder.voices.registry import VoiceRegistry
from vocoder.voices.voice import ACOUSTIC_WEIGHTS, MANIFEST, VOCODER_WEIGHTS, Voice
from vocoder.wavenet.model import WaveNet


@functools.cache
def models(seed: int) -> tuple[WaveNet, AcousticModel]:
    acoustic = random_acoustic_model(FEATURES, len(CONFIG.speakers), seed)
    return random_model(CONFIG, seed), acoustic


def save(folder: Path, voice_id: str, seed: int = 0) -> None:
    model, acoustic = models(seed)
    manifest = voice.VoiceManifest(id=voice_id, model=CONFIG, weights={})
    voice.save(folder, model, manifest, acoustic)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ann", "ben"):
        save(tmp_path / name, name)
    return tmp_path


@pytest.fixture
def registry(folder: Path) -> VoiceRegistry:
    return VoiceRegistry(folder)


def kinds(registry: VoiceRegistry) -> list[tuple[str, str]]:
    """What two looks find, the first of which must leave everything to the second."""
    assert registry.refresh() == []
    return [(change.kind, change.id) for change in registry.refresh()]


def test_nothing_changed(registry: VoiceRegistry) -> None:
    held = registry.get("ann")
    assert kinds(registry) == []
    assert registry.refresh(at_once=True) == []
    assert registry.get("ann") is held


def test_a_new_voice_is_loaded_in_its_place(registry: VoiceRegistry, folder: Path) -> None:
    save(folder / "amy", "amy", seed=1)
    assert kinds(registry) == [("loaded", "amy")]
    # As it would be after a start: the default is the first folder.
    assert registry.ids() == VoiceRegistry(folder).ids() == ["amy", "ann", "ben"]
    assert registry.get().id == "amy"
    assert kinds(registry) == []


def test_a_voice_is_replaced_and_held_by_those_who_speak_with_it(
    registry: VoiceRegistry, folder: Path
) -> None:
    held = registry.get("ann")
    save(folder / "ann", "ann", seed=1)
    assert registry.refresh() == []
    (change,) = registry.refresh()
    assert (change.kind, change.id) == ("replaced", "ann")
    assert change.old is held
    assert registry.ids() == ["ann", "ben"]
    assert registry.get("ann") is not held
    assert registry.get("ann").digest != held.digest
    assert held.manifest.weights != registry.get("ann").manifest.weights


def test_a_folder_that_is_being_copied_is_left_alone(registry: VoiceRegistry, folder: Path) -> None:
    held = registry.get("ann")
    save(folder / "new", "ann", seed=1)
    source, target = folder / "new", folder / "ann"
    for name in (MANIFEST, VOCODER_WEIGHTS, ACOUSTIC_WEIGHTS):
        # At every look something is different; in between the files do not go together.
        shutil.copyfile(source / name, target / name)
        assert [c for c in registry.refresh() if c.id == "ann"] == []
        assert registry.get("ann") is held
    shutil.rmtree(source)
    assert ("replaced", "ann") in [(change.kind, change.id) for change in registry.refresh()]


def test_a_folder_without_its_manifest_is_no_voice(registry: VoiceRegistry, folder: Path) -> None:
    save(folder / "cat", "cat")
    manifest = (folder / "cat" / MANIFEST).read_bytes()
    (folder / "cat" / MANIFEST).unlink()
    assert kinds(registry) == []
    (folder / "cat" / MANIFEST).write_bytes(manifest)
    assert kinds(registry) == [("loaded", "cat")]


@pytest.mark.parametrize("damaged", [MANIFEST, VOCODER_WEIGHTS, ACOUSTIC_WEIGHTS])
def test_a_corrupt_voice_is_refused_once_and_the_old_one_stays(
    registry: VoiceRegistry, folder: Path, damaged: str
) -> None:
    held = registry.get("ann")
    path = folder / "ann" / damaged
    sound = path.read_bytes()
    path.write_bytes(sound[: len(sound) // 2])
    assert registry.refresh() == []
    (change,) = registry.refresh()
    assert (change.kind, change.id, change.old) == ("refused", "ann", None)
    assert str(path) in change.reason
    assert registry.get("ann") is held
    assert kinds(registry) == []
    # Mended, it is the same voice as before.
    path.write_bytes(sound)
    assert kinds(registry) == []
    assert registry.get("ann") is held


def test_a_corrupt_new_voice_is_not_listed(registry: VoiceRegistry, folder: Path) -> None:
    save(folder / "cat", "cat")
    path = folder / "cat" / VOCODER_WEIGHTS
    sound = path.read_bytes()
    path.write_bytes(sound + b"\0")
    assert kinds(registry) == [("refused", "cat")]
    assert registry.ids() == ["ann", "ben"]
    path.write_bytes(sound)
    assert kinds(registry) == [("loaded", "cat")]


def test_a_voice_never_loaded_is_simply_not_replaced(registry: VoiceRegistry, folder: Path) -> None:
    path = folder / "ben" / VOCODER_WEIGHTS
    sound = path.read_bytes()
    path.write_bytes(sound[:-1])
    assert kinds(registry) == [("refused", "ben")]
    assert registry.ids() == ["ann", "ben"]
    with pytest.raises(VoiceError, match="SHA-256"):
        registry.get("ben")
    path.write_bytes(sound)
    assert registry.get("ben").id == "ben"


def test_a_voice_that_another_check_refuses(registry: VoiceRegistry, folder: Path) -> None:
    held = registry.get("ann")
    save(folder / "ann", "ann", seed=1)

    def refuse(candidate: Voice) -> None:
        assert candidate.digest != held.digest
        raise UserError("it does not run here")

    assert registry.refresh(refuse) == []
    (change,) = registry.refresh(refuse)
    assert (change.kind, change.reason) == ("refused", "it does not run here")
    assert registry.get("ann") is held


def test_a_voice_is_checked_before_anybody_gets_it(registry: VoiceRegistry, folder: Path) -> None:
    held = registry.get("ann")
    save(folder / "ann", "ann", seed=1)
    seen = []
    registry.refresh(at_once=True, prepare=lambda _: seen.append(registry.get("ann")))
    assert seen == [held]
    assert registry.get("ann") is not held


def test_a_removed_voice_leaves_the_list(registry: VoiceRegistry, folder: Path) -> None:
    held = registry.get("ann")
    shutil.rmtree(folder / "ann")
    assert registry.refresh() == []
    (change,) = registry.refresh()
    assert (change.kind, change.id, change.old) == ("removed", "ann", held)
    assert registry.ids() == ["ben"]
    assert registry.get().id == "ben"
    with pytest.raises(NotFoundError):
        registry.get("ann")


def test_a_folder_of_voices_that_vanishes_takes_none_away(
    registry: VoiceRegistry, folder: Path
) -> None:
    folder.rename(folder.with_name("elsewhere"))
    assert kinds(registry) == []
    assert registry.ids() == ["ann", "ben"]


def test_two_folders_of_one_voice(registry: VoiceRegistry, folder: Path) -> None:
    held = registry.get("ann")
    save(folder / "second", "ann", seed=1)
    assert kinds(registry) == [("refused", "second")]
    assert registry.get("ann") is held
    # When the first one leaves, nothing stands in its way any more.
    shutil.rmtree(folder / "ann")
    assert kinds(registry) == [("replaced", "ann")]
    assert registry.get("ann").folder == folder / "second"
    assert registry.ids() == ["ben", "ann"]


def test_a_folder_with_another_name_is_the_same_voice(
    registry: VoiceRegistry, folder: Path
) -> None:
    held = registry.get("ann")
    (folder / "ann").rename(folder / "zoe")
    assert kinds(registry) == []
    assert registry.get("ann") is held
    assert registry.ids() == ["ben", "ann"]


def test_a_folder_that_becomes_another_voice(registry: VoiceRegistry, folder: Path) -> None:
    registry.get("ann")
    save(folder / "ann", "amy", seed=1)
    assert kinds(registry) == [("removed", "ann"), ("loaded", "amy")]
    assert registry.ids() == ["amy", "ben"]
    save(folder / "ben", "bob")
    with pytest.raises(VoiceError, match="changed from ben to bob"):
        registry.get("ben")


def test_a_voice_altered_while_it_is_read_is_not_judged(
    registry: VoiceRegistry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(folder / "cat", "cat")
    load = voice.load

    def disturbed(path: Path, device: torch.device) -> Voice:
        weights = path / VOCODER_WEIGHTS
        sound = weights.read_bytes()
        weights.write_bytes(sound[:-1])
        try:
            return load(path, device)
        finally:
            weights.write_bytes(sound)

    monkeypatch.setattr("vocoder.voices.registry.load", disturbed)
    assert kinds(registry) == []
    monkeypatch.setattr("vocoder.voices.registry.load", load)
    assert kinds(registry) == [("loaded", "cat")]


def test_the_digest_covers_all_that_is_heard(folder: Path) -> None:
    ann = voice.load(folder / "ann")
    assert ann.digest == voice.load(folder / "ben").digest  # Only their names differ.
    other = ann.manifest.model_copy(update={"weights": {**ann.manifest.weights, "x": "0"}})
    assert other.digest() != ann.digest
    assert ann.with_generation(temperature=0.5).digest != ann.digest
    save(folder / "ann", "ann", seed=1)
    with_other_weights = voice.load(folder / "ann")
    changed = {
        name: digest
        for name, digest in ann.manifest.weights.items()
        if with_other_weights.manifest.weights[name] != digest
    }
    assert set(changed) == {VOCODER_WEIGHTS, ACOUSTIC_WEIGHTS}
    assert with_other_weights.digest != ann.digest


def test_voices_of_a_second_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    more = tmp_path_factory.mktemp("aaa")
    save(more / "amy", "amy")
    registry = VoiceRegistry(folder, more=more)
    assert registry.ids() == ["ann", "ben", "amy"]  # Not by name: the first folder's come first.
    save(folder / "zoe", "zoe")
    save(more / "abe", "abe")
    assert kinds(registry) == [("loaded", "zoe"), ("loaded", "abe")]
    assert registry.ids() == ["ann", "ben", "zoe", "abe", "amy"]
    assert registry.get("amy").id == "amy"


def test_one_name_in_two_folders(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    more = tmp_path_factory.mktemp("more")
    registry = VoiceRegistry(folder, more=more)
    save(more / "other", "ann", seed=1)
    assert kinds(registry) == [("refused", "other")]
    assert registry.ids() == ["ann", "ben"]
    with pytest.raises(VoiceError, match="have the same id, ann"):
        VoiceRegistry(folder, more=more)


def test_a_second_folder_that_is_not_mounted_any_more(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    more = tmp_path_factory.mktemp("parent") / "more"
    with pytest.raises(VoiceError, match="no such folder of voices"):
        VoiceRegistry(folder, more=more)
    save(more / "amy", "amy")
    registry = VoiceRegistry(folder, more=more)
    held = registry.get("amy")
    shutil.rmtree(more)
    save(folder / "ben", "ben", seed=1)
    assert registry.refresh() == []
    (change,) = registry.refresh()
    assert (change.kind, change.id) == ("replaced", "ben")
    assert registry.get("amy") is held
