"""The command pack."""

from pathlib import Path

from commands import Run, assert_rejected


def test_pack_writes_a_new_voice_folder(vocoder: Run, voices: Path, tmp_path: Path) -> None:
    result = vocoder("pack", voices / "tiny", "-o", tmp_path / "mine", "--name", "Mine")
    assert result.code == 0
    assert "voice mine" in result.out
    assert "reads text" in result.out
    spoken = vocoder(
        *("speak", "Yes.", "--voices-dir", tmp_path, "--voice", "mine", "-o", tmp_path / "yes.wav")
    )
    assert spoken.code == 0
    again = vocoder("pack", voices / "tiny", "-o", tmp_path / "mine")
    assert_rejected(again, "already exists")
