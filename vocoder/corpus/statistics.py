"""What must be known of all of a corpus's aligned speech before the first sentence is learned."""

import math
from collections import defaultdict

import torch
from pydantic import Field, field_validator
from torch import Tensor

from vocoder.config import StrictModel
from vocoder.corpus.utterances import DEFAULT_LOG_F0
from vocoder.text.linguistic import SYMBOLS

DEFAULT_SPREAD, MIN_SPREAD = 0.2, 0.02
"""Of log F0: where next to nothing is voiced, and where a voice is monotonous."""


class F0Range(StrictModel):
    """Where a speaker's voice lies: log F0 in Hz of voiced frames."""

    mean: float = Field(DEFAULT_LOG_F0, description="mean")
    spread: float = Field(DEFAULT_SPREAD, gt=0.0, description="standard deviation")


class SpeechStatistics(StrictModel):
    """Of the aligned utterances of the train split."""

    f0: dict[str, F0Range] = Field(description="by speaker")
    symbols: tuple[str, ...] = Field(
        description="that some utterance has, in the front end's order"
    )

    @field_validator("symbols")
    @classmethod
    def _known(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        if strange := sorted(set(symbols) - set(SYMBOLS)):
            raise ValueError(f"the front end has no symbol {strange[0]!r}")
        return symbols

    def f0_range(self, speaker: str) -> F0Range:
        """A speaker's; the usual one where nothing of theirs was heard."""
        return self.f0.get(speaker, F0Range())

    @property
    def symbol_numbers(self) -> Tensor:
        """Indices of the symbols (N,), int64."""
        return torch.tensor([SYMBOLS.index(symbol) for symbol in self.symbols])


class SpeechCounts:
    """Sums from which the statistics follow, one utterance at a time."""

    def __init__(self) -> None:
        self._frames: dict[str, int] = defaultdict(int)
        self._sums: dict[str, float] = defaultdict(float)
        self._squares: dict[str, float] = defaultdict(float)
        self._symbols = torch.zeros(len(SYMBOLS), dtype=torch.bool)

    def __bool__(self) -> bool:
        return bool(self._frames)

    def add(self, speaker: str, symbols: Tensor, log_f0: Tensor, voiced: Tensor) -> None:
        """Count an utterance: its symbols (N,), and its log F0 and voicing (F,)."""
        self._symbols[symbols] = True
        heard = log_f0[voiced > 0].double() - DEFAULT_LOG_F0
        self._frames[speaker] += len(heard)
        self._sums[speaker] += float(heard.sum())
        self._squares[speaker] += float(heard.square().sum())

    def statistics(self) -> SpeechStatistics:
        """Of all that was counted."""
        f0 = {speaker: self._range(speaker) for speaker, n in self._frames.items() if n > 1}
        heard = (number for number, there in enumerate(self._symbols.tolist()) if there)
        return SpeechStatistics(f0=f0, symbols=tuple(SYMBOLS[number] for number in heard))

    def _range(self, speaker: str) -> F0Range:
        count, total = self._frames[speaker], self._sums[speaker]
        variance = (self._squares[speaker] - total * total / count) / (count - 1)
        spread = max(MIN_SPREAD, math.sqrt(max(0.0, variance)))
        return F0Range(mean=DEFAULT_LOG_F0 + total / count, spread=spread)
