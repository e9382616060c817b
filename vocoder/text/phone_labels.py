"""Phone labels for recognition and alignment: the CTC blank, silence, and one per phoneme."""

import torch
from torch import Tensor

from vocoder.text.linguistic import SILENCES, SYMBOLS

BLANK, SILENCE = 0, 1
"""Label of the CTC blank, and of silence of every kind; phonemes follow."""

LABELS = 2 + len(SYMBOLS) - SILENCES
"""Number of labels: the blank, silence and one per phoneme."""


def labels_of(symbols: Tensor) -> Tensor:
    """Labels of phone symbols (indices into ``SYMBOLS``), any shape; all silences share one."""
    return torch.where(symbols < SILENCES, SILENCE, symbols - SILENCES + 2)
