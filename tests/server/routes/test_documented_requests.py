"""The requests of README and docs, run as they are written against the shipped voice."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import documents
import pytest
import soundfile
from documents import Block
from serving import live

from vocoder.server.app import build_app

ADDRESS = "127.0.0.1:8000"
PROGRAMS = [block for block in documents.blocks("python") if ADDRESS in block.text]
CURL = [command for command in documents.commands() if command.startswith("curl")]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOCODER_VOICES_DIR", str(documents.ROOT / "checkpoints"))
        patch.setenv("VOCODER_MAX_STREAMS", "4")  # Not measured, which would take a while.
        app = build_app()
    with live(app) as port:
        yield f"127.0.0.1:{port}"


def test_there_are_programs_and_commands() -> None:
    assert len(PROGRAMS) >= 4
    assert len(CURL) >= 2


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda block: block.page)
def test_programs_run(
    program: Block, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(program.text.replace(ADDRESS, address), names)
    if "client" in names:
        names["client"].close()
    (file,) = tmp_path.iterdir()
    if file.suffix == ".pcm":
        assert file.stat().st_size > 16000
    else:
        assert soundfile.info(file).duration > 0.5


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("command", CURL)
def test_curl_commands_run(command: str, address: str, tmp_path: Path) -> None:
    (tmp_path / "tests").symlink_to(documents.ROOT / "tests")
    line = command.replace(ADDRESS, address).replace("curl ", "curl --fail --silent ", 1)
    subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True)
    assert soundfile.info(tmp_path / "speech.wav").duration > 0.5
