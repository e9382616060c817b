"""The sample loop's kernel with a fault planted in it."""

import importlib.util
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from vocoder.generation.cuda import kernels

_count = itertools.count()


def altered(module: str, change: Callable[[str], str], folder: Path) -> ModuleType:
    """``kernels``, with the source of one of ``kernels`` and ``contexts`` changed."""
    kernel = Path(kernels.__file__)
    source = kernel.read_text()
    if module == "kernels":
        return _load(f"altered_{next(_count)}", change(source), folder)
    other = f"altered_{next(_count)}"
    _load(other, change(kernel.with_name(f"{module}.py").read_text()), folder)
    whole = f"vocoder.generation.cuda.{module} import"
    assert source.count(whole) == 1
    return _load(f"altered_{next(_count)}", source.replace(whole, f"{other} import"), folder)


def _load(name: str, source: str, folder: Path) -> ModuleType:
    path = folder / f"{name}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
