"""Speed of an engine and its error in one run: on a preset's shape with random weights, or on a
voice's own.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Self

import torch
from pydantic import Field
from torch import Tensor

from vocoder.config import ModelConfig, Settings, preset
from vocoder.generation import dispatch
from vocoder.generation.cpu.engine import CpuEngine
from vocoder.generation.dispatch import Engine
from vocoder.generation.noise import uniforms
from vocoder.generation.reference import ReferenceEngine
from vocoder.synthesizer import CHUNK_FRAMES
from vocoder.voice import Voice
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.model import Signal, WaveNet

CHECKED_SAMPLES = 400


class Speed(Settings):
    """One measurement."""

    engine: str = Field(description="name of the engine")
    preset: str = Field(description="name of the model's shape, or id of the voice")
    streams: int = Field(description="rows generated at once")
    threads: int = Field(description="threads it ran with")
    weights: str = Field(description="number format of the weights")
    instructions: str = Field(description="instruction set of the cpu engine; else empty")
    weight_bytes: int | None = Field(description="size of the cpu engine's packed weights")
    samples_per_second: float = Field(description="summed over streams")
    microseconds_per_step: float = Field(description="one sample of every stream, on average")
    best_microseconds_per_step: float = Field(description="likewise, in the fastest chunk")
    real_time_streams: float = Field(description="samples_per_second / sample_rate_hz")
    max_error_against_reference: float | None = Field(
        description="largest difference of a distribution parameter from the reference engine's; "
        "of the reference's from the parallel forward's"
    )
    speedup_over_peer: float | None = Field(
        None, description="median ratio of speeds where a peer ran in turn"
    )

    def line(self) -> str:
        """The measurement in one line for people."""
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


class Subject(NamedTuple):
    """A model, and what the reference engine makes of a signal under it.

    Attributes:
        preset: the shape's name, or the voice's id.
        model: with random weights, or the voice's.
        audio: random samples (1, T).
        signal: the same, as the model sees them.
        conditioning: one row that covers them.
        parameters: of the reference engine's trace along them (1, T, P).
    """

    preset: str
    model: WaveNet
    audio: Tensor
    signal: Signal
    conditioning: Conditioning
    parameters: Tensor

    @classmethod
    def of(cls, preset_name: str) -> Self:
        """A preset's shape with random weights.

        Raises:
            ConfigError: unknown preset.
        """
        return cls.of_model(preset_name, random_model(preset(preset_name)))

    @classmethod
    @torch.no_grad()
    def of_model(cls, name: str, model: WaveNet) -> Self:
        """Run the reference on a model."""
        generator = torch.Generator().manual_seed(0)
        audio = (torch.randn(1, CHECKED_SAMPLES, generator=generator) * 0.2).clamp(-1, 0.999)
        conditioning = random_conditioning(model, 1, CHECKED_SAMPLES)
        signal = model.signal(audio, conditioning.prediction)
        parameters = _trace(ReferenceEngine(model), conditioning, signal)
        return cls(name, model, audio, signal, conditioning, parameters)

    @torch.no_grad()
    def error(self, engine: Engine) -> float:
        """Largest difference of a distribution parameter from the reference's.

        The reference engine itself is held to the parallel forward.
        """
        if engine.name == ReferenceEngine.name:
            found = self.model(self.audio, self.conditioning)
        else:
            found = _trace(engine, self.conditioning, self.signal)
        return float((found - self.parameters).abs().max())


def _trace(engine: Engine, conditioning: Conditioning, signal: Signal) -> Tensor:
    seeds = torch.zeros(1, dtype=torch.int64)
    noise = uniforms(seeds, seeds, signal.samples.shape[1])
    return engine.trace(engine.start(1), conditioning, signal, noise).parameters


class Run(NamedTuple):
    """What is timed: one call of ``advance`` generates ``steps`` samples of every stream."""

    steps: int
    advance: Callable[[], object]

    def seconds(self) -> float:
        """Time of one call."""
        began = time.perf_counter()
        self.advance()
        return time.perf_counter() - began


def random_model(config: ModelConfig, seed: int = 0) -> WaveNet:
    """A model with weights from ``seed``, its output layer not zero as it is before training."""
    torch.manual_seed(seed)
    model = WaveNet(config).eval()
    torch.nn.init.normal_(model.output.weight, std=0.1)
    return model


def random_conditioning(model: WaveNet, rows: int, samples: int, seed: int = 0) -> Conditioning:
    """Conditioning from a random mel and speakers in turn, long enough for ``samples``."""
    config, generator = model.config, torch.Generator().manual_seed(seed)
    frames = config.features.frames(samples)
    mel = torch.randn(rows, config.features.n_mels, frames, generator=generator) * 2 - 13
    speakers = torch.eye(len(config.speakers))[torch.arange(rows) % len(config.speakers)]
    return model.condition(mel.to(model.device), speakers.to(model.device))


@contextlib.contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let PyTorch use that many threads meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@torch.no_grad()
def engine_run(model: WaveNet, engine: Engine, streams: int) -> Run:
    """Streams that go on for as long as they are asked to, a chunk a call.

    A chunk is as long as the synthesizer's; one frame with the reference engine, which is slow.
    Every chunk has the same mel and noise.
    """
    frames = 1 if engine.name == ReferenceEngine.name else CHUNK_FRAMES
    steps = frames * model.config.features.hop_length
    conditioning = random_conditioning(model, streams, steps)
    noise = uniforms(torch.arange(streams), torch.zeros(streams, dtype=torch.int64), steps)
    state, hold = engine.start(streams), model.config.hold

    def advance() -> None:
        window = conditioning._replace(first=state.position // hold)
        engine.generate(state, window, noise)

    return Run(steps, advance)


def measure(
    preset_name: str,
    engine: str = dispatch.AUTO,
    *,
    weights: str | None = None,
    streams: int = 1,
    threads: int = 1,
    seconds: float = 1.0,
) -> Speed:
    """Choose an engine for a preset and measure it; see :func:`measure_engine`.

    Raises:
        UserError: unknown preset, engine or format, or an engine that cannot run it here.
    """
    subject, runner = choose(preset_name, engine, weights=weights, threads=threads)
    return measure_engine(subject, runner, streams=streams, threads=threads, seconds=seconds)


def measure_voice(
    voice: Voice,
    engine: str = dispatch.AUTO,
    *,
    weights: str | None = None,
    streams: int = 1,
    threads: int = 1,
    seconds: float = 1.0,
) -> Speed:
    """Choose an engine for a voice's model and measure it, bare: see :func:`measure_engine`.

    Raises:
        UserError: unknown engine or format, or an engine that cannot run the voice here.
    """
    with torch_threads(threads):
        subject = Subject.of_model(voice.id, voice.model)
        temperature = voice.manifest.generation.temperature
        runner = dispatch.create(
            voice.model, engine, temperature=temperature, weights=weights, threads=threads
        )
    return measure_engine(subject, runner, streams=streams, threads=threads, seconds=seconds)


def choose(
    preset_name: str, engine: str, *, weights: str | None, threads: int
) -> tuple[Subject, Engine]:
    """A preset's model and the engine that shall run it.

    Raises:
        UserError: unknown preset, engine or format, or an engine that cannot run it here.
    """
    with torch_threads(threads):
        subject = Subject.of(preset_name)
        return subject, dispatch.create(subject.model, engine, weights=weights, threads=threads)


def measure_engine(
    subject: Subject, engine: Engine, *, streams: int, threads: int, seconds: float
) -> Speed:
    """Generate for at least ``seconds`` after a warm-up, and check the error.

    Args:
        subject: whose model's weights the engine has.
        engine: made for that many threads.
        streams: rows generated at once.
        threads: also PyTorch's.
        seconds: least time measured; the warm-up comes on top.
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
    """The measurement of an engine from the times of its chunks of ``steps``."""
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
