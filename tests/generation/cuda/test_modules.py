"""Triton's host modules, compiled ahead of time: all that are asked for are there, and load."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

from vocoder.errors import EngineError
from vocoder.generation.cuda import modules

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return modules.build(tmp_path_factory.mktemp("modules"))


def test_every_launch_finds_its_modules(built: list[Path], tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    program = Path(__file__).with_name("launching.py")
    done = subprocess.run(
        [sys.executable, "-P", program], env=environment, check=True, capture_output=True, text=True
    )
    asked = set(done.stdout.split())
    assert len(asked) == 9  # Two kernels; the one that generates in four kinds, each traced or not.
    assert asked <= {path.name for path in built}


def test_they_load(built: list[Path], tmp_path: Path) -> None:
    # With a driver that has what they link to, and does nothing.
    symbols = set()
    for path in built:
        listed = subprocess.run(
            ["nm", "-D", "-u", path], check=True, capture_output=True, text=True
        )
        symbols |= set(re.findall(r"U (cu\w+)", listed.stdout))
    assert "cuModuleLoadData" in symbols
    source = tmp_path / "driver.c"
    source.write_text("".join(f"int {name}(void) {{ return 1; }}\n" for name in symbols))
    driver = tmp_path / modules.DRIVER
    subprocess.run(["gcc", "-shared", "-fPIC", source, "-o", driver], check=True)
    code = (
        "import sys, importlib.util as u\n"
        "for path in sys.argv[1:]:\n"
        "    name = 'cuda_utils' if b'load_binary' in open(path, 'rb').read() "
        "else '__triton_launcher'\n"
        "    spec = u.spec_from_file_location(name, path)\n"
        "    spec.loader.exec_module(u.module_from_spec(spec))\n"
    )
    environment = os.environ | {"LD_LIBRARY_PATH": str(tmp_path)}
    command = [sys.executable, "-c", code, *map(str, built)]
    assert subprocess.run(command, env=environment, timeout=120).returncode == 0
    for path in built:  # And they ask for the real one by its name.
        listed = subprocess.run(["readelf", "-d", path], check=True, capture_output=True, text=True)
        assert f"[{modules.DRIVER}]" in listed.stdout


def test_triton_takes_them_where_there_is_no_compiler(
    built: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import triton

    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(modules.FOLDER_VARIABLE, raising=False)
    assert "C compiler" in str(modules.obstacle())
    with pytest.raises(EngineError, match="no C compiler"):
        modules.build(tmp_path)

    monkeypatch.setenv(modules.FOLDER_VARIABLE, str(built[0].parent))
    assert modules.obstacle() is None
    monkeypatch.setattr(triton.knobs.build, "impl", None)
    modules.use_prebuilt()
    source = tmp_path / "driver.c"
    source.write_text(next(modules._sources()))
    find = triton.knobs.build.impl
    assert find("cuda_utils", str(source), "", [], [], []) == str(built[0])
    source.write_text("another")
    with pytest.raises(EngineError, match="build the modules with this version"):
        find("cuda_utils", str(source), "", [], [], [])


def test_a_compiler_goes_first(built: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    import triton

    monkeypatch.setenv(modules.FOLDER_VARIABLE, str(built[0].parent))
    monkeypatch.setattr(triton.knobs.build, "impl", None)
    modules.use_prebuilt()
    assert triton.knobs.build.impl is None
