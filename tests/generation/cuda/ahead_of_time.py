"""Compiles the kernel for GPUs that need not be there; a program, because Triton's interpreter,
once chosen, is there for the life of a process.

Arguments: a folder for the results, then cases as JSON objects; see :class:`Case`.
"""

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import triton
from planted_faults import altered
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from vocoder.config import GaussianConfig, LinearPredictionConfig, LogisticsConfig
from vocoder.generation.cuda import gates, kernels, signatures
from vocoder.generation.cuda.engine import LAUNCH
from vocoder.generation.cuda.signatures import Type
from vocoder.presets import PRESETS

CONFIGS = {
    **PRESETS,
    "linear_prediction": PRESETS["standard"].model_copy(
        update={
            "distribution": LogisticsConfig(),
            "linear_prediction": LinearPredictionConfig(order=320),
        }
    ),
    "contexts": PRESETS["tiny"].model_copy(
        update={
            "contexts": PRESETS["standard-context"].contexts,
            "distribution": GaussianConfig(),
        }
    ),
}
BARRIER = "tl.debug_barrier()"


@dataclasses.dataclass
class Case:
    """What to compile: of the barriers in the source of a module, the one named is left out."""

    config: str
    capability: int
    weights: str = "bf16"
    traced: bool = False
    seeded: bool = True
    without_barrier: int | None = None
    of: str = "kernels"

    @property
    def name(self) -> str:
        return "-".join(str(part) for part in dataclasses.astuple(self))


def build(case: Case, folder: Path) -> None:
    config = CONFIGS[case.config]
    kernel = kernel_of(case, folder).generate
    signature, constants = signatures.of_generate(
        config, kernel.arg_names, weights=case.weights, traced=case.traced, seeded=case.seeded
    )
    aligned = [
        place
        for i, (name, type_) in enumerate(signature.items())
        if name not in kernels.UNALIGNED
        for place, part in parts((i,), type_)
        if part.startswith("*") or name in ("ring_row", "context_state")
    ]
    source = ASTSource(
        fn=kernel,
        signature=signature,
        constexprs=constants,
        attrs={place: [["tt.divisibility", 16]] for place in aligned},
    )
    target = GPUTarget("cuda", case.capability, 32)
    compiled = triton.compile(source, target=target, options=LAUNCH)
    report = {"shared_bytes": compiled.metadata.shared}
    (folder / f"{case.name}.json").write_text(json.dumps(report))
    (folder / f"{case.name}.ttgir").write_text(compiled.asm["ttgir"])
    (folder / f"{case.name}.ptx").write_text(compiled.asm["ptx"])
    (folder / f"{case.name}.cubin").write_bytes(compiled.asm["cubin"])


def build_gates(case: Case, folder: Path) -> None:
    kernel = gates.project
    signature, constants = signatures.of_project(CONFIGS[case.config], kernel.arg_names)
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    compiled = triton.compile(source, target=GPUTarget("cuda", case.capability, 32))
    (folder / f"{case.name}.gates.cubin").write_bytes(compiled.asm["cubin"])


def parts(place: tuple[int, ...], type_: Type) -> Iterator[tuple[tuple[int, ...], str]]:
    """The types within one, each with the path that leads to it."""
    if isinstance(type_, str):
        yield place, type_
        return
    for i, part in enumerate(type_):
        yield from parts((*place, i), part)


def kernel_of(case: Case, folder: Path) -> ModuleType:
    if case.without_barrier is None:
        return kernels
    left_out = case.without_barrier + 1

    def change(source: str) -> str:
        pieces = source.split(BARRIER)
        return BARRIER.join(pieces[:left_out]) + "pass" + BARRIER.join(pieces[left_out:])

    return altered(case.of, change, folder)


if __name__ == "__main__":
    for given in sys.argv[2:]:
        case, folder = Case(**json.loads(given)), Path(sys.argv[1])
        build(case, folder)
        if case.without_barrier is None:
            build_gates(case, folder)
