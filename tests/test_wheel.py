"""The wheel, built from the sdist and installed into a fresh environment: `make wheel-test`.

`VOCODER_TEST_WHEEL` names a wheel that is already built. The dependencies are those of the
environment that runs the tests.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WHEEL_VARIABLE = "VOCODER_TEST_WHEEL"
LARGEST_BYTES = 20e6
PROGRAM = """
import vocoder
from vocoder import UserError

voice = vocoder.load("arctic")
samples = voice.speak("Hello.", speaker="slt", seed=1)
loudest: float = max(abs(float(samples.min())), float(samples.max()))
for chunk in voice.stream("Hello.", lexicon={"GIF": "dʒɪf"}):
    part: vocoder.AudioChunk = chunk
    length: int = len(part.samples)
features: vocoder.Features = voice.analyze("in.wav")
try:
    voice.save("out.wav", voice.vocode(features))
except UserError as error:
    print(error)
"""
OFFLINE = 'ip link set lo up && exec "$0" "$@"'

pytestmark = pytest.mark.wheel


def run(*command: object, cwd: Path | None = None) -> str:
    """What a command prints."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from an sdist as `python -m build` does."""
    if given := os.environ.get(WHEEL_VARIABLE):
        return Path(given)
    folder = tmp_path_factory.mktemp("build")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "build")
    run(python, "-m", "build", "--outdir", folder / "dist", ROOT)
    assert list((folder / "dist").glob("vocoder-*.tar.gz"))
    (found,) = (folder / "dist").glob("vocoder-*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a fresh environment with the wheel, which borrows the dependencies."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel)
    packages = Path(run(python, "-c", "import site; print(site.getsitepackages()[0])").strip())
    (packages / "dependencies.pth").write_text(_dependencies())
    return python


def _dependencies() -> str:
    """Folder of this environment's packages. An editable install's own hook is not run from it."""
    installed = sysconfig.get_path("purelib")
    borrowed = {str(Path(path).resolve()) for path in sys.path if path.endswith("site-packages")}
    return "\n".join(sorted(borrowed | {installed})) + "\n"


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"vocoder"}
    for needed in (
        "vocoder/py.typed",
        "vocoder/server/web/index.html",
        "vocoder/checkpoints/arctic/acoustic.safetensors",
        "vocoder/checkpoints/arctic-light/vocoder.safetensors",
    ):
        assert needed in names
    assert any(name.startswith("vocoder/native/_native.") for name in names)
    assert sum(name.endswith("acoustic.safetensors") for name in names) == 1
    assert not any("/csrc/" in name for name in names)
    assert wheel.stat().st_size < LARGEST_BYTES


def test_it_speaks_wherever_it_is_installed(python: Path, tmp_path: Path) -> None:
    command: list[object] = [python, ROOT / "tests" / "installed.py"]
    isolated = ["unshare", "--net", "sh", "-c", OFFLINE]
    offline = (
        shutil.which("ip") is not None
        and shutil.which("unshare") is not None
        and subprocess.run([*isolated, "true"], capture_output=True, check=False).returncode == 0
    )
    if offline:
        printed = run(*isolated, *command, 8000, cwd=tmp_path)
    else:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        printed = run(*command, port, cwd=tmp_path)
    found = json.loads(printed.splitlines()[-1])
    print(json.dumps(found | {"offline": offline}, indent=1, ensure_ascii=False))
    package, dtype, length, rate = found["python"].split()
    assert Path(package).is_relative_to(python.parent.parent)
    assert (dtype, rate) == ("float32", "16000")
    assert "arctic-light" in found["voices"]
    assert "cpu engine" in found["speak"]
    assert found["page"] == "<!doctype html>"
    sounds = [(tmp_path / f"{name}.wav").read_bytes() for name in ("python", "command", "server")]
    assert sounds[0] == sounds[1] == sounds[2]
    assert len(sounds[0]) == 44 + 2 * int(length)


def test_a_program_that_uses_it_passes_a_strict_type_check(python: Path, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    check = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "program.py"]
    assert "no issues" in run(*check, "--python-executable", python, cwd=tmp_path)
    (tmp_path / "program.py").write_text(PROGRAM + "voice.speek('Hello.')\n")
    again = subprocess.run(
        [*check, "--python-executable", str(python)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert '"LoadedVoice" has no attribute "speek"' in again.stdout
