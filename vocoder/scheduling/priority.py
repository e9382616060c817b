"""What comes first in a running batch: by deadline, so that nobody's audio runs out."""

from collections.abc import Iterable, Sequence

from vocoder.scheduling.stream import AMPLE_S, Stream

HASTE_S = 0.1
"""Who has less audio than this left is in haste."""

HASTY_ROWS = 6
"""Rows of a step for those in haste; others fill it up, and those who soon will be enlarge it."""

PREPARED_S = 1.0
"""Audio whose conditioning is made ahead of its generation, at most."""

WELL_PREPARED_S = 0.5
"""Preparation of less comes before generation, where nobody is in haste: batches stay full."""

STARTING_SLACK_S = 0.1
"""A stream that has no audio yet comes before those that have more than this left."""


def neediest(streams: Iterable[Stream], now: float) -> Stream | None:
    """The stream whose next piece is wanted first; None where all have enough."""
    wanting = (stream for stream in streams if stream.wants(PREPARED_S))
    return min(wanting, key=lambda stream: _need_s(stream, now), default=None)


def most_urgent(streams: Iterable[Stream], blocks: int, now: float) -> list[Stream]:
    """Streams of which so many blocks can be generated, the most urgent first."""
    ready = [stream for stream in streams if stream.ready(blocks)]
    return sorted(ready, key=lambda stream: _urgency_s(stream, now))


def preparation_first(needy: Stream, ready: Stream, now: float, *, haste_counts: bool) -> bool:
    """Whether the one's preparation comes before the other's generation.

    Args:
        needy, ready: the most urgent of each kind.
        now: the time.
        haste_counts: whether it matters that the other is in haste.
    """
    lead_s = 0.0 if haste_counts and _in_haste(ready, now) else WELL_PREPARED_S
    return _need_s(needy, now) - lead_s < _urgency_s(ready, now)


def together(ready: Sequence[Stream], most: int, now: float) -> tuple[list[Stream], bool]:
    """Which streams are best advanced together, and whether by a short step.

    Args:
        ready: the most urgent first.
        most: rows that are best advanced together.
        now: the time.

    Returns:
        Streams in the order in which they come into question, perhaps more than ``most``. With many
        in haste a full batch in a long step is soon the quicker way for all.
    """
    hasty = [stream for stream in ready if _in_haste(stream, now)]
    if not 0 < len(hasty) <= most // 2:
        return list(ready), False
    others = [stream for stream in ready if stream not in hasty]
    soon = sum(stream.slack_s(now) < AMPLE_S for stream in others)
    return [*hasty, *others[: max(soon, HASTY_ROWS - len(hasty))]], True


def _urgency_s(stream: Stream, now: float) -> float:
    return stream.slack_s(now) if stream.playing or stream.offline else STARTING_SLACK_S


def _need_s(stream: Stream, now: float) -> float:
    """How soon something must have been prepared."""
    return _urgency_s(stream, now) + stream.prepared_s


def _in_haste(stream: Stream, now: float) -> bool:
    return stream.starting or stream.slack_s(now) < HASTE_S
