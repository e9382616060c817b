"""Who is let in: live streams at once or never, files in turn, each at its voice's cost."""

import asyncio

import pytest

from vocoder.server.errors import Refusal
from vocoder.server.service.admission import Admission
from vocoder.voices.voice import Voice

VOICE: Voice = None  # type: ignore[assignment] # admission only hands it to the capacity


def admission(capacity: float = 2.0, waiting: int = 2) -> Admission:
    return Admission(lambda voice, engine: capacity, waiting=waiting, retry_after_s=5)


def test_as_many_live_streams_as_fit_and_no_more() -> None:
    many = admission(2.9)
    places = [many.place(VOICE) for _ in range(2)]
    with pytest.raises(Refusal, match="2 streams are all that this server holds") as refused:
        many.place(VOICE)
    assert refused.value.status_code == 429
    assert refused.value.headers is not None
    # Two streams of 5 s, one of which ends every 2.5 s.
    assert refused.value.headers["retry-after"] == "3"
    places[0].leave()
    places[0].leave()
    with many.place(VOICE):
        assert many.live == 2
    assert many.live == 1


def test_what_is_alone_is_let_in_however_slow_its_engine() -> None:
    slow = admission(0.1)
    with slow.place(VOICE), pytest.raises(Refusal):
        slow.place(VOICE)
    slow.place(VOICE).leave()


def test_voices_share_the_machine_by_what_they_cost() -> None:
    capacities = {"fast": 4.0, "slow": 2.0}
    both = Admission(lambda voice, engine: capacities[engine or "fast"], waiting=0, retry_after_s=5)
    held = [both.place(VOICE, "slow"), both.place(VOICE, "fast"), both.place(VOICE, "fast")]
    for engine in capacities:
        with pytest.raises(Refusal):
            both.place(VOICE, engine)
    held[0].leave()
    with pytest.raises(Refusal):
        [both.place(VOICE, "fast") for _ in range(3)]
    assert both.live == 4


def test_files_are_let_in_in_the_order_in_which_they_came() -> None:
    async def scenario() -> None:
        one = admission(1.0)
        place, order = one.place(VOICE), []

        async def wait(number: int) -> None:
            with await one.turn(VOICE):
                order.append(number)

        tasks = [asyncio.create_task(wait(number)) for number in range(2)]
        await asyncio.sleep(0)
        assert one.waiting == 2
        with pytest.raises(Refusal, match="1 requests are being served and 2 wait"):
            await one.turn(VOICE)
        # Nobody who would listen at once goes before those who wait.
        place.leave()
        with pytest.raises(Refusal):
            one.place(VOICE)
        await asyncio.gather(*tasks)
        assert order == [0, 1]
        assert one.live == one.waiting == 0

    asyncio.run(scenario())


def test_who_stops_waiting_makes_room() -> None:
    async def scenario() -> None:
        one = admission(1.0)
        place = one.place(VOICE)
        first, second = (asyncio.create_task(one.turn(VOICE)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        assert one.waiting == 1
        place.leave()
        # Given a place and cancelled in the same moment: the place is not lost.
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        assert one.live == one.waiting == 0
        one.place(VOICE).leave()

    asyncio.run(scenario())


def test_the_predicted_wait_follows_how_long_streams_take() -> None:
    one = admission(1.0)
    place = one.place(VOICE)
    place.since -= 400.0
    place.leave()
    with one.place(VOICE), pytest.raises(Refusal) as refused:
        one.place(VOICE)
    assert refused.value.headers == {"retry-after": "45"}
