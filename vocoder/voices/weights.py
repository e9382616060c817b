"""Weights on disk: safetensors, verified against a SHA-256. Nothing is unpickled."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from vocoder import files
from vocoder.errors import UserError


def write(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write weights atomically and return their SHA-256 in hexadecimal."""
    data = save_safetensors({k: v.detach().contiguous() for k, v in tensors.items()})
    files.write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def read(path: Path, expected: str, model: nn.Module, error: type[UserError]) -> None:
    """Verify weights and load them into ``model``, which is left in evaluation mode.

    Args:
        path: the weights file.
        expected: its SHA-256 in hexadecimal.
        model: must have the same tensor names and shapes as the file.
        error: the type of error to raise.

    Raises:
        UserError: of type ``error``, if the file is missing, altered, truncated or padded, belongs
            to another model, or holds values that are not finite.
    """
    try:
        data = path.read_bytes()
    except OSError as failure:
        raise error(f"{path}: {failure.strerror or failure}") from None
    digest = hashlib.sha256(data).hexdigest()
    if digest != expected:
        raise error(
            f"{path}: SHA-256 is {digest[:16]}..., expected {expected[:16]}...: "
            "the file is damaged or incomplete; restore the original"
        )
    try:
        tensors = load_safetensors(data)
    except safetensors.SafetensorError as failure:
        raise error(f"{path}: not safetensors: {failure}") from None
    own = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    found = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    for key in sorted(own.keys() | found.keys()):
        if own.get(key) != found.get(key):
            raise error(
                f"{path}: {key} has shape {found.get(key, 'none')}, "
                f"the configuration needs {own.get(key, 'none')}"
            )
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise error(f"{path}: contains weights that are not finite")
    model.load_state_dict(tensors)
    model.eval()
