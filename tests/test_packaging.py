"""What the wheel contains and needs; `make wheel-test` builds and installs one (test_wheel.py)."""

import ast
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from vocoder.cli.options import DEFAULT_VOICES
from vocoder.server.settings import ServerSettings
from vocoder.voices.shipped import shipped_voices

ROOT = Path(__file__).parent.parent
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES: dict[str, str] = PYPROJECT["tool"]["scikit-build"]["wheel"]["packages"]

OPTIONAL = {"pocketsphinx", "ray", "wavenet_vocoder"}
"""Of an extra, or a peer to compare with: `vocoder` runs without them."""

BROUGHT = {"pydantic_core": "pydantic", "starlette": "fastapi", "triton": "torch"}
"""Modules of a dependency's own dependencies, by that dependency."""


def laid_out(folder: Path) -> Path:
    """The wheel's files but the compiled one, laid out as `pyproject.toml` says."""
    for target, source in PACKAGES.items():
        ignored = shutil.ignore_patterns("__pycache__", "csrc", "server", "*.so")
        shutil.copytree(ROOT / source, folder / target, ignore=ignored)
    return folder


def imported(path: Path, *, only_at_import: bool = False) -> set[str]:
    """Top-level names of the modules that a file imports."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if only_at_import else list(ast.walk(tree))
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def dependencies() -> set[str]:
    """Normalised names of the distributions that the package declares."""
    names = (re.match(r"[\w.-]+", line) for line in PYPROJECT["project"]["dependencies"])
    return {re.sub(r"[-_.]+", "-", name[0]).lower() for name in names if name}


def test_everything_is_installed_below_one_package(tmp_path: Path) -> None:
    laid_out(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["vocoder"]
    for name in ("py.typed", "server/app.py", "server/web/index.html", "api.py"):
        assert (tmp_path / "vocoder" / name).is_file(), name


def test_an_installed_package_finds_its_own_voices(tmp_path: Path) -> None:
    package = laid_out(tmp_path / "site-packages") / "vocoder"
    found = runpy.run_path(str(package / "voices" / "shipped.py"))["shipped_voices"]()
    assert found == package / "checkpoints"
    assert (found / "arctic" / "voice.json").is_file()


def test_a_checkout_finds_the_voices_of_the_repository() -> None:
    assert shipped_voices() == ROOT / "checkpoints"


def test_the_shipped_voices_are_the_default_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ServerSettings().voices_dir == DEFAULT_VOICES == shipped_voices()
    assert (DEFAULT_VOICES / "arctic" / "voice.json").is_file()


def test_every_import_is_of_a_declared_dependency() -> None:
    distributions = metadata.packages_distributions()
    declared, missing = dependencies(), set()
    for package in ("vocoder", "server"):
        for path in (ROOT / package).rglob("*.py"):
            for name in imported(path) - sys.stdlib_module_names - {"vocoder"} - OPTIONAL:
                owners = [BROUGHT.get(name), *distributions.get(name, [])]
                known = {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners if owner}
                if not known & declared:
                    missing.add(f"{path.relative_to(ROOT)} imports {name}")
    assert not missing


def test_optional_dependencies_are_imported_when_used() -> None:
    for package in ("vocoder", "server"):
        for path in (ROOT / package).rglob("*.py"):
            # Only Ray itself imports this one.
            if path.name != "ray_serve.py":
                assert not imported(path, only_at_import=True) & OPTIONAL, path


def test_importing_the_package_and_its_defaults_is_light() -> None:
    code = (
        "import sys, vocoder, vocoder.voices.shipped; assert 'load' in dir(vocoder); "
        "heavy = {'torch', 'numpy', 'pydantic', 'librosa'} & sys.modules.keys(); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
