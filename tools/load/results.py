"""What a run of listeners came to."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from .listening import Heard
from .playing import quantile


@dataclass(frozen=True)
class Spread:
    """Some times: how many, median, 95th percentile and largest, in milliseconds."""

    count: int
    p50_ms: float | None
    p95_ms: float | None
    max_ms: float | None

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Self:
        """The spread of times in seconds."""
        shares = [quantile(seconds, share) for share in (0.5, 0.95, 1.0)]
        return cls(len(seconds), *(None if s is None else round(1000 * s, 2) for s in shares))

    def __str__(self) -> str:
        return f"p50 {self.p50_ms} ms, p95 {self.p95_ms} ms, max {self.max_ms} ms"


@dataclass(frozen=True)
class Run:
    """What all listeners of a run heard together.

    Attributes:
        listeners: how many listened.
        knocked: how many more wanted to.
        admitted: how many of both were.
        chunks: of audio.
        late: chunks that came after the audio before them had been played.
        worst_ms: largest arrival minus need; negative where every chunk came early.
        audio_s: length of the audio.
        silent: listeners who were admitted and heard nothing.
        first_audio: from a listener's first text to its first chunk.
        refused: from the start of a connection that was refused to the refusal.
        errors: what went wrong, each once.
        seconds: how long the run took.
        load_cpu: share of a core that this tool itself took.
    """

    listeners: int
    knocked: int
    admitted: int
    chunks: int
    late: int
    worst_ms: float | None
    audio_s: float
    silent: int
    first_audio: Spread
    refused: Spread
    errors: list[str]
    seconds: float
    load_cpu: float

    @classmethod
    def of(
        cls, heard: list[Heard], *, listeners: int, knocked: int, seconds: float, cpu_s: float
    ) -> Self:
        """The run in which this was heard."""
        clocks = [one.clock for one in heard if one.clock is not None]
        worst = [clock.worst_s for clock in clocks if clock.worst_s is not None]
        admitted = [one for one in heard if one.refused_s is None]
        return cls(
            listeners=listeners,
            knocked=knocked,
            admitted=len(admitted),
            chunks=sum(clock.chunks for clock in clocks),
            late=sum(clock.late for clock in clocks),
            worst_ms=round(1000 * max(worst), 1) if worst else None,
            audio_s=round(sum(clock.audio_s for clock in clocks), 1),
            silent=sum(one.clock is None and not one.error for one in admitted),
            first_audio=Spread.of(
                [one.first_audio_s for one in heard if one.first_audio_s is not None]
            ),
            refused=Spread.of([one.refused_s for one in heard if one.refused_s is not None]),
            errors=sorted({one.error for one in heard if one.error}),
            seconds=round(seconds, 1),
            load_cpu=round(cpu_s / seconds, 3),
        )

    @property
    def on_time(self) -> bool:
        """Whether everyone who was admitted heard everything in time."""
        return not (self.late or self.silent or self.errors)

    @property
    def held(self) -> bool:
        """Whether everyone was admitted, and on time."""
        return self.on_time and not self.refused.count

    def as_json(self) -> dict[str, object]:
        """For ``json.dumps``."""
        return dataclasses.asdict(self) | {"on_time": self.on_time, "held": self.held}

    def __str__(self) -> str:
        text = (
            f"{self.listeners} listeners, {self.admitted} admitted: {self.late} of {self.chunks} "
            f"chunks late, worst {self.worst_ms} ms; first audio {self.first_audio}"
        )
        if self.refused.count:
            text += f"; {self.refused.count} times refused within {self.refused}"
        if self.silent:
            text += f"; {self.silent} heard nothing"
        return "; ".join([text, f"this tool took {self.load_cpu:.0%} of a core", *self.errors])
