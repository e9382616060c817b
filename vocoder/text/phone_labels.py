"""Labels of phones for recognition and alignment: a blank, silence of any kind, each phoneme."""

import torch
from torch import Tensor

from vocoder.text.linguistic import SILENCES, SYMBOLS

BLANK, SILENCE = 0, 1

LABELS = 2 + len(SYMBOLS) - SILENCES
"""Labels: the blank, silence of whatever kind, and each phoneme."""


def labels_of(symbols: Tensor) -> Tensor:
    """Labels of phone symbols, of any shape: the kinds of silence are one."""
    return torch.where(symbols < SILENCES, SILENCE, symbols - SILENCES + 2)
