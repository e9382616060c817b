"""Triton without a C compiler: its host modules, compiled ahead of time.

Triton calls the GPU driver through a C module, and each kernel through a C launcher. It compiles
both on first use. A container image without a compiler ships them instead:
``python -m vocoder.generation.cuda.modules FOLDER`` compiles every module that this engine can
need, on a machine with a compiler and Python's headers, and ``VOCODER_TRITON_MODULES`` names that
folder at run time. A module is named by the SHA-256 of its source, so that a different Triton
version never loads a wrong one.
"""

import hashlib
import importlib.util
import itertools
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from vocoder import files
from vocoder.config import ContextConfig, GaussianConfig, LinearPredictionConfig, ModelConfig
from vocoder.errors import EngineError
from vocoder.presets import PRESETS
from vocoder.progress import track

FOLDER_VARIABLE = "VOCODER_TRITON_MODULES"

DRIVER = "libcuda.so.1"
"""The GPU driver's library. Modules link to it by name; it may be missing at build time."""

MOST_CONTEXTS = 3
"""Largest number of context stacks for which launchers are built."""


def obstacle() -> str | None:
    """Why Triton cannot run without a compiler here; None if it can."""
    if _compiler() or os.environ.get(FOLDER_VARIABLE):
        return None
    return (
        "Triton needs a C compiler (gcc, clang, or the one named by CC), or prebuilt modules in "
        f"the folder named by {FOLDER_VARIABLE}"
    )


def use_prebuilt() -> None:
    """Make Triton load prebuilt modules if there is no compiler."""
    if _compiler() or not os.environ.get(FOLDER_VARIABLE):
        return
    from triton import knobs

    knobs.build.impl = _find


def build(folder: Path) -> list[Path]:
    """Compile every module into a folder; existing ones are left as they are.

    Raises:
        EngineError: there is no compiler.
    """
    compiler = _compiler()
    if compiler is None:
        raise EngineError("no C compiler: install gcc or clang, or set CC")
    sources = list(dict.fromkeys(_sources()))
    made = []
    with tempfile.TemporaryDirectory() as temporary:
        driver = Path(temporary) / DRIVER
        soname = f"-Wl,-soname,{DRIVER}"
        _run([compiler, "-shared", "-x", "c", os.devnull, soname, "-o", str(driver)])
        for source in track(sources, "modules", len(sources)):
            path = folder / _name(source)
            made.append(path)
            if not path.is_file():
                given = Path(temporary) / "module.c"
                given.write_text(source)
                with files.replacing(path) as output:
                    _run([*_command(compiler, given), str(driver), "-o", str(output)])
    return made


def _sources() -> Iterator[str]:
    """The C sources that Triton generates for this engine."""
    from triton.backends.nvidia import driver

    from vocoder.generation.cuda import gates, kernels, signatures

    yield Path(driver.dirname, "driver.c").read_text()
    shape, _ = signatures.of_project(PRESETS["tiny"], gates.project.arg_names)
    yield _launcher(shape)
    names = kernels.generate.arg_names
    for config, traced in itertools.product(_kinds(), (False, True)):
        shape, _ = signatures.of_generate(config, names, traced=traced)
        yield _launcher(shape)


def _launcher(signature: Mapping[str, object]) -> str:
    from triton.backends.nvidia.driver import make_launcher

    source: str = make_launcher({}, signature, None)  # The constants' values do not matter.
    return source


def _kinds() -> Iterator[ModelConfig]:
    """One model of each kind that needs its own launcher."""
    stacks = PRESETS["standard-context"].contexts
    predictions = (None, LinearPredictionConfig(order=16))
    for count, prediction in itertools.product(range(MOST_CONTEXTS + 1), predictions):
        contexts: tuple[ContextConfig, ...] = (stacks * MOST_CONTEXTS)[:count]
        for distribution in (PRESETS["tiny"].distribution, GaussianConfig()):
            yield PRESETS["tiny"].model_copy(
                update={
                    "contexts": contexts,
                    "linear_prediction": prediction,
                    "distribution": distribution,
                }
            )


def _command(compiler: str, source: Path) -> list[str]:
    from triton.backends.nvidia import driver

    includes = [*driver.include_dirs, sysconfig.get_path("include")]
    flags = ["-O3", "-shared", "-fPIC", "-Wno-psabi", "-Wl,--no-as-needed"]
    return [compiler, *flags, *(f"-I{folder}" for folder in includes), str(source)]


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True)


def _compiler() -> str | None:
    return os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")


def _name(source: str) -> str:
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    return f"{hashlib.sha256(source.encode()).hexdigest()}{suffix}"


def _find(name: str, source: str, *_: object) -> str:
    """Stand in for Triton's builder: the path of the module compiled from a source file."""
    path = Path(os.environ[FOLDER_VARIABLE]) / _name(Path(source).read_text())
    if not path.is_file():
        raise EngineError(
            f"Triton's module {name} is not in {path.parent} ({FOLDER_VARIABLE}): build the "
            "modules with this version of Triton, or install a C compiler"
        )
    return str(path)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m vocoder.generation.cuda.modules FOLDER")
    if importlib.util.find_spec("triton") is None:
        print("no modules: Triton is not installed")
    else:
        print(f"{len(build(Path(sys.argv[1])))} modules in {sys.argv[1]}")
