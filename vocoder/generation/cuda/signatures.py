"""Triton's signature of a launch: the type of each argument, or that it is a constant.

Triton derives it from the arguments of a launch. Here it is spelled out, so that kernels can be
compiled on a machine without a GPU.
"""

from typing import Any

from vocoder.config import ModelConfig
from vocoder.generation.cuda import packing
from vocoder.generation.cuda.packing import GATE_COLUMNS, GATE_DEPTH, TILE_ROWS

Type = str | tuple[Any, ...]
Signature = dict[str, Type]
Constants = dict[str, object]


def of_generate(
    config: ModelConfig,
    names: list[str],
    *,
    weights: str = "bf16",
    traced: bool = False,
    seeded: bool = True,
) -> tuple[Signature, Constants]:
    """Signature of the sample loop's kernel.

    Args:
        config: the model's.
        names: the kernel's argument names.
        weights: number format of the weights.
        traced: whether it follows a known signal.
        seeded: whether it draws its own noise.
    """
    mu_law = config.distribution.kind == "mu_law"
    absent = set() if config.linear_prediction else {"coefficients", "gain", "level"}
    absent |= set() if config.contexts else {"context_model", "context_state"}
    if not traced:
        absent |= {"forced_samples", "forced_codes"}
    elif not mu_law:
        absent |= {"forced_codes"}
    constants: Constants = {
        **packing.shape(config),
        "PREFETCH": packing.prefetches(config, weights),
        "SEEDED": seeded,
        "TRACE": traced,
        "WIDEN": False,
        "ROWS": TILE_ROWS,
        **dict.fromkeys(absent),
    }
    types: Signature = {"weights": f"*{weights}", "dilations": "*i32"}
    types |= {"inputs": "*i32"} if mu_law else {}
    integers = ["ring_offsets", "position", "code", "rows", "first_block", "forced_codes"]
    integers += ["noise"] if seeded else []
    types |= dict.fromkeys(integers, "*i64")
    types |= dict.fromkeys(("n", "steps", "blocks", "ring_row"), "i32")
    context = ("*fp32", "*fp32", "i32", "*fp32")
    types["context_model"] = (f"*{weights}", "*fp32", "*i64", "*i32")
    types["context_state"] = (context,) * len(config.contexts)
    types |= dict.fromkeys(("temperature", "log_scale_min", "pre_emphasis"), "fp32")
    return _signature(names, types, constants), constants


def of_project(config: ModelConfig, names: list[str]) -> tuple[Signature, Constants]:
    """Signature of the kernel that projects the conditioning."""
    constants: Constants = {
        "CHANNELS": config.conditioning.channels + config.global_channels,
        "GATES": config.stack.layers * config.stack.gate_channels,
        "ROWS": TILE_ROWS,
        "COLUMNS": GATE_COLUMNS,
        "DEPTH": GATE_DEPTH,
    }
    return _signature(names, {"n": "i32"}, constants), constants


def _signature(names: list[str], types: Signature, constants: Constants) -> Signature:
    return {name: "constexpr" if name in constants else types.get(name, "*fp32") for name in names}
