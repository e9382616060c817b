"""Runs commands in this process."""

import sys
from pathlib import Path

import pytest
from commands import Result, Run

from vocoder.cli import app as cli


@pytest.fixture
def vocoder(
    voices: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run the command line in this process with the tiny voice."""

    def run(*arguments: object) -> Result:
        monkeypatch.setenv("VOCODER_VOICES_DIR", str(voices))
        monkeypatch.setattr(sys, "argv", ["vocoder", *map(str, arguments)])
        with pytest.raises(SystemExit) as exited:
            cli.main()
        return Result(int(exited.value.code or 0), *capsys.readouterr())

    return run
