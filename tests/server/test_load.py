"""The load tools, at a small scale: the same bytes under load, no leaks, nothing late."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from load import identity, unread, vanish
from load.listeners import Load
from load.listening import Recording, talking
from load.playing import PlayClock, quantile
from load.server import Server
from load.ways import Way
from serving import features_of, live

from vocoder.features.feature_file import serialize
from vocoder.server.app import create_app
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.synthesizer import Synthesizer

SEATS = 6
TEXT = "Hello there. It works, 1 2 3."
BUFFER_S = 1.0
"""Buffer of the players, because client, server and pytest share a process here."""


@pytest.fixture(scope="module")
def server(voices_dir: Path, synthesizer: Synthesizer) -> Iterator[Server]:
    settings = ServerSettings(voices_dir=voices_dir, max_streams=SEATS)
    with live(create_app(settings, synthesizer)) as port:
        yield Server(f"http://127.0.0.1:{port}")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("features") / "mel.safetensors"
    path.write_bytes(serialize(features_of(150)))
    return path


def load_on(server: Server, seconds: float, **more: float) -> Load:
    return Load(
        server,
        lambda number: talking(number, None),
        seconds,
        ramp_s=0.2,
        buffer_s=BUFFER_S,
        conversation_s=more.get("conversation_s", 0.0),
    )


def test_a_chunk_is_late_when_the_audio_before_it_has_been_played() -> None:
    clock = PlayClock(bytes_per_s=100)
    clock.hear(50, now=10.0)  # Plays until 10.5,
    clock.hear(50, now=10.5)  # just in time, until 11,
    assert (clock.late, clock.worst_s) == (0, 0.0)
    clock.hear(50, now=11.2)  # a stall, so until 11.7.
    assert (clock.late, clock.worst_s) == (1, pytest.approx(0.2))
    clock.hear(50, now=11.6)
    assert clock.late == 1
    clock.miss(now=12.0)
    assert clock.late == 1
    clock.miss(now=12.9)
    assert (clock.late, clock.worst_s) == (2, pytest.approx(0.7))
    assert (clock.chunks, clock.audio_s) == (4, 2.0)


def test_a_players_buffer_allows_as_much_delay() -> None:
    clock = PlayClock(bytes_per_s=100, buffer_s=0.3)
    clock.hear(50, now=0.0)
    clock.hear(50, now=0.75)
    assert (clock.late, clock.worst_s) == (0, pytest.approx(-0.05))


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1), (0.25, 1), (0.5, 2), (0.51, 3), (0.95, 4), (1.0, 4)]
)
def test_a_quantile_is_one_of_the_values(share: float, expected: float) -> None:
    assert quantile([4, 1, 3, 2], share) == expected
    assert quantile([], share) is None


def test_every_way_gives_the_same_audio_alone_and_under_load(
    server: Server, recording: Path
) -> None:
    outcomes = asyncio.run(identity.tried(server, None, recording, SEATS - 1, TEXT))
    assert identity.differences(outcomes) == []
    assert len(outcomes) == 17
    assert all(len(outcome.alone) > 2000 for outcome in outcomes)


def test_a_difference_is_found() -> None:
    async def ask() -> bytes:
        return b""

    def outcome(name: str, alone: bytes, loaded: bytes) -> identity.Outcome:
        return identity.Outcome(Way(name, "text", "pcm", True, ask), alone, loaded, 1)

    outcomes = [outcome("a", b"12", b"12"), outcome("b", b"12", b"13"), outcome("c", b"1", b"1")]
    assert identity.differences(outcomes) == ["b differs under load", "c differs from a"]


def test_listeners_are_on_time_and_those_beyond_are_refused(server: Server) -> None:
    run = asyncio.run(load_on(server, 3.0, conversation_s=1.0).run(SEATS - 1, knocking=3))
    assert run.errors == []
    assert (run.late, run.silent) == (0, 0)
    assert run.refused.count > 0
    assert run.first_audio.count >= SEATS


def test_features_are_spoken_while_they_arrive(server: Server, recording: Path) -> None:
    source = Recording.load(recording)
    load = Load(server, lambda seed: source.again(seed=seed), 3.0, 0.2, BUFFER_S, 0.0)
    run = asyncio.run(load.run(2))
    assert run.errors == []
    assert run.late == 0
    assert run.audio_s > 2 * 3.0


def test_disconnected_clients_leave_nothing_behind(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    left = asyncio.run(vanish.come_and_vanish(server, 48, os.getpid()))
    assert (left.streams, left.rows, left.more_files) == (0, 0, 0)
    assert left.nothing
    # A client may arrive before the server has noticed that another left.
    assert left.answers.keys() <= {"vanished", "refused with 429"}
    assert left.answers["vanished"] >= 40
    assert sum(left.releases.values()) > 0
    assert "unexpected error" not in caplog.text


def test_a_client_that_reads_nothing_does_not_affect_others(server: Server) -> None:
    alone, beside = asyncio.run(unread.compare(server, 1.0, 3, BUFFER_S))
    for run in (alone, beside):
        assert (run.late, run.errors, run.admitted) == (0, [], 3)
