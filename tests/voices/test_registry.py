"""Voice folders that change while they are served: loaded once stable and valid, else refused."""

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
    """Changes found by two checks; the first must leave everything to the second."""
    assert registry.refresh() == []
    return [(change.kind, change.id) for change in registry.refresh()]


def test_nothing_changed(registry: VoiceRegistry) -> None:
    held = registry.get("ann")
    assert kinds(registry) == []
    assert registry.refresh(at_once=True) == []
    assert registry.get("ann") is held


def test_a_new_voice_is_loaded_and_listed_in_order(registry: VoiceRegistry, folder: Path) -> None:
    save(folder / "amy", "amy", seed=1)
    assert kinds(registry) == [("loaded", "amy")]
    # As after a restart: the default voice is in the first folder.
    assert registry.ids() == VoiceRegistry(folder).ids() == ["amy", "ann", "ben"]
    assert registry.get().id == "amy"
    assert kinds(registry) == []


def test_a_replaced_voice_stays_usable_by_those_who_hold_it(
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
        # Every check finds something new; in between, the files do not match each other.
        shutil.copyfile(source / name, target / name)
        assert [c for c in registry.refresh() if c.id == "ann"] == []
        assert registry.get("ann") is held
    shutil.rmtree(source)
    assert ("replaced", "ann") in [(change.kind, change.id) for change in registry.refresh()]


def test_a_folder_without_a_manifest_is_not_a_voice(registry: VoiceRegistry, folder: Path) -> None:
    save(folder / "cat", "cat")
    manifest = (folder / "cat" / MANIFEST).read_bytes()
    (folder / "cat" / MANIFEST).unlink()
    assert kinds(registry) == []
    (folder / "cat" / MANIFEST).write_bytes(manifest)
    assert kinds(registry) == [("loaded", "cat")]


@pytest.mark.parametrize("damaged", [MANIFEST, VOCODER_WEIGHTS, ACOUSTIC_WEIGHTS])
def test_a_corrupt_voice_is_refused_once_and_the_old_one_keeps_serving(
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
    # Repaired, it is the same voice as before.
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


def test_a_corrupt_voice_that_was_never_loaded_fails_when_asked_for(
    registry: VoiceRegistry, folder: Path
) -> None:
    path = folder / "ben" / VOCODER_WEIGHTS
    sound = path.read_bytes()
    path.write_bytes(sound[:-1])
    assert kinds(registry) == [("refused", "ben")]
    assert registry.ids() == ["ann", "ben"]
    with pytest.raises(VoiceError, match="SHA-256"):
        registry.get("ben")
    path.write_bytes(sound)
    assert registry.get("ben").id == "ben"


def test_the_caller_can_refuse_a_voice(registry: VoiceRegistry, folder: Path) -> None:
    held = registry.get("ann")
    save(folder / "ann", "ann", seed=1)

    def refuse(candidate: Voice) -> None:
        assert candidate.digest != held.digest
        raise UserError("it does not run here")

    assert registry.refresh(refuse) == []
    (change,) = registry.refresh(refuse)
    assert (change.kind, change.reason) == ("refused", "it does not run here")
    assert registry.get("ann") is held


def test_a_voice_is_prepared_before_it_is_served(registry: VoiceRegistry, folder: Path) -> None:
    held = registry.get("ann")
    save(folder / "ann", "ann", seed=1)
    seen = []
    registry.refresh(at_once=True, prepare=lambda _: seen.append(registry.get("ann")))
    assert seen == [held]
    assert registry.get("ann") is not held


def test_a_removed_voice_is_no_longer_listed(registry: VoiceRegistry, folder: Path) -> None:
    held = registry.get("ann")
    shutil.rmtree(folder / "ann")
    assert registry.refresh() == []
    (change,) = registry.refresh()
    assert (change.kind, change.id, change.old) == ("removed", "ann", held)
    assert registry.ids() == ["ben"]
    assert registry.get().id == "ben"
    with pytest.raises(NotFoundError):
        registry.get("ann")


def test_voices_are_kept_if_the_whole_folder_disappears(
    registry: VoiceRegistry, folder: Path
) -> None:
    folder.rename(folder.with_name("elsewhere"))
    assert kinds(registry) == []
    assert registry.ids() == ["ann", "ben"]


def test_two_folders_with_the_same_voice_id(registry: VoiceRegistry, folder: Path) -> None:
    held = registry.get("ann")
    save(folder / "second", "ann", seed=1)
    assert kinds(registry) == [("refused", "second")]
    assert registry.get("ann") is held
    # Once the first folder is removed, the second one can be loaded.
    shutil.rmtree(folder / "ann")
    assert kinds(registry) == [("replaced", "ann")]
    assert registry.get("ann").folder == folder / "second"
    assert registry.ids() == ["ben", "ann"]


def test_renaming_a_folder_does_not_change_the_voice(registry: VoiceRegistry, folder: Path) -> None:
    held = registry.get("ann")
    (folder / "ann").rename(folder / "zoe")
    assert kinds(registry) == []
    assert registry.get("ann") is held
    assert registry.ids() == ["ben", "ann"]


def test_a_folder_whose_voice_gets_another_id(registry: VoiceRegistry, folder: Path) -> None:
    registry.get("ann")
    save(folder / "ann", "amy", seed=1)
    assert kinds(registry) == [("removed", "ann"), ("loaded", "amy")]
    assert registry.ids() == ["amy", "ben"]
    save(folder / "ben", "bob")
    with pytest.raises(VoiceError, match="changed from ben to bob"):
        registry.get("ben")


def test_a_voice_that_changes_while_being_read_is_read_again(
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


def test_the_digest_covers_everything_that_affects_the_sound(folder: Path) -> None:
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


def test_voices_in_a_second_folder_come_after_those_in_the_first(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    more = tmp_path_factory.mktemp("aaa")
    save(more / "amy", "amy")
    registry = VoiceRegistry(folder, more=more)
    assert registry.ids() == ["ann", "ben", "amy"]  # Those in the first folder come first.
    save(folder / "zoe", "zoe")
    save(more / "abe", "abe")
    assert kinds(registry) == [("loaded", "zoe"), ("loaded", "abe")]
    assert registry.ids() == ["ann", "ben", "zoe", "abe", "amy"]
    assert registry.get("amy").id == "amy"


def test_the_same_id_in_both_folders_is_refused(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    more = tmp_path_factory.mktemp("more")
    registry = VoiceRegistry(folder, more=more)
    save(more / "other", "ann", seed=1)
    assert kinds(registry) == [("refused", "other")]
    assert registry.ids() == ["ann", "ben"]
    with pytest.raises(VoiceError, match="have the same id, ann"):
        VoiceRegistry(folder, more=more)


def test_voices_are_kept_if_the_second_folder_is_unmounted(
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
