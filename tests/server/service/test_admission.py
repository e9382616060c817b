"""Admission: live streams at once or never, files in order, each at its voice's cost."""

import asyncio
import time

import pytest

from vocoder.server.errors import Refusal
from vocoder.server.metrics import Metrics
from vocoder.server.service import admission as admission_module
from vocoder.server.service.admission import Admission
from vocoder.voices.voice import Voice

VOICE: Voice = None  # type: ignore[assignment] # admission only passes it to the capacity


def admission(capacity: float = 2.0, waiting: int = 2) -> Admission:
    return Admission(lambda voice, engine: capacity, Metrics(), waiting=waiting, retry_after_s=5)


def test_live_streams_are_admitted_up_to_the_capacity() -> None:
    many = admission(2.9)
    slots = [many.slot(VOICE, "cpu") for _ in range(2)]
    with pytest.raises(Refusal, match="the server's limit is 2 streams") as refused:
        many.slot(VOICE, "cpu")
    assert refused.value.status_code == 429
    assert refused.value.headers is not None
    assert refused.value.headers["retry-after"] == "5"
    slots[0].release()
    slots[0].release()
    with many.slot(VOICE, "cpu"):
        assert many.streams == 2
    assert many.streams == 1


def test_a_single_stream_is_admitted_however_slow_its_engine() -> None:
    slow = admission(0.1)
    with slow.slot(VOICE, "cpu"), pytest.raises(Refusal):
        slow.slot(VOICE, "cpu")
    slow.slot(VOICE, "cpu").release()


def test_voices_share_the_machine_by_their_cost() -> None:
    capacities = {"fast": 4.0, "slow": 2.0}
    both = Admission(
        lambda voice, engine: capacities[engine], Metrics(), waiting=0, retry_after_s=5
    )
    held = [both.slot(VOICE, "slow"), both.slot(VOICE, "fast"), both.slot(VOICE, "fast")]
    for engine in capacities:
        with pytest.raises(Refusal):
            both.slot(VOICE, engine)
    held[0].release()
    with pytest.raises(Refusal):
        [both.slot(VOICE, "fast") for _ in range(3)]
    assert both.streams == 4


def test_files_are_admitted_in_order_of_arrival() -> None:
    async def scenario() -> None:
        one = admission(1.0)
        slot, order = one.slot(VOICE, "cpu"), []

        async def wait(number: int) -> None:
            with await one.wait_for_slot(VOICE, "cpu"):
                order.append(number)

        tasks = [asyncio.create_task(wait(number)) for number in range(2)]
        await asyncio.sleep(0)
        assert one.waiting == 2
        with pytest.raises(Refusal, match="1 requests are being served and 2 are waiting"):
            await one.wait_for_slot(VOICE, "cpu")
        # A live stream does not overtake those that wait.
        slot.release()
        with pytest.raises(Refusal):
            one.slot(VOICE, "cpu")
        await asyncio.gather(*tasks)
        assert order == [0, 1]
        assert one.streams == one.waiting == 0

    asyncio.run(scenario())


def test_a_cancelled_wait_leaves_the_queue() -> None:
    async def scenario() -> None:
        one = admission(1.0)
        slot = one.slot(VOICE, "cpu")
        first, second = (asyncio.create_task(one.wait_for_slot(VOICE, "cpu")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        assert one.waiting == 1
        slot.release()
        # Given a slot and cancelled in the same moment: the slot is not lost.
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        assert one.streams == one.waiting == 0
        one.slot(VOICE, "cpu").release()

    asyncio.run(scenario())


def test_the_estimated_wait_follows_the_duration_of_recent_streams() -> None:
    one = admission(1.0)
    for seconds in (1.9, 400.0, 1.0):
        slot = one.slot(VOICE, "cpu")
        slot.since -= seconds
        slot.release()
    with one.slot(VOICE, "cpu") as slot:
        for age, expected in ((0.0, "2"), (1.5, "1"), (9.0, "2")):
            slot.since = time.monotonic() - age
            with pytest.raises(Refusal) as refused:
                one.slot(VOICE, "cpu")
            assert refused.value.headers == {"retry-after": expected}


def test_what_fits_is_not_held_up_by_what_needs_an_empty_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission_module, "LONGEST_WAIT_S", 0.05)
    capacities = {"fast": 4.0, "slow": 1.0}

    async def scenario() -> None:
        both = Admission(
            lambda voice, engine: capacities[engine], Metrics(), waiting=4, retry_after_s=5
        )
        first = both.slot(VOICE, "fast")
        slow = asyncio.create_task(both.wait_for_slot(VOICE, "slow"))
        await asyncio.sleep(0)
        assert both.waiting == 1
        with both.slot(VOICE, "fast"), await both.wait_for_slot(VOICE, "fast"):
            assert both.streams == 3
        with pytest.raises(Refusal, match="no room"):
            await slow
        first.release()
        assert both.streams == both.waiting == 0
        both.slot(VOICE, "slow").release()

    asyncio.run(scenario())
