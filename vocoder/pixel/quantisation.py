"""Log-mel spectrograms as images: frames are rows, bands are columns, log-power is the level."""

from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from vocoder.config import StrictModel


class LevelRange(StrictModel):
    """The log-mels of the lowest and the highest level; the others lie evenly between them."""

    lowest: float = Field(-23.1, description="log-mel of level 0, natural logarithm of power")
    highest: float = Field(1.0, description="log-mel of the highest level")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.lowest >= self.highest:
            raise ValueError(f"lowest {self.lowest:g} is not below highest {self.highest:g}")
        return self

    def image(self, mel: Tensor, levels: int) -> Tensor:
        """Log-mel (..., n_mels, F) -> levels (..., F, n_mels, 1), int64; clipped to the range."""
        share = (mel.transpose(-1, -2) - self.lowest) / (self.highest - self.lowest)
        level = (share * (levels - 1)).round().clamp(0, levels - 1)
        return level.to(torch.int64).unsqueeze(-1)

    def mel(self, image: Tensor, levels: int) -> Tensor:
        """Levels (..., F, n_mels, 1) -> log-mel (..., n_mels, F), float32."""
        share = image.squeeze(-1).float() / (levels - 1)
        return (self.lowest + (self.highest - self.lowest) * share).transpose(-1, -2)
