"""The order of work in a running batch, with the test's own clock."""

import numpy as np
import pytest

from vocoder.scheduling import priority
from vocoder.scheduling.stream import AMPLE_S, Stream

RATE = 1000
ROWS = 16


def stream(ahead_s: float = 0.0, prepared_s: float = 0.0) -> Stream:
    """A stream with this much audio buffered at time 0, and this much prepared."""
    made = Stream(iter(()), lambda event: None, hold=10, rate_hz=RATE, offline=False, now=0.0)
    if ahead_s:
        assert made.deliver(np.zeros(round(ahead_s * RATE), np.float32), True, 0.0) is not None
    made._blocks = round(prepared_s * RATE / 10)
    return made


def test_the_stream_that_runs_out_first_is_prepared_first() -> None:
    early, late, rich = stream(0.5), stream(2.0), stream(0.1, priority.MAX_PREPARED_S)
    assert priority.next_to_prepare([late, early, rich], 0.0) is early
    assert priority.next_to_prepare([rich], 0.0) is None
    unprepared = stream(1.5)
    assert priority.next_to_prepare([late, stream(1.0, 0.9), unprepared], 0.0) is unprepared


def test_others_fill_up_a_step_with_a_starting_stream_but_do_not_lengthen_it() -> None:
    starting, comfortable = stream(), [stream(3.0 + number) for number in range(12)]
    chosen, short = priority.choose_batch([starting, *comfortable], ROWS, 0.0)
    assert short
    assert chosen == [starting, *comfortable[: priority.URGENT_ROWS - 1]]


def test_streams_about_to_run_out_join_the_urgent_ones() -> None:
    starting, soon = stream(), [stream(0.5 * AMPLE_S) for _ in range(12)]
    chosen, short = priority.choose_batch([starting, *soon, stream(9.0)], ROWS, 0.0)
    assert short
    assert chosen == [starting, *soon]


@pytest.mark.parametrize("urgent", [0, ROWS // 2 + 1])
def test_no_urgent_streams_or_very_many_take_a_long_step(urgent: int) -> None:
    ready = [*(stream() for _ in range(urgent)), *(stream(3.0) for _ in range(4))]
    assert priority.choose_batch(ready, ROWS, 0.0) == (ready, False)


def test_preparation_precedes_generation_until_enough_is_prepared() -> None:
    ready, little = stream(3.0, 1.0), stream(3.0, priority.MIN_PREPARED_S - 0.1)
    assert priority.preparation_first(little, ready, 0.0, favour_urgent=True)
    enough = stream(3.0, priority.MIN_PREPARED_S + 0.1)
    assert not priority.preparation_first(enough, ready, 0.0, favour_urgent=True)


def test_urgent_streams_precede_preparation_only_when_favoured() -> None:
    urgent, unprepared = stream(0.05, 1.0), stream(0.06)
    assert not priority.preparation_first(unprepared, urgent, 0.0, favour_urgent=True)
    assert priority.preparation_first(unprepared, urgent, 0.0, favour_urgent=False)
