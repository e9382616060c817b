"""Speed and error of an engine, on a preset's shape with random weights or on a voice."""

import contextlib
import copy
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from pydantic import Field

from vocoder.bench.subject import Subject, device_of, noise_of, on_device, random_conditioning
from vocoder.config import StrictModel
from vocoder.generation import dispatch
from vocoder.generation.cpu import CpuEngine
from vocoder.generation.dispatch import Engine
from vocoder.generation.reference import ReferenceEngine
from vocoder.machine import CPU
from vocoder.synthesis.synthesizer import CHUNK_FRAMES
from vocoder.voices.voice import Voice
from vocoder.wavenet.model import WaveNet


class Speed(StrictModel):
    """One measurement."""

    engine: str = Field(description="name of the engine")
    preset: str = Field(description="name of the model's shape, or id of the voice")
    streams: int = Field(description="number of streams generated at once")
    threads: int = Field(description="number of threads")
    weights: str = Field(description="number format of the weights")
    instructions: str = Field(description="instruction set of the cpu engine; empty for others")
    weight_bytes: int | None = Field(description="size of the cpu engine's packed weights")
    samples_per_second: float = Field(description="summed over streams")
    microseconds_per_step: float = Field(description="mean time for one sample of every stream")
    best_microseconds_per_step: float = Field(description="the same in the fastest chunk")
    real_time_streams: float = Field(description="samples_per_second / sample_rate_hz")
    max_error_against_reference: float | None = Field(
        description="largest difference of a distribution parameter from the reference engine; "
        "for the reference engine, from the parallel forward"
    )
    speedup_over_peer: float | None = Field(
        None, description="median ratio of speeds, if measured with a peer"
    )

    def line(self) -> str:
        """The measurement as one line of text."""
        error, ratio = self.max_error_against_reference, self.speedup_over_peer
        best = f"(best {self.best_microseconds_per_step:.1f})"
        return (
            f"{self.engine:<15} {self.preset:<8} {self.weights:<4} {self.instructions:<10} "
            f"{self.streams:>3} streams {self.threads} threads  "
            f"{self.samples_per_second:>9.0f} samples/s  "
            f"{self.microseconds_per_step:>7.1f} us/step {best:<13}  "
            f"{self.real_time_streams:>7.3f} x real time  "
            f"error {'none' if error is None else f'{error:.1e}'}"
            + ("" if ratio is None else f"  {ratio:.1f} x the peer")
        )


class Run(NamedTuple):
    """The function to time: ``advance`` generates ``steps`` samples of every stream."""

    steps: int
    advance: Callable[[], object]

    def seconds(self) -> float:
        """Time of one call in seconds."""
        began = time.perf_counter()
        self.advance()
        return time.perf_counter() - began


@contextlib.contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Set PyTorch's number of threads inside the context."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@torch.no_grad()
def engine_run(model: WaveNet, engine: Engine, streams: int) -> Run:
    """Endless streams that generate one chunk per call.

    A chunk has the length of the synthesizer's, or one frame for the slow reference engine. All
    chunks have the same mel.
    """
    frames = 1 if engine.name == ReferenceEngine.name else CHUNK_FRAMES
    steps, device = frames * model.config.features.hop_length, device_of(engine)
    conditioning = on_device(device, random_conditioning(model, streams, steps))
    noise = noise_of(streams, steps, device)
    state, hold = engine.start(streams), model.config.hold

    def advance() -> None:
        window = conditioning._replace(first=state.position // hold)
        engine.generate(state, window, noise).cpu()

    return Run(steps, advance)


def measure(
    preset_name: str,
    engine: str = dispatch.AUTO,
    *,
    weights: str | None = None,
    device: torch.device = CPU,
    streams: int = 1,
    threads: int = 1,
    seconds: float = 1.0,
) -> Speed:
    """Choose an engine for a preset and measure it; see :func:`measure_engine`.

    Raises:
        UserError: the preset, engine or format is unknown, or the engine cannot run here.
    """
    subject, runner = choose(preset_name, engine, weights=weights, threads=threads, device=device)
    return measure_engine(subject, runner, streams=streams, threads=threads, seconds=seconds)


def measure_voice(
    voice: Voice,
    engine: str = dispatch.AUTO,
    *,
    weights: str | None = None,
    device: torch.device = CPU,
    streams: int = 1,
    threads: int = 1,
    seconds: float = 1.0,
) -> Speed:
    """Choose an engine for a voice's model and measure it; see :func:`measure_engine`.

    Raises:
        UserError: the engine or format is unknown, or the engine cannot run the voice here.
    """
    with torch_threads(threads):
        subject = Subject.from_model(voice.id, voice.model)
        temperature = voice.manifest.generation.temperature
        model = _copy_on(device, voice.model)
        runner = dispatch.create(
            model, engine, temperature=temperature, weights=weights, threads=threads
        )
    return measure_engine(subject, runner, streams=streams, threads=threads, seconds=seconds)


def choose(
    preset_name: str,
    engine: str,
    *,
    weights: str | None,
    threads: int,
    device: torch.device = CPU,
) -> tuple[Subject, Engine]:
    """A preset's model and an engine for it.

    Raises:
        UserError: the preset, engine or format is unknown, or the engine cannot run here.
    """
    with torch_threads(threads):
        subject = Subject.from_preset(preset_name)
        model = _copy_on(device, subject.model)
        return subject, dispatch.create(model, engine, weights=weights, threads=threads)


def _copy_on(device: torch.device, model: WaveNet) -> WaveNet:
    """A copy of the model on a device; the reference keeps the one on the CPU."""
    return model if device.type == "cpu" else copy.deepcopy(model).to(device)


def measure_engine(
    subject: Subject, engine: Engine, *, streams: int, threads: int, seconds: float
) -> Speed:
    """Generate for at least ``seconds`` after a warm-up, and measure the error.

    Args:
        subject: the model that the engine runs.
        engine: engine for this number of threads.
        streams: number of streams generated at once.
        threads: number of threads, also for PyTorch.
        seconds: minimum time, not counting the warm-up.
    """
    with torch_threads(threads):
        run = engine_run(subject.model, engine, streams)
        run.advance()
        times: list[float] = []
        spent = 0.0
        while spent < seconds:
            times.append(run.seconds())
            spent += times[-1]
        return speed_of(subject, engine, run.steps, times, streams=streams, threads=threads)


def speed_of(
    subject: Subject,
    engine: Engine,
    steps: int,
    times: Sequence[float],
    *,
    streams: int = 1,
    threads: int = 1,
    speedup_over_peer: float | None = None,
) -> Speed:
    """The result for an engine from the times of its chunks of ``steps`` samples."""
    native = engine if isinstance(engine, CpuEngine) else None
    step_s = sum(times) / len(times) / steps
    return Speed(
        engine=engine.name,
        preset=subject.preset,
        streams=streams,
        threads=threads,
        weights=engine.weights,
        instructions=native.instructions if native else "",
        weight_bytes=native.weight_bytes if native else None,
        samples_per_second=streams / step_s,
        microseconds_per_step=step_s * 1e6,
        best_microseconds_per_step=min(times) / steps * 1e6,
        real_time_streams=streams / step_s / subject.model.config.features.sample_rate_hz,
        max_error_against_reference=subject.error(engine),
        speedup_over_peer=speedup_over_peer,
    )
