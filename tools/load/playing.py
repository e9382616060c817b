"""A listener's player: when each chunk of audio is due, and whether it was on time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class PlayClock:
    """Plays audio as it arrives, and stalls when there is none.

    Playback starts ``buffer_s`` after the first chunk arrives. A chunk is due when the audio before
    it has been played; if it arrives later it is late, and playback resumes at its arrival.

    Attributes:
        bytes_per_s: of the audio.
        buffer_s: how long the player buffers before it starts.
        chunks: number of chunks received.
        late: how many of them were late.
        worst_s: maximum of arrival minus due time; negative if all were early, None before the
            second chunk.
        audio_bytes: bytes received.
    """

    bytes_per_s: float
    buffer_s: float = 0.0
    chunks: int = 0
    late: int = 0
    worst_s: float | None = None
    audio_bytes: int = 0
    played_until: float | None = None

    def hear(self, size: int, now: float) -> None:
        """Receive a chunk of ``size`` bytes at ``now`` (seconds)."""
        if self.played_until is None:
            self.played_until = now + self.buffer_s
        else:
            self._need(now)
        self.chunks += 1
        self.audio_bytes += size
        self.played_until += size / self.bytes_per_s

    def miss(self, now: float) -> None:
        """Count a chunk that has not arrived by ``now`` as late, if it is due."""
        if self.played_until is not None and now > self.played_until:
            self._need(now)

    @property
    def audio_s(self) -> float:
        """Length of the audio received."""
        return self.audio_bytes / self.bytes_per_s

    def played_s(self, now: float) -> float:
        """Length of the audio played by ``now``."""
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
    """The smallest value that at least ``share`` of the values do not exceed; None if empty."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
