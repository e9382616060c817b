"""Training checkpoints: weights, their average, Adam's moments and the step, in one file.

The file is safetensors, so that reading it executes no code, and it is replaced atomically.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vocoder import files
from vocoder.errors import TrainingError
from vocoder.training.config import AnyTraining
from vocoder.training.optimisation import MovingAverage

NAME = "checkpoint.safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def save(
    folder: Path,
    step: int,
    config: AnyTraining,
    model: nn.Module,
    average: MovingAverage,
    optimiser: torch.optim.Adam,
) -> None:
    """Write everything that later steps depend on."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        tensors[f"model.{name}"] = parameter.detach()
        tensors[f"average.{name}"] = average.weights[name]
        for moment in _MOMENTS:
            tensors[f"{moment}.{name}"] = optimiser.state[parameter][moment]
    metadata = {"step": str(step), "config": config.model_dump_json()}
    with files.replacing(folder / NAME) as temporary:
        save_file({k: v.contiguous() for k, v in tensors.items()}, temporary, metadata)


def steps_done(folder: Path) -> int:
    """Steps done at the checkpoint; 0 if there is no readable checkpoint."""
    try:
        with safe_open(folder / NAME, framework="pt") as file:
            return int((file.metadata() or {})["step"])
    except (OSError, SafetensorError, KeyError, ValueError):
        return 0


def restore(
    folder: Path,
    config: AnyTraining,
    model: nn.Module,
    average: MovingAverage,
    optimiser: torch.optim.Adam,
) -> tuple[int, list[str]]:
    """Read the checkpoint into the given objects.

    Returns:
        The steps done, and one line for each setting that differs from the checkpoint's.

    Raises:
        TrainingError: the checkpoint is missing, damaged, or of a different model.
    """
    path = folder / NAME
    if not path.is_file():
        raise TrainingError(f"{path}: no checkpoint to resume from; omit --resume")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        step = int(metadata["step"])
        before = type(config).model_validate_json(metadata["config"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise TrainingError(f"{path}: damaged checkpoint: {error}") from None
    if before.model != config.model:
        difference = "; ".join(_differences(before.model.model_dump(), config.model.model_dump()))
        raise TrainingError(f"{path}: belongs to a different model ({difference})")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[f"model.{name}"])
            average.weights[name].copy_(tensors[f"average.{name}"])
            optimiser.state[parameter] = {
                moment: _like(tensors[f"{moment}.{name}"], parameter) for moment in _MOMENTS
            }
    changes = _differences(
        before.model_dump(exclude={"model"}), config.model_dump(exclude={"model"})
    )
    return step, changes


def _like(tensor: Tensor, parameter: Tensor) -> Tensor:
    return tensor.to(parameter.device) if tensor.ndim else tensor


def _differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [
        f"{key} was {before[key]!r}, is now {value!r}"
        for key, value in after.items()
        if before.get(key) != value
    ]
