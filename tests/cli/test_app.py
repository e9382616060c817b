"""The command line as a whole: its help, usage errors and exit codes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from commands import Result, Run, assert_rejected

from vocoder import __version__
from vocoder.cli import app as cli
from vocoder.cli.options import DEFAULT_VOICES


def test_version(vocoder: Run) -> None:
    assert vocoder("--version") == Result(0, f"vocoder {__version__}\n", "")


def test_no_command_prints_the_help_and_exits_2(vocoder: Run) -> None:
    result = vocoder()
    assert result.code == 2
    for command in ("speak", "serve", "train", "evaluate"):
        assert command in result.out


def test_every_command_and_option_has_help() -> None:
    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    assert len(commands) == len(cli.COMMANDS)
    for name, command in commands.items():
        for text in (command.help, *(parameter.help for parameter in command.params)):
            assert re.fullmatch(r"[^\n]+\.", text or ""), f"{name}: {text}"


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("sing",), "no such command 'sing'", "vocoder --help"),
        (("speak",), "missing argument 'TEXT|FILE|-'", "vocoder speak --help"),
        (("bench", "--song"), "no such option: --song", "vocoder bench --help"),
        (("bench", "--streams", "0"), "invalid value for '--streams'", "vocoder bench --help"),
        (("align", "c", "--steps", "x"), "invalid value for '--steps'", "vocoder align --help"),
    ],
)
def test_usage_errors_are_one_line(
    vocoder: Run, arguments: tuple[str, ...], message: str, hint: str
) -> None:
    result = vocoder(*arguments)
    assert_rejected(result, f"vocoder: {message}")
    assert result.err.endswith(f" (see {hint})\n")


def test_the_process_exits_2_with_one_line(voices: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from vocoder.cli import main; main()"]
    result = subprocess.run(
        [*command, "generate", tmp_path / "none", "-o", tmp_path / "o.wav"],
        capture_output=True,
        text=True,
        env=os.environ | {"VOCODER_VOICES_DIR": str(voices)},
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.endswith("none: no such file\n")
    assert len(result.stderr.splitlines()) == 1


def test_the_default_voices_are_the_shipped_ones() -> None:
    assert (DEFAULT_VOICES / "arctic" / "voice.json").is_file()
