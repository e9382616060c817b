"""Chunks in flight: what waits for what, and that nobody hears it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from conftest import random_model
from devices import DEVICE, SMALL_CONFIGS, moved
from generating import condition, covered, pick

from vocoder.generation.cuda.engine import TritonEngine
from vocoder.generation.cuda.streams import StreamPool
from vocoder.generation.dispatch import Engine
from vocoder.generation.noise import Noise
from vocoder.generation.reference import ReferenceEngine
from vocoder.scheduling.batch import Batch
from vocoder.scheduling.segment import Segment, UtteranceStart
from vocoder.scheduling.stream import StepInput
from vocoder.wavenet.model import WaveNet

GPU, PATIENCE_S = torch.device("cuda"), 10.0


class FakeStream:
    """A CUDA stream that says what is asked of it."""

    said: list[tuple[object, ...]]

    def __init__(self, device: torch.device) -> None:
        self.said.append(("made", self))

    def wait_stream(self, other: object) -> None:
        self.said.append(("waits for", self, other))

    def synchronize(self) -> None:
        self.said.append(("ends its work", self))

    def __enter__(self) -> None:
        self.said.append(("entered", self))

    def __exit__(self, *_: object) -> None:
        self.said.append(("left", self))


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What is asked of a GPU that is not there."""
    found: list[tuple[object, ...]] = []

    class FakeEvent:
        def __init__(self, blocking: bool) -> None:
            assert blocking

        def record(self) -> None:
            found.append(("recorded",))

        def synchronize(self) -> None:
            found.append(("waited",))

    empty = torch.empty
    monkeypatch.setattr(FakeStream, "said", found, raising=False)
    monkeypatch.setattr(torch.cuda, "Stream", FakeStream)
    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "current")
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(torch, "empty", lambda *shape, pin_memory, **kind: empty(*shape, **kind))
    return found


def test_a_stream_waits_for_its_inputs_and_is_reused(said: list[Any]) -> None:
    pool = StreamPool(GPU, 2)
    (_, first), (_, second) = said
    del said[:]
    with pool.stream():
        assert said == [("waits for", second, "current"), ("entered", second)]
        with pool.stream():
            assert said[2:] == [("waits for", first, "current"), ("entered", first)]
    del said[:]
    with pool.stream():
        assert said[0] == ("waits for", second, "current")


def test_no_more_chunks_are_in_flight_than_streams(said: list[Any]) -> None:
    pool, entered = StreamPool(GPU, 1), threading.Event()

    def enter() -> None:
        with pool.stream():
            entered.set()

    with pool.stream():
        thread = threading.Thread(target=enter)
        thread.start()
        assert not entered.wait(0.05)
    assert entered.wait(PATIENCE_S)
    thread.join()


def test_a_stream_finishes_its_work_before_an_error_releases_it(
    said: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = StreamPool(GPU, 1)
    with pytest.raises(ValueError, match="mistake"), pool.stream():
        raise ValueError("mistake")
    assert [kind for kind, *_ in said[-2:]] == ["left", "ends its work"]

    def lost(self: FakeStream) -> None:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(FakeStream, "synchronize", lost)
    for _ in range(2):  # The stream was returned to the pool.
        with pytest.raises(ValueError, match="mistake"), pool.stream():
            raise ValueError("mistake")


def test_only_the_copy_is_waited_for(said: list[Any]) -> None:
    pool, audio = StreamPool(GPU, 1), torch.randn(2, 5)
    assert torch.equal(pool.to_host(audio), audio)
    assert said[1:] == [("recorded",), ("waited",)]


def test_on_the_cpu_nothing_is_copied() -> None:
    pool, audio = StreamPool(torch.device("cpu"), 2), torch.randn(2, 5)
    with pool.stream(), pool.stream(), pool.stream():
        assert pool.to_host(audio) is audio
        assert pool.to_device(audio) is audio


# A running batch on the device that there is.


def step_input(model: WaveNet, seed: int, blocks: int, first: int) -> StepInput:
    """A row's conditioning, from its block ``first`` on."""
    conditioning = moved(pick(condition(model, 4, 4), seed % 4), DEVICE)
    mel = np.zeros((model.config.features.n_mels, 0), dtype=np.float32)
    return StepInput([], [(Segment(conditioning, mel), first, blocks)], False)


def speak(model: WaveNet, batch: Batch, rows: list[int], seeds: list[int]) -> torch.Tensor:
    """Two chunks of 4 and 5 blocks of an utterance on each row."""
    audio = []
    for first, blocks in ((0, 4), (4, 5)):
        starts = [None if first else UtteranceStart(seed, None) for seed in seeds]  # type: ignore[arg-type]
        given = [step_input(model, seed, blocks, first) for seed in seeds]
        audio.append(batch.advance(rows, starts, given, blocks))
    return torch.cat(audio, dim=1)


@pytest.fixture(params=[TritonEngine, ReferenceEngine])
def make(request: pytest.FixtureRequest) -> Callable[[WaveNet], Engine]:
    if request.param is TritonEngine:
        pytest.importorskip("triton")
    return request.param


def test_chunks_in_flight_are_what_they_are_alone(make: Callable[[WaveNet], Engine]) -> None:
    """Rows are acquired, released and acquired anew, in as many threads as the engine allows."""
    model = random_model(SMALL_CONFIGS["linear_prediction"])
    on_device = random_model(SMALL_CONFIGS["linear_prediction"]).to(DEVICE)
    engine = make(on_device)
    batch = Batch(engine, 4, model.config.hold)
    with ThreadPoolExecutor(engine.max_concurrency) as pool:
        shares = [([0, 2], [5, 6]), ([1], [7]), ([2, 0], [8, 9])]
        running = [pool.submit(speak, model, batch, *share) for share in shares[:2]]
        found = [each.result() for each in running]
        found.append(pool.submit(speak, model, batch, *shares[2]).result())
    for (_, seeds), together in zip(shares, found, strict=True):
        for seed, audio in zip(seeds, together, strict=True):
            conditioning = moved(pick(condition(model, 4, 4), seed % 4), DEVICE)
            assert covered(model, conditioning) >= audio.shape[0]
            noise = Noise(torch.tensor([seed], device=DEVICE), audio.shape[0])
            alone = engine.generate(engine.start(1), conditioning, noise)
            assert torch.equal(alone[0].cpu(), audio)


class Watch(torch.utils._python_dispatch.TorchDispatchMode):
    """Keeps the names of PyTorch's operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: object, arguments: Any = (), named: Any = None
    ) -> Any:
        self.names.append(str(function))
        return function(*arguments, **(named or {}))


class Stub:
    """Stands for a kernel, and marks where it is launched."""

    def __init__(self, watch: Watch, name: str) -> None:
        self.watch, self.name = watch, name

    def __getitem__(self, grid: object) -> Callable[..., None]:
        return lambda *_, **__: self.watch.names.append(self.name)


@pytest.fixture
def watched() -> tuple[TritonEngine, Watch]:
    pytest.importorskip("triton")
    model = random_model(SMALL_CONFIGS["mu_law"]).to(DEVICE)
    engine, watch = TritonEngine(model), Watch()
    engine._kernel, engine._project = Stub(watch, "kernel"), Stub(watch, "gates")
    return engine, watch


def test_nothing_is_read_from_the_device_before_a_launch(
    watched: tuple[TritonEngine, Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, watch = watched

    def seen(read: Callable[[torch.Tensor], object]) -> Callable[[torch.Tensor], object]:
        def seen_read(self: torch.Tensor) -> object:
            watch.names.append("read")
            return read(self)

        return seen_read

    for name in ("__int__", "__bool__", "__float__", "__index__", "item", "tolist", "cpu"):
        monkeypatch.setattr(torch.Tensor, name, seen(getattr(torch.Tensor, name)))
    batch, rows = Batch(engine, 3, engine.config.hold), [2, 0]
    given = [step_input(random_model(SMALL_CONFIGS["mu_law"]), seed, 3, 0) for seed in (1, 2)]
    with watch:
        batch.advance(rows, [UtteranceStart(3, None), None], given, 3)  # type: ignore[arg-type]
    before = watch.names[: watch.names.index("kernel")]
    assert "gates" in before
    assert not any(name == "read" or "nonzero" in name for name in before)
    conditioning = moved(condition(random_model(SMALL_CONFIGS["mu_law"]), 1), DEVICE)
    engine.generate(engine.start(1), conditioning, torch.rand(1, 3, 2, device=DEVICE))
    assert "read" in watch.names  # It is seen where it is.


def test_nothing_takes_memory_once_rows_move(
    watched: tuple[TritonEngine, Watch],
) -> None:
    engine, watch = watched
    conditioning = moved(condition(random_model(SMALL_CONFIGS["mu_law"]), 2), DEVICE)
    state, noise = engine.start(2), Noise(torch.tensor([1, 2], device=DEVICE), 5)
    with watch:
        engine.generate(state, conditioning, noise)
    after = watch.names[watch.names.index("kernel") + 1 :]
    in_place = {"aten.unsqueeze.default", "aten.eq.Tensor_out", "aten.index_copy_.default"}
    assert set(after) <= in_place, after
