"""Who comes first in a running batch, by a clock of the test."""

import numpy as np
import pytest

from vocoder.scheduling import priority
from vocoder.scheduling.stream import AMPLE_S, Stream

RATE = 1000
MOST = 16


def stream(ahead_s: float = 0.0, prepared_s: float = 0.0) -> Stream:
    """With so much audio ahead at time 0, and so much prepared."""
    made = Stream(iter(()), lambda event: None, hold=10, rate_hz=RATE, offline=False, now=0.0)
    if ahead_s:
        assert made.deliver(np.zeros(round(ahead_s * RATE), np.float32), True, 0.0) is not None
    made._blocks = round(prepared_s * RATE / 10)
    return made


def test_the_one_that_runs_out_first_is_prepared_first() -> None:
    early, late, rich = stream(0.5), stream(2.0), stream(0.1, priority.PREPARED_S)
    assert priority.neediest([late, early, rich], 0.0) is early
    assert priority.neediest([rich], 0.0) is None
    unprepared = stream(1.5)
    assert priority.neediest([late, stream(1.0, 0.9), unprepared], 0.0) is unprepared


def test_who_starts_is_accompanied_but_not_held_up() -> None:
    starting, comfortable = stream(), [stream(3.0 + number) for number in range(12)]
    chosen, short = priority.together([starting, *comfortable], MOST, 0.0)
    assert short
    assert chosen == [starting, *comfortable[: priority.HASTY_ROWS - 1]]


def test_who_soon_runs_out_joins_those_in_haste() -> None:
    starting, soon = stream(), [stream(0.5 * AMPLE_S) for _ in range(12)]
    chosen, short = priority.together([starting, *soon, stream(9.0)], MOST, 0.0)
    assert short
    assert chosen == [starting, *soon]


@pytest.mark.parametrize("hasty", [0, MOST // 2 + 1])
def test_nobody_in_haste_or_very_many_take_a_long_step(hasty: int) -> None:
    ready = [*(stream() for _ in range(hasty)), *(stream(3.0) for _ in range(4))]
    assert priority.together(ready, MOST, 0.0) == (ready, False)


def test_preparation_comes_before_generation_until_there_is_enough() -> None:
    ready, little = stream(3.0, 1.0), stream(3.0, priority.WELL_PREPARED_S - 0.1)
    assert priority.preparation_first(little, ready, 0.0, haste_counts=True)
    enough = stream(3.0, priority.WELL_PREPARED_S + 0.1)
    assert not priority.preparation_first(enough, ready, 0.0, haste_counts=True)


def test_those_in_haste_come_before_preparation_in_their_time() -> None:
    hasty, needy = stream(0.05, 1.0), stream(0.06)
    assert not priority.preparation_first(needy, hasty, 0.0, haste_counts=True)
    assert priority.preparation_first(needy, hasty, 0.0, haste_counts=False)
