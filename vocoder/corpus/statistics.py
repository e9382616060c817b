"""Statistics over all aligned speech of a corpus, needed before training starts."""

import math
from collections import defaultdict

import torch
from pydantic import Field, field_validator
from torch import Tensor

from vocoder.config import StrictModel
from vocoder.corpus.utterances import DEFAULT_LOG_F0
from vocoder.text.linguistic import SYMBOLS

DEFAULT_SPREAD, MIN_SPREAD = 0.2, 0.02
"""Standard deviation of log F0: the default with too little voiced speech, and the minimum."""


class F0Range(StrictModel):
    """A speaker's F0 range: mean and spread of log F0 in Hz over voiced frames."""

    mean: float = Field(DEFAULT_LOG_F0, description="mean")
    spread: float = Field(DEFAULT_SPREAD, gt=0.0, description="standard deviation")


class SpeechStatistics(StrictModel):
    """Statistics over the aligned utterances of the train split."""

    f0: dict[str, F0Range] = Field(description="F0 range by speaker")
    symbols: tuple[str, ...] = Field(description="symbols that occur, in the front end's order")

    @field_validator("symbols")
    @classmethod
    def _known(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(symbols) - set(SYMBOLS)):
            raise ValueError(f"the front end has no symbol {unknown[0]!r}")
        return symbols

    def f0_range(self, speaker: str) -> F0Range:
        """The F0 range of a speaker; the default for a speaker without data."""
        return self.f0.get(speaker, F0Range())

    @property
    def symbol_numbers(self) -> Tensor:
        """Indices of the symbols that occur (N,), int64."""
        return torch.tensor([SYMBOLS.index(symbol) for symbol in self.symbols])


class SpeechCounts:
    """Accumulates the statistics one utterance at a time."""

    def __init__(self) -> None:
        self._frames: dict[str, int] = defaultdict(int)
        self._sums: dict[str, float] = defaultdict(float)
        self._squares: dict[str, float] = defaultdict(float)
        self._symbols = torch.zeros(len(SYMBOLS), dtype=torch.bool)

    def __bool__(self) -> bool:
        return bool(self._frames)

    def add(self, speaker: str, symbols: Tensor, log_f0: Tensor, voiced: Tensor) -> None:
        """Add an utterance: its symbols (N,), and its log F0 and voicing (F,)."""
        self._symbols[symbols] = True
        centred = log_f0[voiced > 0].double() - DEFAULT_LOG_F0
        self._frames[speaker] += len(centred)
        self._sums[speaker] += float(centred.sum())
        self._squares[speaker] += float(centred.square().sum())

    def statistics(self) -> SpeechStatistics:
        """The statistics over all utterances added so far."""
        f0 = {speaker: self._range(speaker) for speaker, n in self._frames.items() if n > 1}
        occurring = (number for number, occurs in enumerate(self._symbols.tolist()) if occurs)
        return SpeechStatistics(f0=f0, symbols=tuple(SYMBOLS[number] for number in occurring))

    def _range(self, speaker: str) -> F0Range:
        count, total = self._frames[speaker], self._sums[speaker]
        variance = (self._squares[speaker] - total * total / count) / (count - 1)
        spread = max(MIN_SPREAD, math.sqrt(max(0.0, variance)))
        return F0Range(mean=DEFAULT_LOG_F0 + total / count, spread=spread)
