"""A listener's player: when each chunk of audio is needed, and whether it came in time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class PlayClock:
    """Plays audio as it arrives, and stalls where there is none.

    Playing starts ``buffer_s`` after the first chunk has arrived. A chunk is needed when the audio
    before it has been played; one that comes later is late, and what follows is played from then.

    Attributes:
        bytes_per_s: of the audio.
        buffer_s: how long the player waits before it starts.
        chunks: how many have come.
        late: how many of them came after they were needed.
        worst_s: the largest arrival minus need; negative where all came early, None before there
            are two chunks.
        audio_bytes: what has come.
    """

    bytes_per_s: float
    buffer_s: float = 0.0
    chunks: int = 0
    late: int = 0
    worst_s: float | None = None
    audio_bytes: int = 0
    played_until: float | None = None

    def hear(self, size: int, now: float) -> None:
        """Take a chunk of ``size`` bytes that arrived at ``now`` (seconds)."""
        if self.played_until is None:
            self.played_until = now + self.buffer_s
        else:
            self._need(now)
        self.chunks += 1
        self.audio_bytes += size
        self.played_until += size / self.bytes_per_s

    def miss(self, now: float) -> None:
        """Nothing more has come until ``now``, though something should have: late if it is."""
        if self.played_until is not None and now > self.played_until:
            self._need(now)

    @property
    def audio_s(self) -> float:
        """Length of what has come."""
        return self.audio_bytes / self.bytes_per_s

    def played_s(self, now: float) -> float:
        """Audio that has been played by ``now``."""
        left_s = 0.0 if self.played_until is None else max(0.0, self.played_until - now)
        return self.audio_s - left_s

    def _need(self, now: float) -> None:
        assert self.played_until is not None
        lateness_s = now - self.played_until
        self.worst_s = lateness_s if self.worst_s is None else max(self.worst_s, lateness_s)
        if lateness_s > 0:
            self.late += 1
            self.played_until = now


def quantile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least ``share`` of the values do not exceed; None of none."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
