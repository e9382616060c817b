"""What the README and the changelog say is so."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import vocoder
from vocoder.cli import app as cli
from vocoder.training import config

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_five_lines_run() -> None:
    code = blocks("python")[0]
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].endswith(
        "Doctor Smith paid three dollars and fifty cents on January third, twenty twenty one."
    )
    seconds = sum(int(line.split()[0]) for line in lines) / 16000
    assert 3 < seconds < 8


def test_every_command_of_the_readme_exists_and_files_it_names_are_there() -> None:
    commands = {command.callback.__name__ for command in cli.app.registered_commands}
    named = [line for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines()]
    for line in named:
        words = shlex.split(line, comments=True)
        if words and words[0] == "vocoder":
            assert words[1] in commands
        for path in re.findall(r"(?:tests|configs)/[\w/.-]+", line):
            assert (ROOT / path).is_file(), path


def test_the_shipped_configurations_load() -> None:
    for path in (ROOT / "configs").rglob("*.toml"):
        config.load(path)


def test_version_and_changelog_agree() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    released = [heading for heading in headings if heading != "Unreleased"]
    assert released[0] == vocoder.__version__
    assert "Unreleased" not in headings[1:]


def test_nothing_in_the_project_names_a_registry() -> None:
    assert "://" not in (ROOT / "constraints.txt").read_text()
    tomllib.loads((ROOT / "pyproject.toml").read_text())
