"""Training images from an array file; each batch depends only on seed, step and row."""

import functools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vocoder.errors import TrainingError
from vocoder.training.config import ImageTraining

SPLITS = ("train", "valid", "test")


class Images:
    """The images of one split.

    Attributes:
        levels: (N, H, W, C), uint8 or wider.
        labels: class of each image (N,), int64; None for a model without classes.
    """

    def __init__(self, config: ImageTraining, split: str) -> None:
        """Read a split.

        Raises:
            TrainingError: the file or an array is missing, or has another shape, type or range.
        """
        self.config, self.split = config, split
        path = Path(config.corpus)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                stored = _array(path, arrays, split)
                model = config.model
                self.labels = _array(path, arrays, f"{split}_labels") if model.classes else None
        except OSError as error:
            raise TrainingError(f"{path}: {error.strerror or error}") from None
        except (ValueError, zipfile.BadZipFile) as error:
            raise TrainingError(f"{path}: not an npz file of plain arrays: {error}") from None
        self.levels = self._unpacked(path, stored)
        self._check(path)

    def __len__(self) -> int:
        return len(self.levels)

    def _unpacked(self, path: Path, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        shape = (self.config.height, self.config.width, self.config.model.channels)
        size = int(np.prod(shape))
        if self.config.packed:
            if stored.dtype != np.uint8 or stored.shape[1:] != (-(-size // 8),):
                raise TrainingError(
                    f"{path}: {self.split} is {stored.dtype} {stored.shape}, expected uint8 "
                    f"(N, {-(-size // 8)}): {size} packed bits an image"
                )
            stored = np.unpackbits(stored, axis=1)[:, :size]
        if stored.dtype.kind not in "ui" or len(stored) * size != stored.size or not stored.size:
            raise TrainingError(
                f"{path}: {self.split} is {stored.dtype} {stored.shape}, expected integers "
                f"(N, {', '.join(map(str, shape))})"
            )
        return stored.reshape(-1, *shape)

    def _check(self, path: Path) -> None:
        model = self.config.model
        low, high = int(np.min(self.levels)), int(np.max(self.levels))
        if low < 0 or high >= model.levels:
            raise TrainingError(
                f"{path}: {self.split} has levels from {low} to {high}, the model has 0 to "
                f"{model.levels - 1}"
            )
        if self.labels is not None and (
            self.labels.shape != (len(self),) or self.labels.dtype.kind not in "ui"
        ):
            raise TrainingError(
                f"{path}: {self.split}_labels is {self.labels.dtype} {self.labels.shape}, expected "
                f"integers ({len(self)},)"
            )

    def lines(self) -> Iterator[str]:
        """A summary for a dry run."""
        shape = " x ".join(map(str, self.levels.shape[1:]))
        yield f"images: {len(self):,} of {shape} in the {self.split} split"

    def rows(self, indices: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Images (B, H, W, C) and labels (B,), int64; labels are 0 without classes."""
        image = torch.from_numpy(self.levels[indices].astype(np.int64))
        labels = np.zeros(len(indices)) if self.labels is None else self.labels[indices]
        return image, torch.from_numpy(labels.astype(np.int64))

    def drawn(self, step: int, rows: range) -> npt.NDArray[np.int64]:
        """Indices of some rows of a step's batch; every epoch has an order of its own."""
        places = step * self.config.batch_size + np.arange(rows.start, rows.stop)
        return np.array(
            [self._order(int(p) // len(self))[int(p) % len(self)] for p in places], dtype=np.int64
        )

    @functools.lru_cache(maxsize=2)  # noqa: B019 - lives as long as the run
    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        return np.random.default_rng((self.config.seed, epoch)).permutation(len(self))


def _array(path: Path, arrays: "np.lib.npyio.NpzFile", name: str) -> npt.NDArray[Any]:
    if name not in arrays:
        raise TrainingError(f"{path}: no array {name!r}, only {', '.join(sorted(arrays))}")
    found: npt.NDArray[Any] = arrays[name]
    return found
