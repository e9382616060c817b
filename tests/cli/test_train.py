"""The commands prepare and train."""

from pathlib import Path

from commands import Run, assert_rejected


def test_train_rejects_an_unknown_configuration_key(vocoder: Run, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("name='x'\ncorpus='c'\noutput='o'\nsteps=1000\nspeed=3\n[model]\npreset='tiny'")
    assert_rejected(vocoder("train", path), "speed: unknown key")
    assert not (tmp_path / "o").exists()


def test_prepare_rejects_a_folder_without_a_corpus(vocoder: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = vocoder("prepare", tmp_path / "empty", "-o", tmp_path / "out")
    assert_rejected(result, "empty")
