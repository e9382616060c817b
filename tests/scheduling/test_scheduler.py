"""Many streams in one running batch: each sounds as alone, in time, and none delays another."""

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
    MAX_UNCONSUMED_S,
    OFFLINE_SLACK_S,
    Chunk,
    End,
    Stream,
)
from vocoder.text.timings import SentenceTimings
from vocoder.wavenet.model import WaveNet

PATIENCE_S = 20.0
SEGMENT_FRAMES = 8


class Identity:
    """A post-filter that changes nothing."""

    def extend(self, mel: Mel) -> None:
        pass

    def push(self, samples: Samples) -> Samples:
        return samples

    def flush(self) -> Samples:
        return np.zeros(0, dtype=np.float32)


class Recorder:
    """A sink that records its events."""

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


def segments(
    model: WaveNet, frames: int, seed: int, timings: SentenceTimings | None = None
) -> Iterator[Segment | None]:
    """One utterance, cut into segments."""
    with torch.inference_mode():
        speaker = torch.eye(len(model.config.speakers))[:1]
        whole = model.condition(random_mel(model.config, 1, frames, seed), speaker)
    per_frame = model.config.features.hop_length // model.config.hold
    mel = np.zeros((model.config.features.n_mels, frames), dtype=np.float32)
    for first in range(0, frames, SEGMENT_FRAMES):
        last = min(frames, first + SEGMENT_FRAMES)
        part = slice(first * per_frame, last * per_frame)
        prediction = whole.prediction
        if prediction is not None:
            prediction = type(prediction)(*(value[:, part] for value in prediction))
        conditioning = whole._replace(
            local=whole.local[:, part], prediction=prediction, first=whole.first + part.start
        )
        start = None if first else UtteranceStart(seed, Identity(), timings)
        yield Segment(conditioning, mel[:, first:last], start, last == frames)


def alone(engine: Engine, model: WaveNet, frames: int, seed: int) -> Samples:
    """The same utterance without a scheduler."""
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
def test_each_stream_sounds_as_alone(make: Callable[[WaveNet], Engine], model: WaveNet) -> None:
    engine = make(model)
    lengths = (1, 3, 4, 8, 9, 23, 17, 5, 12)
    if make is ReferenceEngine:
        lengths = (1, 3, 9)
    scheduler = scheduler_of(engine, model.config, rows=5, threads=2)
    recorders = [Recorder() for _ in lengths]
    for seed, (length, recorder) in enumerate(zip(lengths, recorders, strict=True)):
        scheduler.add(segments(model, length, seed), recorder)
        time.sleep(0.002)
    for seed, (length, recorder) in enumerate(zip(lengths, recorders, strict=True)):
        assert np.array_equal(recorder.wait(), alone(engine, model, length, seed)), length
    assert scheduler.load.streams == scheduler.load.rows == 0
    scheduler.close()


def test_utterances_follow_each_other_with_their_timings(tiny: WaveNet) -> None:
    engine = CpuEngine(tiny)
    scheduler, recorder = scheduler_of(engine, tiny.config), Recorder()

    one, two = SentenceTimings("One.", ()), SentenceTimings("Two.", ())

    def both() -> Iterator[Segment | None]:
        yield from segments(tiny, 9, 1, one)
        yield from segments(tiny, 6, 2, two)

    scheduler.add(both(), recorder)
    expected = [alone(engine, tiny, 9, 1), alone(engine, tiny, 6, 2)]
    assert np.array_equal(recorder.wait(), np.concatenate(expected))
    assert [chunk.timings for chunk in recorder.chunks if chunk.timings] == [one, two]
    assert recorder.chunks[0].start is not None
    assert all(chunk.start is None for chunk in recorder.chunks[1:])
    scheduler.close()


def test_a_starved_source_is_woken(tiny: WaveNet) -> None:
    engine = CpuEngine(tiny)
    scheduler, recorder = scheduler_of(engine, tiny.config), Recorder()
    there = threading.Event()

    def arriving() -> Iterator[Segment | None]:
        while not there.is_set():
            yield None
        yield from segments(tiny, 4, 3)

    stream = scheduler.add(arriving(), recorder)
    time.sleep(0.05)
    assert not recorder.chunks
    there.set()
    scheduler.wake(stream)
    assert np.array_equal(recorder.wait(), alone(engine, tiny, 4, 3))
    scheduler.close()


def test_a_source_woken_while_it_runs_is_asked_again(tiny: WaveNet) -> None:
    engine = CpuEngine(tiny)
    scheduler, recorder = scheduler_of(engine, tiny.config), Recorder()
    streams: list[Stream] = []
    ready = threading.Event()

    def arriving() -> Iterator[Segment | None]:
        ready.wait(PATIENCE_S)
        scheduler.wake(streams[0])  # An item arrives after the source has looked.
        yield None
        yield from segments(tiny, 4, 3)

    streams.append(scheduler.add(arriving(), recorder))
    ready.set()
    assert np.array_equal(recorder.wait(), alone(engine, tiny, 4, 3))
    scheduler.close()


def test_an_idle_stream_holds_no_row(tiny: WaveNet) -> None:
    engine = CpuEngine(tiny)
    scheduler, recorder, other = scheduler_of(engine, tiny.config, rows=1), Recorder(), Recorder()
    more = threading.Event()

    def with_a_pause() -> Iterator[Segment | None]:
        yield from segments(tiny, 4, 1)
        while not more.is_set():
            yield None
        yield from segments(tiny, 5, 2)

    stream = scheduler.add(with_a_pause(), recorder)
    until(lambda: bool(recorder.chunks))
    scheduler.add(segments(tiny, 8, 3), other)
    assert np.array_equal(other.wait(), alone(engine, tiny, 8, 3))
    more.set()
    scheduler.wake(stream)
    expected = [alone(engine, tiny, 4, 1), alone(engine, tiny, 5, 2)]
    assert np.array_equal(recorder.wait(), np.concatenate(expected))
    scheduler.close()


def test_prepared_audio_is_delivered_before_a_failure(tiny: WaveNet) -> None:
    engine = CpuEngine(tiny)
    scheduler, recorder, other = scheduler_of(engine, tiny.config), Recorder(), Recorder()

    def failing() -> Iterator[Segment | None]:
        yield from segments(tiny, 8, 1)
        raise ValueError("no more")

    scheduler.add(failing(), recorder)
    scheduler.add(segments(tiny, 30, 2), other)
    with pytest.raises(ValueError, match="no more"):
        recorder.wait()
    assert np.array_equal(recorder.audio, alone(engine, tiny, 8, 1))
    assert np.array_equal(other.wait(), alone(engine, tiny, 30, 2))
    scheduler.close()


def test_a_cancelled_stream_frees_its_row_and_closes_its_source(tiny: WaveNet) -> None:
    engine, closed, freed = CpuEngine(tiny), threading.Event(), []
    scheduler = scheduler_of(engine, tiny.config, rows=1, released=freed.append)
    recorder, next_recorder = Recorder(), Recorder()

    def endless() -> Iterator[Segment | None]:
        try:
            while True:
                yield from segments(tiny, 40, 1)
        finally:
            closed.set()

    stream = scheduler.add(endless(), recorder)
    waiting = scheduler.add(segments(tiny, 4, 2), next_recorder)
    until(lambda: bool(recorder.chunks))
    assert waiting.row is None
    scheduler.cancel(stream)
    scheduler.cancel(stream)
    assert np.array_equal(next_recorder.wait(), alone(engine, tiny, 4, 2))
    assert closed.wait(PATIENCE_S)
    heard = len(recorder.chunks)
    time.sleep(0.05)
    assert len(recorder.chunks) == heard
    assert not recorder.ended.is_set()
    assert len(freed) == 1
    assert freed[0] < 1.0
    scheduler.close()


def test_a_stream_whose_client_stops_reading_is_paused(tiny: WaveNet) -> None:
    engine = CpuEngine(tiny)
    scheduler, unread, recorder = scheduler_of(engine, tiny.config), Recorder(), Recorder()
    frames = round(3 * MAX_UNCONSUMED_S * tiny.config.features.frame_rate_hz)
    stream = scheduler.add(segments(tiny, frames, 1), unread)
    scheduler.add(segments(tiny, 8, 2), recorder)
    recorder.wait()
    rate = tiny.config.features.sample_rate_hz
    until(lambda: sum(len(c.samples) for c in unread.chunks) > MAX_UNCONSUMED_S * rate)
    time.sleep(0.1)
    held = sum(len(chunk.samples) for chunk in unread.chunks)
    assert held < (MAX_UNCONSUMED_S + 0.5) * rate
    scheduler.consumed(stream, held)
    until(lambda: sum(len(c.samples) for c in unread.chunks) > held)
    scheduler.consumed(stream, frames * tiny.config.features.hop_length)
    assert len(unread.wait()) == frames * tiny.config.features.hop_length
    scheduler.close()


def test_files_leave_rows_for_listeners(tiny: WaveNet) -> None:
    engine = CpuEngine(tiny)
    scheduler, recorder = scheduler_of(engine, tiny.config, rows=2), Recorder()
    files = [scheduler.add(segments(tiny, 4000, seed), Recorder(), offline=True) for seed in (1, 2)]
    until(lambda: scheduler.load.rows > 0)
    time.sleep(0.05)
    assert scheduler.load.rows == 1
    scheduler.add(segments(tiny, 8, 3), recorder)
    assert np.array_equal(recorder.wait(), alone(engine, tiny, 8, 3))
    assert not any(file.ended for file in files)
    scheduler.close()


@pytest.mark.parametrize("threads", [1, 2])
def test_batches_stay_full_when_all_streams_are_urgent(
    tiny: WaveNet, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    engine, sizes = CpuEngine(tiny), []
    generate = engine.generate

    def slow(state: GenerationState, *given: Tensor, **known: bool) -> Tensor:
        sizes.append(len(given[-1]))
        time.sleep(0.2)  # Too slow for this many streams, however full the batches.
        return generate(state, *given, **known)

    monkeypatch.setattr(engine, "generate", slow)
    scheduler = scheduler_of(engine, tiny.config, rows=64, threads=threads)
    count = 3 * engine.batch_rows
    recorders = [Recorder() for _ in range(count)]
    for seed, recorder in enumerate(recorders):
        scheduler.add(segments(tiny, 24, seed), recorder)
    for recorder in recorders:
        recorder.wait()
    scheduler.close()
    middle = sizes[2:-4]
    assert sum(middle) > 0.8 * engine.batch_rows * len(middle), sizes


@pytest.mark.parametrize(("concurrency", "expected"), [(1, 1), (2, 2), (None, 3)])
def test_no_more_threads_generate_than_the_engine_allows(
    tiny: WaveNet, monkeypatch: pytest.MonkeyPatch, concurrency: int | None, expected: int
) -> None:
    engine = CpuEngine(tiny)
    monkeypatch.setattr(CpuEngine, "max_concurrency", concurrency)
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
    recorders = [Recorder() for _ in range(12)]
    for seed, recorder in enumerate(recorders):
        scheduler.add(segments(tiny, 24, seed), recorder)
    heard = [recorder.wait() for recorder in recorders]
    scheduler.close()
    assert most == [expected]
    monkeypatch.undo()
    for seed, audio in enumerate(heard):
        assert np.array_equal(audio, alone(engine, tiny, 24, seed))


def test_a_failing_engine_ends_only_the_streams_of_its_step(
    tiny: WaveNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = CpuEngine(tiny)
    scheduler, recorder, after = scheduler_of(engine, tiny.config), Recorder(), Recorder()

    def fails(*_: object, **__: object) -> None:
        raise MemoryError("none left")

    with monkeypatch.context() as patch:
        patch.setattr(engine, "generate", fails)
        scheduler.add(segments(tiny, 8, 1), recorder)
        with pytest.raises(MemoryError, match="none left"):
            recorder.wait()
    assert scheduler.alive
    scheduler.add(segments(tiny, 8, 1), after)
    assert np.array_equal(after.wait(), alone(engine, tiny, 8, 1))
    scheduler.close()


def test_closing_ends_the_remaining_streams(tiny: WaveNet) -> None:
    scheduler, recorder = scheduler_of(CpuEngine(tiny), tiny.config), Recorder()
    scheduler.add(segments(tiny, 4000, 1), recorder)
    until(lambda: bool(recorder.chunks))
    scheduler.close()
    with pytest.raises(StoppedError):
        recorder.wait()
    assert not scheduler.alive


class TestDeadlines:
    """Deadlines of streams, with the test's own clock."""

    RATE = 1000

    def stream(self, **options: object) -> Stream:
        given = {"hold": 10, "rate_hz": self.RATE, "offline": False, "now": 0.0}
        return Stream(iter(()), lambda event: None, **(given | options))  # type: ignore[arg-type]

    def deliver(self, stream: Stream, seconds: float, now: float) -> Chunk:
        samples = np.zeros(round(seconds * self.RATE), np.float32)
        chunk = stream.deliver(samples, last=False, now=now)
        assert chunk is not None
        return chunk

    def test_a_first_chunk_is_long_enough_to_keep_playing(self) -> None:
        stream, short = self.stream(), np.zeros(30, np.float32)
        assert stream.deliver(short, last=False, now=0.0) is None
        chunk = stream.deliver(short, last=False, now=0.1)
        assert chunk is not None
        assert len(chunk.samples) == 60
        # Later chunks and the end of an utterance are sent at once.
        assert stream.deliver(short, last=False, now=0.1) is not None
        assert self.stream().deliver(short, last=True, now=0.0) is not None
        assert self.stream().deliver(short[:0], last=True, now=0.0) is None

    def test_a_full_buffer_gets_larger_chunks(self) -> None:
        stream, short = self.stream(), np.zeros(50, np.float32)
        self.deliver(stream, 2.0, now=0.0)
        chunk, now = None, 0.0
        while chunk is None:
            chunk, now = stream.deliver(short, last=False, now=now), now + 0.01
        assert len(chunk.samples) == LARGE_CHUNK_S * self.RATE
        # With little buffered again, chunks are sent early.
        assert stream.deliver(short, last=False, now=now) is None
        chunk = stream.deliver(short, last=False, now=2.2)
        assert chunk is not None
        assert len(chunk.samples) == 2 * len(short)

    def test_nothing_is_held_when_nothing_follows(self) -> None:
        short = np.zeros(50, np.float32)
        for name in ("starved", "last"):
            stream = self.stream()
            self.deliver(stream, 2.0, now=0.0)
            stream.starved = name == "starved"
            assert stream.deliver(short, last=name == "last", now=0.0) is not None

    def test_a_listener_counts_as_starting_until_audio_is_buffered(self) -> None:
        stream = self.stream()
        assert stream.starting
        self.deliver(stream, 0.2, now=0.0)
        assert stream.starting
        self.deliver(stream, 0.2, now=0.05)
        assert not stream.starting

    def test_the_stream_that_runs_out_first_has_least_slack(self) -> None:
        early, late = self.stream(), self.stream()
        self.deliver(early, 1.0, now=0.0)
        self.deliver(late, 0.5, now=0.0)
        assert late.slack_s(0.25) == pytest.approx(0.25)
        assert late.slack_s(0.25) < early.slack_s(0.25)

    def test_a_late_chunk_reports_its_delay_and_playback_resumes_from_there(self) -> None:
        stream = self.stream()
        assert self.deliver(stream, 0.5, now=1.0).late_s == 0.0
        assert self.deliver(stream, 0.5, now=1.7).late_s == pytest.approx(0.2)
        assert self.deliver(stream, 0.5, now=2.1).late_s == 0.0

    def test_files_come_after_listeners_and_are_never_late(self) -> None:
        file, listener = self.stream(offline=True), self.stream()
        self.deliver(listener, 2.0, now=0.0)
        assert file.slack_s(0.0) == OFFLINE_SLACK_S > listener.slack_s(0.0)
        self.deliver(file, 0.5, now=0.0)
        assert self.deliver(file, 0.5, now=9.0).late_s == 0.0
        assert not file.starting

    def test_a_pause_in_the_input_is_not_lateness(self, tiny: WaveNet) -> None:
        stream = self.stream()
        segment = next(segments(tiny, 4, 1))
        assert segment is not None
        stream.begin_preparing(0.0)
        stream.add(segment, 0.1)
        first = self.deliver(stream, 0.5, now=0.2)
        assert first.start == pytest.approx((0.0, 0.1, 0.1))
        stream.take(10**6)
        stream.add(segment, 5.0)
        assert stream.starting
        again = self.deliver(stream, 0.5, now=5.1)
        assert again.late_s == 0.0
        assert again.start == pytest.approx((0.0, 0.0, 0.1))


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)
