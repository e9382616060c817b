"""The documentation is true: its code and commands run, or name the test that runs them."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import documents
import pytest
import typer
from documents import ROOT
from test_imports import LAYERS

import vocoder
from vocoder.cli import app as cli
from vocoder.config import ModelConfig
from vocoder.presets import PRESETS
from vocoder.server.app import build_app
from vocoder.server.settings import ServerSettings
from vocoder.training import config
from vocoder.voices.manifest import VoiceManifest

RECORDING = ROOT / "tests" / "assets" / "speech" / "slt_arctic_a0090.flac"
README_BYTES = 9000

RUN_HERE = ("vocoder voices", "vocoder speak", "vocoder analyze", "vocoder generate", "vocoder key")
"""Commands that a test below runs as they are written."""

TESTED_BY = {
    "curl": "tests/server/routes/test_documented_requests.py",
    "vocoder serve": "tests/server/workers/test_supervisor.py",
    "vocoder prepare": "tests/corpus/test_prepare.py",
    "vocoder shard": "tests/corpus/test_shards.py",
    "vocoder align": "tests/alignment/test_align.py",
    "vocoder train configs/arctic-speech.toml": "tests/training/test_acoustic.py",
    "vocoder train configs/recogniser.toml": "tests/training/test_recogniser.py",
    "vocoder train configs/pixel": "tests/training/test_pixel.py",
    "vocoder train": "tests/training/test_training.py",
    "vocoder compare": "tests/training/test_experiments.py",
    "vocoder pack": "tests/voices/test_export.py",
    "vocoder decompose": "tests/evaluation/test_decomposition.py",
    "vocoder evaluate": "tests/evaluation/test_evaluate.py",
    "vocoder recognise": "tests/training/test_recogniser.py",
    "vocoder bench": "tests/bench/test_speed.py",
    "torchrun": "tests/training/test_processes.py",
    "MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 vocoder train": (
        "tests/training/test_training.py"
    ),
    "python -m vocoder.bench.gpu": "tests/bench/test_gpu.py",
    "python -m vocoder.bench.streaming": "tests/bench/test_streaming.py",
    "python tools/load": "tests/server/test_load.py",
    "docker compose": "tests/deploy/test_files.py",
    "docker run": "tests/deploy/test_image.py",
    "serve run": "tests/deploy/test_ray.py",
}
"""Beginning of a command, and the test of what it does; the longest beginning counts."""

THE_SETUP_ITSELF = ("make serve", "make setup", "make test", "pip install .")
"""Commands that every run of the tests depends on."""


def covered(command: str) -> str | None:
    """What accounts for a command of the documentation; None where nothing does."""
    if command.startswith(RUN_HERE) or command in THE_SETUP_ITSELF:
        return __file__
    beginnings = [start for start in TESTED_BY if command.startswith(start)]
    return TESTED_BY[max(beginnings, key=len)] if beginnings else None


def test_the_python_example_runs(tmp_path: Path) -> None:
    for page in ("README.md", "api.md"):
        (code, *_) = (block.text for block in documents.blocks("python", page))
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        seconds, *chunks = done.stdout.splitlines()
        assert 3 < float(seconds.split()[0]) < 8
        assert 0.5 < sum(int(line.split()[0]) for line in chunks) / 16000 < 3


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= README_BYTES


def test_every_command_is_accounted_for() -> None:
    unknown = {page: text for text, page in documents.commands().items() if not covered(text)}
    assert not unknown
    for path in TESTED_BY.values():
        assert (ROOT / path).is_file(), path
    assert covered("vocoder nonsense") is None


def test_cheap_commands_run_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("book.txt").write_text("It was a dark night.")
    shutil.copy(RECORDING, "recording.wav")
    for command in documents.commands():
        if not command.startswith(RUN_HERE):
            continue
        arguments = shlex.split(command.replace("\\$", "$"))
        if ">>" in arguments:
            arguments = arguments[: arguments.index(">>")]
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code, command
    for name in ("speech.wav", "book.mp3", "words.json", "features.safetensors"):
        assert Path(name).stat().st_size > 100


def invocations() -> dict[str, str]:
    """Calls of ``vocoder`` in code blocks and in running text, with their page."""
    found = {c: page for c, page in documents.commands().items() if c.startswith("vocoder ")}
    for path in documents.PAGES:
        for text in re.findall(r"`(vocoder [a-z]+ [^`]*)`", path.read_text(encoding="utf-8")):
            found.setdefault(" ".join(text.split()), path.name)
    return found


def test_commands_and_their_options_exist() -> None:
    group: Any = typer.main.get_command(cli.app)
    for text, page in invocations().items():
        words = shlex.split(text)
        assert words[1] in group.commands, (page, text)
        known = {name for p in group.commands[words[1]].params for name in p.opts}
        given = {word.partition("=")[0] for word in words[2:] if word.startswith("--")}
        assert given <= known | {"--help"}, (page, text)


def test_settings_examples_are_valid(tmp_path: Path) -> None:
    (example,) = documents.blocks("toml", "configuration.md")
    file = tmp_path / "settings.toml"
    file.write_text(example.text)
    assert ServerSettings.load(settings_file=file).workers == 2
    (example,) = documents.blocks("toml", "models.md")
    model = tomllib.loads(example.text)["model"]
    base = PRESETS[model.pop("preset")].model_dump(mode="json")
    assert ModelConfig.parse(base | model, "models.md") == PRESETS["standard-context"]
    (example,) = documents.blocks("toml", "voices.md")
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    file = tmp_path / "configs" / "mine.toml"
    file.write_text(example.text)
    assert config.load(file).name == "mine"


def test_every_block_is_of_a_language_that_is_checked() -> None:
    pages = {"python": {"README.md", "api.md", "http.md", "pixel.md", "websocket.md"}}
    pages["toml"] = {"configuration.md", "models.md", "voices.md"}
    for block in documents.blocks():
        assert block.language in {"", "sh"} or block.page in pages[block.language], block
        assert block.language or block.page in {"architecture.md", "voices.md"}, block


def rows(page: str) -> list[list[str]]:
    """Cells of every table of a page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [line[1:-1].split("|") for line in text.splitlines() if line.startswith("|")]


def test_every_setting_is_described_with_its_default() -> None:
    described = {}
    for names, value, *_ in (row for row in rows("configuration.md") if len(row) > 2):
        settings = re.findall(r"`(\w+)`", names)
        described.update(zip(settings, (v.strip() for v in value.split(", ")), strict=False))
    fields = ServerSettings.model_fields
    assert described.keys() == fields.keys() - {"settings_file"}
    for name, text in described.items():
        default = fields[name].default
        if isinstance(default, bool):
            assert text == str(default).lower(), name
        elif isinstance(default, int | float):
            assert float(text) == default, name
        elif isinstance(default, str):
            assert text == default, name


def test_every_key_of_a_voice_is_described() -> None:
    described = {name for row in rows("voices.md") for name in re.findall(r"`(\w+)`", row[0])}
    assert VoiceManifest.model_fields.keys() <= described


def test_every_path_of_the_server_is_listed() -> None:
    listed = {name for row in rows("http.md") for name in re.findall(r"`([A-Z]+ /\S*)`", row[0])}
    for path, methods in build_app().openapi()["paths"].items():
        if path != "/v1/models/{model}":
            assert {f"{method.upper()} {path}" for method in methods} <= listed


def test_the_layers_are_those_of_the_import_test() -> None:
    listed = [
        {name.strip() for name in row[1].split(",")}
        for row in rows("architecture.md")
        if row[0].strip().isdecimal()
    ]
    assert listed == [layer for layer in LAYERS if layer != {"__main__"}]


def test_files_that_the_documentation_names_exist() -> None:
    pattern = r"`((?:vocoder|server|tests|configs|tools|deploy|docs|checkpoints)/[\w./-]+\.\w+)`"
    for path in documents.PAGES:
        if path.name == "CHANGELOG.md":
            continue
        for name in re.findall(pattern, path.read_text(encoding="utf-8")):
            assert (ROOT / name).exists() or "NAME" in name, (path.name, name)


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
