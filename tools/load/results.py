"""Results of a run of listeners."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from .listening import Heard
from .playing import quantile


@dataclass(frozen=True)
class Spread:
    """Statistics of times: count, median, 95th percentile and maximum, in milliseconds."""

    count: int
    p50_ms: float | None
    p95_ms: float | None
    max_ms: float | None

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Self:
        """The statistics of times in seconds."""
        shares = [quantile(seconds, share) for share in (0.5, 0.95, 1.0)]
        return cls(len(seconds), *(None if s is None else round(1000 * s, 2) for s in shares))

    def __str__(self) -> str:
        return f"p50 {self.p50_ms} ms, p95 {self.p95_ms} ms, max {self.max_ms} ms"


@dataclass(frozen=True)
class Run:
    """Results of all listeners of a run.

    Attributes:
        listeners: number of listeners.
        knocked: number of clients beyond them.
        admitted: how many of both were admitted.
        chunks: chunks of audio received.
        late: chunks that arrived after the audio before them had been played.
        worst_ms: maximum of arrival minus due time; negative if every chunk was early.
        audio_s: length of the audio.
        silent: listeners that were admitted and received nothing.
        first_audio: time from a listener's first text to its first chunk.
        refused: time until a refused connection was refused.
        errors: distinct errors.
        seconds: duration of the run.
        load_cpu: CPU time of this tool, as a share of one core.
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
        """The results of these listeners."""
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
        """Whether all audio of admitted listeners was on time."""
        return not (self.late or self.silent or self.errors)

    @property
    def held(self) -> bool:
        """Whether all were admitted and on time."""
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
            text += f"; {self.refused.count} refusals, after {self.refused}"
        if self.silent:
            text += f"; {self.silent} received nothing"
        return "; ".join([text, f"this tool used {self.load_cpu:.0%} of a core", *self.errors])
