"""The sample loop compiled on its own: instruction sets against each other, NEON under emulation.

The tests compile and run ``loop.cpp``, which prints the numbers that they compare.
"""

import math
import os
import platform
import shutil
import subprocess
from itertools import product
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SOURCES = ROOT / "vocoder" / "native" / "csrc"

# Few optimisations, for a short build; multiply-adds fuse, as in the installed module.
OPTIMISATION = "-O1 -fexpensive-optimizations"
X86 = platform.machine().lower() in ("x86_64", "amd64")

NETWORKS = ("mu_law", "odd", "long_prediction", "contexts", "gaussian")
FORMATS = ("fp32", "bf16", "int8")
ROWS = ("0", "1", "2")
CHUNK = "37"

# Parameters are of order 1. Only the summation order and the fused multiply-adds differ. In int8
# this can change an activation by one of its 255 steps, which shows in the second decimal.
TOLERANCES = {"fp32": 1e-5, "bf16": 3e-5, "int8": 5e-2}
# These round activations to bf16; the others do not.
ROUNDING_SETS = {"amx", "avx512_dot"}
ROUNDED = 5e-2

Numbers = dict[tuple[str, str, str], list[float]]
"""Parameters of each network, format and row."""


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def needed(*programs: str) -> str:
    """The first of these programs that is installed; skips the test if there is none."""
    for name in programs:
        if found := shutil.which(name):
            return found
    pytest.skip(f"needs {' or '.join(programs)}, which is not installed")


def host_compiler() -> str:
    return needed(*filter(None, [os.environ.get("CXX")]), "c++", "g++", "clang++")


def build(folder: Path, compiler: str, *options: str) -> Path:
    cmake = needed("cmake")
    flags = f"-DCMAKE_CXX_FLAGS={OPTIMISATION}"
    run(cmake, "-S", HERE, "-B", folder, f"-DCMAKE_CXX_COMPILER={compiler}", flags, *options)
    run(cmake, "--build", folder)
    return folder / "loop"


@pytest.fixture(scope="session")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program for this machine."""
    if platform.system() != "Linux":
        pytest.skip("counting allocations needs the --wrap of Linux's linkers")
    return build(tmp_path_factory.mktemp("loop"), host_compiler())


@pytest.fixture(scope="session")
def neon_loop(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The emulator, and the program for aarch64."""
    compiler, emulator = needed("aarch64-linux-gnu-g++"), needed("qemu-aarch64")
    system = ("-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64")
    folder = tmp_path_factory.mktemp("neon")
    return emulator, build(folder, compiler, *system, "-DCMAKE_EXE_LINKER_FLAGS=-static")


def read(text: str) -> dict[str, Numbers]:
    """Parse the output of ``loop numbers``, by instruction set, the best first."""
    found: dict[str, Numbers] = {}
    for line in text.splitlines():
        network, instructions, weights, row, *values = line.split()
        found.setdefault(instructions, {})[network, weights, row] = [float(v) for v in values]
    return found


def assert_agree(found: Numbers, expected: Numbers, sets: set[str]) -> None:
    """Fail unless both have all rows with equally many, meaningful numbers that agree."""
    assert found.keys() == expected.keys() == set(product(NETWORKS, FORMATS, ROWS))
    for key, values in expected.items():
        assert len(found[key]) == len(values) >= 36, key
        assert all(map(math.isfinite, found[key] + values)), key
        assert max(map(abs, values)) > 0.3, f"{key}: only small numbers"
        assert len(set(values)) > len(values) / 2, f"{key}: too many repeated numbers"
        rounded = key[1] == "bf16" and sets & ROUNDING_SETS
        limit = ROUNDED if rounded else TOLERANCES[key[1]]
        most = max(abs(a - b) for a, b in zip(found[key], values, strict=True))
        assert most <= limit, f"{sets}, {key}: differs by {most:.3g}, limit {limit:.3g}"


def allocations(loop: Path, chunk: str) -> dict[tuple[str, ...], tuple[int, int]]:
    """Allocations of each network, instruction set and format in 10 samples and in 1000."""
    lines = [line.split() for line in run(loop, "allocations", chunk).splitlines()]
    assert {(line[0], line[2]) for line in lines} == set(product(NETWORKS, FORMATS))
    return {tuple(line[:3]): (int(line[3]), int(line[4])) for line in lines}


def test_a_step_allocates_nothing(loop: Path) -> None:
    for key, (few, many) in allocations(loop, chunk="0").items():
        assert few == many, key


def test_allocations_are_counted(loop: Path) -> None:
    """Calls of one sample allocate their working memory every time."""
    for key, (few, many) in allocations(loop, chunk="1").items():
        assert few >= 10, key
        assert many == 100 * few, key


def test_instruction_sets_agree(loop: Path) -> None:
    first, *others = (sets := read(run(loop, "numbers", "0")))
    if not others:
        pytest.skip(f"this processor has only {first}")
    for other in others:
        assert_agree(sets[other], sets[first], {other, first})


def test_a_planted_difference_is_caught(loop: Path) -> None:
    first, numbers = next(iter(read(run(loop, "numbers", "0")).items()))
    assert_agree(numbers, numbers, {first})
    for key, values in numbers.items():
        limit = ROUNDED if key[1] == "bf16" else TOLERANCES[key[1]]
        faults = {
            "differs by": [*values[:-1], values[-1] + 1.1 * limit],
            str(key[0]): [*values[:-1], math.nan],
        }
        for message, fault in faults.items():
            with pytest.raises(AssertionError, match=message):
                assert_agree({**numbers, key: fault}, numbers, {first})
        with pytest.raises(AssertionError, match=key[0]):
            assert_agree({**numbers, key: values[:-1]}, numbers, {first})
        silent = {**numbers, key: [0.0] * len(values)}
        with pytest.raises(AssertionError, match="small numbers"):
            assert_agree(silent, silent, {first})
        fewer = {other: values for other, values in numbers.items() if other != key}
        with pytest.raises(AssertionError):
            assert_agree(fewer, fewer, {first})


def test_numbers_do_not_depend_on_chunks(loop: Path) -> None:
    assert run(loop, "numbers", CHUNK) == run(loop, "numbers", "0")


def test_neon_agrees_with_sse2(loop: Path, neon_loop: tuple[str, Path]) -> None:
    if not X86:
        pytest.skip("compares with SSE2: this is not an x86 processor")
    text = run(*neon_loop, "numbers", "0")
    numbers = read(text)
    assert list(numbers) == ["neon"]
    assert_agree(numbers["neon"], read(run(loop, "numbers", "0"))["baseline"], {"neon", "baseline"})
    assert run(*neon_loop, "numbers", CHUNK) == text, "depends on chunks"


def shared_functions(compiled: Path, instructions: str) -> list[str]:
    """Functions that the linker may merge between this object and another.

    If it kept this object's copy, processors without the instruction set would execute it.
    Functions in the object's own namespace are unique. Weak data (V, u) are harmless.
    """
    lines = run(needed("nm"), "-C", "--defined-only", compiled).splitlines()
    weak = [line.split(maxsplit=2)[2] for line in lines if line.split()[1] == "W"]
    return [name for name in weak if f"vocoder::{instructions}::" not in name]


def built_by_test(loop: Path) -> list[Path]:
    return sorted(loop.parent.rglob("isa_*.o"))


def installed() -> list[Path]:
    """The object files of the installed module, from its build tree."""
    objects = sorted(ROOT.glob("build/cp*/CMakeFiles/_native.dir/**/isa_*.o"))
    if not objects:
        pytest.skip("no build tree of the installed module: make setup leaves one")
    for compiled in objects:
        source = SOURCES / compiled.stem
        names = run(host_compiler(), "-std=c++20", "-MM", source).replace("\\\n", " ").split()[1:]
        newer = [n for n in names if Path(n).stat().st_mtime > compiled.stat().st_mtime]
        if newer:
            pytest.skip(f"the installed module is older than {newer[0]}: make setup")
    return objects


@pytest.mark.skipif(not X86, reason="other processors have one instruction set")
@pytest.mark.parametrize("optimised", ["as built here", "as installed"])
def test_instruction_sets_share_no_code(loop: Path, optimised: str) -> None:
    objects = installed() if optimised == "as installed" else built_by_test(loop)
    assert len({compiled.name for compiled in objects}) == len(list(SOURCES.glob("isa_*.cpp")))
    for compiled in objects:
        instructions = compiled.name.split(".")[0].removeprefix("isa_")
        assert f"vocoder::advance_{instructions}(" in run(needed("nm"), "-C", compiled)
        assert shared_functions(compiled, instructions) == [], compiled


def test_shared_code_is_caught(tmp_path: Path) -> None:
    """Without optimisation, an inline function outside the object's own namespace is emitted."""
    source = tmp_path / "isa_planted.cpp"
    source.write_text(
        "namespace vocoder { inline int twice(int n) { return 2 * n; } }\n"
        "int f(int n) { return vocoder::twice(n); }\n"
    )
    compiled = source.with_suffix(".o")
    run(host_compiler(), "-std=c++20", "-O0", "-c", source, "-o", compiled)
    assert shared_functions(compiled, "planted") == ["vocoder::twice(int)"]
