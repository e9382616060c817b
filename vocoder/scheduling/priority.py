"""The order of work in a running batch: earliest deadline first, so that no audio runs out."""

from collections.abc import Iterable, Sequence

from vocoder.scheduling.stream import AMPLE_S, Stream

URGENT_S = 0.1
"""A stream with less audio left than this is urgent."""

URGENT_ROWS = 6
"""Rows of a step for urgent streams: others fill it up, and those about to run out enlarge it."""

MAX_PREPARED_S = 1.0
"""Conditioning is prepared at most this far ahead of generation."""

MIN_PREPARED_S = 0.5
"""With less prepared, preparation precedes generation unless a stream is urgent: that keeps the
batches full."""

STARTING_SLACK_S = 0.1
"""A stream without audio yet precedes those with more than this left."""


def next_to_prepare(streams: Iterable[Stream], now: float) -> Stream | None:
    """The stream whose next segment is needed first; None if all have enough."""
    wanting = (stream for stream in streams if stream.wants_preparation(MAX_PREPARED_S))
    return min(wanting, key=lambda stream: _preparation_slack_s(stream, now), default=None)


def ready_to_generate(streams: Iterable[Stream], blocks: int, now: float) -> list[Stream]:
    """Streams of which ``blocks`` blocks can be generated, the most urgent first."""
    ready = [stream for stream in streams if stream.ready(blocks)]
    return sorted(ready, key=lambda stream: _generation_slack_s(stream, now))


def preparation_first(
    to_prepare: Stream, to_generate: Stream, now: float, *, favour_urgent: bool
) -> bool:
    """Whether to prepare one stream before generating another.

    Args:
        to_prepare, to_generate: the most urgent of each kind.
        now: the time.
        favour_urgent: whether an urgent stream to generate takes precedence.
    """
    urgent = favour_urgent and _urgent(to_generate, now)
    lead_s = 0.0 if urgent else MIN_PREPARED_S
    return _preparation_slack_s(to_prepare, now) - lead_s < _generation_slack_s(to_generate, now)


def choose_batch(ready: Sequence[Stream], rows: int, now: float) -> tuple[list[Stream], bool]:
    """The streams to advance together, and whether by a short step.

    Args:
        ready: the most urgent first.
        rows: best number of rows to advance together.
        now: the time.

    Returns:
        The candidates in order, perhaps more than ``rows``. With many urgent streams, a full batch
        in a long step soon serves all of them faster.
    """
    urgent = [stream for stream in ready if _urgent(stream, now)]
    if not 0 < len(urgent) <= rows // 2:
        return list(ready), False
    others = [stream for stream in ready if stream not in urgent]
    soon = sum(stream.slack_s(now) < AMPLE_S for stream in others)
    return [*urgent, *others[: max(soon, URGENT_ROWS - len(urgent))]], True


def _generation_slack_s(stream: Stream, now: float) -> float:
    return stream.slack_s(now) if stream.playing or stream.offline else STARTING_SLACK_S


def _preparation_slack_s(stream: Stream, now: float) -> float:
    """Time until its next segment must be prepared."""
    return _generation_slack_s(stream, now) + stream.prepared_s


def _urgent(stream: Stream, now: float) -> bool:
    return stream.starting or stream.slack_s(now) < URGENT_S
