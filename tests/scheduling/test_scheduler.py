"""Many streams in one running batch: each as alone, each in time, none in another's way."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from conftest import CONFIGS, random_mel, random_model
from torch import Tensor

from vocoder.audio.io import Samples
from vocoder.config import ModelConfig
from vocoder.generation.cpu import CpuEngine
from vocoder.generation.dispatch import Engine
from vocoder.generation.noise import uniforms
from vocoder.generation.reference import ReferenceEngine
from vocoder.generation.state import GenerationState
from vocoder.scheduling.scheduler import Scheduler, StoppedError
from vocoder.scheduling.segment import Mel, Segment, UtteranceStart
from vocoder.scheduling.stream import (
    LARGE_CHUNK_S,
    OFFLINE_PATIENCE_S,
    UNTAKEN_S,
    Chunk,
    End,
    Stream,
)
from vocoder.wavenet.model import WaveNet

PATIENCE_S = 20.0
PIECE_FRAMES = 8


class Untouched:
    """A finisher that gives what it takes."""

    def extend(self, mel: Mel) -> None:
        pass

    def push(self, samples: Samples) -> Samples:
        return samples

    def flush(self) -> Samples:
        return np.zeros(0, dtype=np.float32)


class Ear:
    """A sink that keeps what it hears."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self.ended = threading.Event()
        self.error: BaseException | None = None

    def __call__(self, event: Chunk | End) -> None:
        if isinstance(event, Chunk):
            self.chunks.append(event)
        else:
            self.error = event.error
            self.ended.set()

    @property
    def audio(self) -> Samples:
        return np.concatenate([chunk.samples for chunk in self.chunks])

    def wait(self) -> Samples:
        assert self.ended.wait(PATIENCE_S)
        if self.error:
            raise self.error
        return self.audio


def pieces(
    model: WaveNet, frames: int, seed: int, label: object = None
) -> Iterator[Segment | None]:
    """One utterance, cut into pieces."""
    with torch.inference_mode():
        speaker = torch.eye(len(model.config.speakers))[:1]
        whole = model.condition(random_mel(model.config, 1, frames, seed), speaker)
    per_frame = model.config.features.hop_length // model.config.hold
    mel = np.zeros((model.config.features.n_mels, frames), dtype=np.float32)
    for first in range(0, frames, PIECE_FRAMES):
        last = min(frames, first + PIECE_FRAMES)
        part = slice(first * per_frame, last * per_frame)
        prediction = whole.prediction
        if prediction is not None:
            prediction = type(prediction)(*(value[:, part] for value in prediction))
        conditioning = whole._replace(
            local=whole.local[:, part], prediction=prediction, first=whole.first + part.start
        )
        beginning = None if first else UtteranceStart(seed, Untouched(), label)
        yield Segment(conditioning, mel[:, first:last], beginning, last == frames)


def alone(engine: Engine, model: WaveNet, frames: int, seed: int) -> Samples:
    """The same utterance without any scheduler."""
    with torch.inference_mode():
        speaker = torch.eye(len(model.config.speakers))[:1]
        conditioning = model.condition(random_mel(model.config, 1, frames, seed), speaker)
    noise = uniforms(
        torch.tensor([seed]), torch.tensor([0]), frames * model.config.features.hop_length
    )
    return engine.generate(engine.start(1), conditioning, noise)[0].numpy()


def scheduler_of(engine: Engine, config: ModelConfig, **options: object) -> Scheduler:
    return Scheduler(
        engine,
        hop_length=config.features.hop_length,
        hold=config.hold,
        rate_hz=config.features.sample_rate_hz,
        **options,  # type: ignore[arg-type]
    )


@pytest.fixture(params=["mu_law", "linear_prediction", "hold_1", "odd"])
def model(request: pytest.FixtureRequest) -> WaveNet:
    return random_model(CONFIGS[request.param])


@pytest.fixture
def tiny() -> WaveNet:
    return random_model(CONFIGS["mu_law"])


@pytest.mark.parametrize("make", [CpuEngine, ReferenceEngine])
def test_each_stream_is_what_it_is_alone(make: Callable[[WaveNet], Engine], model: WaveNet) -> None:
    engine = make(model)
    lengths = (1, 3, 4, 8, 9, 23, 17, 5, 12)
    if make is ReferenceEngine:
        lengths = (1, 3, 9)
    scheduler = scheduler_of(engine, model.config, rows=5, threads=2)
    ears = [Ear() for _ in lengths]
    for seed, (length, ear) in enumerate(zip(lengths, ears, strict=True)):
        scheduler.add(pieces(model, length, seed), ear)
        time.sleep(0.002)
    for seed, (length, ear) in enumerate(zip(lengths, ears, strict=True)):
        assert np.array_equal(ear.wait(), alone(engine, model, length, seed)), length
    assert scheduler.load.streams == scheduler.load.rows == 0
    scheduler.close()


def test_utterances_follow_each_other_with_their_labels(tiny: WaveNet) -> None:
    engine = CpuEngine(tiny)
    scheduler, ear = scheduler_of(engine, tiny.config), Ear()

    def two() -> Iterator[Segment | None]:
        yield from pieces(tiny, 9, 1, "one")
        yield from pieces(tiny, 6, 2, "two")

    scheduler.add(two(), ear)
    expected = [alone(engine, tiny, 9, 1), alone(engine, tiny, 6, 2)]
    assert np.array_equal(ear.wait(), np.concatenate(expected))
    assert [chunk.label for chunk in ear.chunks if chunk.label] == ["one", "two"]
    assert ear.chunks[0].start is not None
    assert all(chunk.start is None for chunk in ear.chunks[1:])
    scheduler.close()


def test_a_source_that_has_nothing_yet_is_woken(tiny: WaveNet) -> None:
    engine = CpuEngine(tiny)
    scheduler, ear = scheduler_of(engine, tiny.config), Ear()
    there = threading.Event()

    def arriving() -> Iterator[Segment | None]:
        while not there.is_set():
            yield None
        yield from pieces(tiny, 4, 3)

    stream = scheduler.add(arriving(), ear)
    time.sleep(0.05)
    assert not ear.chunks
    there.set()
    scheduler.wake(stream)
    assert np.array_equal(ear.wait(), alone(engine, tiny, 4, 3))
    scheduler.close()


def test_a_source_that_is_woken_while_it_looks_is_asked_again(tiny: WaveNet) -> None:
    engine = CpuEngine(tiny)
    scheduler, ear = scheduler_of(engine, tiny.config), Ear()
    streams: list[Stream] = []
    ready = threading.Event()

    def arriving() -> Iterator[Segment | None]:
        ready.wait(PATIENCE_S)
        scheduler.wake(streams[0])  # Something came after the source had looked.
        yield None
        yield from pieces(tiny, 4, 3)

    streams.append(scheduler.add(arriving(), ear))
    ready.set()
    assert np.array_equal(ear.wait(), alone(engine, tiny, 4, 3))
    scheduler.close()


def test_a_silent_stream_holds_no_row(tiny: WaveNet) -> None:
    engine = CpuEngine(tiny)
    scheduler, ear, other = scheduler_of(engine, tiny.config, rows=1), Ear(), Ear()
    more = threading.Event()

    def with_a_pause() -> Iterator[Segment | None]:
        yield from pieces(tiny, 4, 1)
        while not more.is_set():
            yield None
        yield from pieces(tiny, 5, 2)

    stream = scheduler.add(with_a_pause(), ear)
    until(lambda: bool(ear.chunks))
    scheduler.add(pieces(tiny, 8, 3), other)
    assert np.array_equal(other.wait(), alone(engine, tiny, 8, 3))
    more.set()
    scheduler.wake(stream)
    expected = [alone(engine, tiny, 4, 1), alone(engine, tiny, 5, 2)]
    assert np.array_equal(ear.wait(), np.concatenate(expected))
    scheduler.close()


def test_what_was_prepared_is_heard_before_a_failure(tiny: WaveNet) -> None:
    engine = CpuEngine(tiny)
    scheduler, ear, other = scheduler_of(engine, tiny.config), Ear(), Ear()

    def failing() -> Iterator[Segment | None]:
        yield from pieces(tiny, 8, 1)
        raise ValueError("no more")

    scheduler.add(failing(), ear)
    scheduler.add(pieces(tiny, 30, 2), other)
    with pytest.raises(ValueError, match="no more"):
        ear.wait()
    assert np.array_equal(ear.audio, alone(engine, tiny, 8, 1))
    assert np.array_equal(other.wait(), alone(engine, tiny, 30, 2))
    scheduler.close()


def test_a_cancelled_stream_frees_its_row_and_closes_its_source(tiny: WaveNet) -> None:
    engine, closed, freed = CpuEngine(tiny), threading.Event(), []
    scheduler = scheduler_of(engine, tiny.config, rows=1, released=freed.append)
    ear, next_ear = Ear(), Ear()

    def endless() -> Iterator[Segment | None]:
        try:
            while True:
                yield from pieces(tiny, 40, 1)
        finally:
            closed.set()

    stream = scheduler.add(endless(), ear)
    waiting = scheduler.add(pieces(tiny, 4, 2), next_ear)
    until(lambda: bool(ear.chunks))
    assert waiting.row is None
    scheduler.cancel(stream)
    scheduler.cancel(stream)
    assert np.array_equal(next_ear.wait(), alone(engine, tiny, 4, 2))
    assert closed.wait(PATIENCE_S)
    heard = len(ear.chunks)
    time.sleep(0.05)
    assert len(ear.chunks) == heard
    assert not ear.ended.is_set()
    assert len(freed) == 1
    assert freed[0] < 1.0
    scheduler.close()


def test_who_takes_nothing_rests_and_the_others_go_on(tiny: WaveNet) -> None:
    engine = CpuEngine(tiny)
    scheduler, deaf, ear = scheduler_of(engine, tiny.config), Ear(), Ear()
    frames = round(3 * UNTAKEN_S * tiny.config.features.frame_rate_hz)
    stream = scheduler.add(pieces(tiny, frames, 1), deaf)
    scheduler.add(pieces(tiny, 8, 2), ear)
    ear.wait()
    rate = tiny.config.features.sample_rate_hz
    until(lambda: sum(len(c.samples) for c in deaf.chunks) > UNTAKEN_S * rate)
    time.sleep(0.1)
    held = sum(len(chunk.samples) for chunk in deaf.chunks)
    assert held < (UNTAKEN_S + 0.5) * rate
    scheduler.consumed(stream, held)
    until(lambda: sum(len(c.samples) for c in deaf.chunks) > held)
    scheduler.consumed(stream, frames * tiny.config.features.hop_length)
    assert len(deaf.wait()) == frames * tiny.config.features.hop_length
    scheduler.close()


def test_files_leave_rows_for_listeners(tiny: WaveNet) -> None:
    engine = CpuEngine(tiny)
    scheduler, ear = scheduler_of(engine, tiny.config, rows=2), Ear()
    files = [scheduler.add(pieces(tiny, 4000, seed), Ear(), offline=True) for seed in (1, 2)]
    until(lambda: scheduler.load.rows > 0)
    time.sleep(0.05)
    assert scheduler.load.rows == 1
    scheduler.add(pieces(tiny, 8, 3), ear)
    assert np.array_equal(ear.wait(), alone(engine, tiny, 8, 3))
    assert not any(file.ended for file in files)
    scheduler.close()


@pytest.mark.parametrize("threads", [1, 2])
def test_batches_stay_full_where_all_are_in_haste(
    tiny: WaveNet, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    engine, sizes = CpuEngine(tiny), []
    generate = engine.generate

    def slow(state: GenerationState, *given: Tensor, **known: bool) -> Tensor:
        sizes.append(len(given[-1]))
        time.sleep(0.2)  # Too slow for so many, however full the batches are.
        return generate(state, *given, **known)

    monkeypatch.setattr(engine, "generate", slow)
    scheduler = scheduler_of(engine, tiny.config, rows=64, threads=threads)
    count = 3 * engine.batch_rows
    ears = [Ear() for _ in range(count)]
    for seed, ear in enumerate(ears):
        scheduler.add(pieces(tiny, 24, seed), ear)
    for ear in ears:
        ear.wait()
    scheduler.close()
    middle = sizes[2:-4]
    assert sum(middle) > 0.8 * engine.batch_rows * len(middle), sizes


@pytest.mark.parametrize(("lanes", "expected"), [(1, 1), (2, 2), (None, 3)])
def test_as_many_threads_generate_as_the_engine_has_lanes(
    tiny: WaveNet, monkeypatch: pytest.MonkeyPatch, lanes: int | None, expected: int
) -> None:
    engine = CpuEngine(tiny)
    monkeypatch.setattr(CpuEngine, "lanes", lanes)
    monkeypatch.setattr(CpuEngine, "batch_rows", 2)
    generate, lock, running, most = engine.generate, threading.Lock(), [0], [0]

    def counted(state: GenerationState, *given: Tensor, **known: bool) -> Tensor:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.02)
        audio = generate(state, *given, **known)
        with lock:
            running[0] -= 1
        return audio

    monkeypatch.setattr(engine, "generate", counted)
    scheduler = scheduler_of(engine, tiny.config, threads=3)
    ears = [Ear() for _ in range(12)]
    for seed, ear in enumerate(ears):
        scheduler.add(pieces(tiny, 24, seed), ear)
    heard = [ear.wait() for ear in ears]
    scheduler.close()
    assert most == [expected]
    monkeypatch.undo()
    for seed, audio in enumerate(heard):
        assert np.array_equal(audio, alone(engine, tiny, 24, seed))


def test_an_engine_that_fails_breaks_off_its_streams_and_no_more(
    tiny: WaveNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = CpuEngine(tiny)
    scheduler, ear, after = scheduler_of(engine, tiny.config), Ear(), Ear()

    def fails(*_: object, **__: object) -> None:
        raise MemoryError("none left")

    with monkeypatch.context() as patch:
        patch.setattr(engine, "generate", fails)
        scheduler.add(pieces(tiny, 8, 1), ear)
        with pytest.raises(MemoryError, match="none left"):
            ear.wait()
    assert scheduler.alive
    scheduler.add(pieces(tiny, 8, 1), after)
    assert np.array_equal(after.wait(), alone(engine, tiny, 8, 1))
    scheduler.close()


def test_closing_breaks_off_what_remains(tiny: WaveNet) -> None:
    scheduler, ear = scheduler_of(CpuEngine(tiny), tiny.config), Ear()
    scheduler.add(pieces(tiny, 4000, 1), ear)
    until(lambda: bool(ear.chunks))
    scheduler.close()
    with pytest.raises(StoppedError):
        ear.wait()
    assert not scheduler.alive


class TestTheOrder:
    """Deadlines of streams, by a clock of the test."""

    RATE = 1000

    def stream(self, **options: object) -> Stream:
        given = {"hold": 10, "rate_hz": self.RATE, "offline": False, "now": 0.0}
        return Stream(iter(()), lambda event: None, **(given | options))  # type: ignore[arg-type]

    def heard(self, stream: Stream, seconds: float, now: float) -> Chunk:
        samples = np.zeros(round(seconds * self.RATE), np.float32)
        chunk = stream.deliver(samples, last=False, now=now)
        assert chunk is not None
        return chunk

    def test_a_first_chunk_is_not_too_short_to_play_on(self) -> None:
        stream, short = self.stream(), np.zeros(30, np.float32)
        assert stream.deliver(short, last=False, now=0.0) is None
        chunk = stream.deliver(short, last=False, now=0.1)
        assert chunk is not None
        assert len(chunk.samples) == 60
        # Later ones and the end of an utterance go out as they are.
        assert stream.deliver(short, last=False, now=0.1) is not None
        assert self.stream().deliver(short, last=True, now=0.0) is not None
        assert self.stream().deliver(short[:0], last=True, now=0.0) is None

    def test_who_has_much_ahead_is_sent_larger_chunks(self) -> None:
        stream, short = self.stream(), np.zeros(50, np.float32)
        self.heard(stream, 2.0, now=0.0)
        chunk, now = None, 0.0
        while chunk is None:
            chunk, now = stream.deliver(short, last=False, now=now), now + 0.01
        assert len(chunk.samples) == LARGE_CHUNK_S * self.RATE
        # In haste again, nothing is kept.
        assert stream.deliver(short, last=False, now=now) is None
        chunk = stream.deliver(short, last=False, now=2.2)
        assert chunk is not None
        assert len(chunk.samples) == 2 * len(short)

    def test_nothing_is_kept_where_nothing_follows(self) -> None:
        short = np.zeros(50, np.float32)
        for name in ("starved", "last"):
            stream = self.stream()
            self.heard(stream, 2.0, now=0.0)
            stream.starved = name == "starved"
            assert stream.deliver(short, last=name == "last", now=0.0) is not None

    def test_a_listener_starts_until_there_is_something_ahead(self) -> None:
        stream = self.stream()
        assert stream.starting
        self.heard(stream, 0.2, now=0.0)
        assert stream.starting
        self.heard(stream, 0.2, now=0.05)
        assert not stream.starting

    def test_the_one_that_runs_out_first_comes_first(self) -> None:
        early, late = self.stream(), self.stream()
        self.heard(early, 1.0, now=0.0)
        self.heard(late, 0.5, now=0.0)
        assert late.slack_s(0.25) == pytest.approx(0.25)
        assert late.slack_s(0.25) < early.slack_s(0.25)

    def test_a_late_chunk_says_by_how_much_and_play_goes_on_from_there(self) -> None:
        stream = self.stream()
        assert self.heard(stream, 0.5, now=1.0).late_s == 0.0
        assert self.heard(stream, 0.5, now=1.7).late_s == pytest.approx(0.2)
        assert self.heard(stream, 0.5, now=2.1).late_s == 0.0

    def test_files_come_after_listeners_and_are_never_late(self) -> None:
        file, listener = self.stream(offline=True), self.stream()
        self.heard(listener, 2.0, now=0.0)
        assert file.slack_s(0.0) == OFFLINE_PATIENCE_S > listener.slack_s(0.0)
        self.heard(file, 0.5, now=0.0)
        assert self.heard(file, 0.5, now=9.0).late_s == 0.0
        assert not file.starting

    def test_a_pause_of_the_text_is_not_lateness(self, tiny: WaveNet) -> None:
        stream = self.stream()
        piece = next(pieces(tiny, 4, 1))
        assert piece is not None
        stream.begin(0.0)
        stream.add(piece, 0.1)
        first = self.heard(stream, 0.5, now=0.2)
        assert first.start == pytest.approx((0.0, 0.1, 0.1))
        stream.take(10**6)
        stream.add(piece, 5.0)
        assert stream.starting
        again = self.heard(stream, 0.5, now=5.1)
        assert again.late_s == 0.0
        assert again.start == pytest.approx((0.0, 0.0, 0.1))


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)
