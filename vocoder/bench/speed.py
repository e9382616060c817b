"""Speed of an engine on a preset, and its error against the parallel forward, in one run."""

import time

import torch
from pydantic import Field

from vocoder.config import ModelConfig, Settings, preset
from vocoder.generation import dispatch
from vocoder.generation.noise import uniforms
from vocoder.generation.reference import ReferenceEngine
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.model import WaveNet

CHECKED_SAMPLES = 400


class Speed(Settings):
    """One measurement."""

    engine: str = Field(description="name of the engine")
    preset: str = Field(description="name of the model's shape")
    streams: int = Field(description="rows generated at once")
    threads: int = Field(description="threads it ran with")
    weights: str = Field(description="number format of the weights")
    samples_per_second: float = Field(description="summed over streams")
    microseconds_per_step: float = Field(description="one sample of every stream")
    real_time_streams: float = Field(description="samples_per_second / sample_rate_hz")
    max_error_against_reference: float = Field(
        description="largest difference of a distribution parameter from the parallel forward"
    )

    def line(self) -> str:
        """The measurement in one line for people."""
        return (
            f"{self.engine:<10} {self.preset:<9} {self.streams:>4} streams {self.threads} threads "
            f"{self.weights}  {self.samples_per_second:>10.0f} samples/s  "
            f"{self.microseconds_per_step:>8.1f} us/step  "
            f"{self.real_time_streams:>7.3f} x real time  "
            f"error {self.max_error_against_reference:.1e}"
        )


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


@torch.inference_mode()
def measure(preset_name: str, engine: str, *, streams: int, threads: int, seconds: float) -> Speed:
    """Generate for at least ``seconds`` and time it, after a warm-up and a check of the error.

    Raises:
        UserError: unknown preset or engine, or an engine that cannot run it here.
    """
    config = preset(preset_name)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        model = random_model(config)
        runner = dispatch.create(model, engine)
        error = _error(model)
        hop = config.features.hop_length
        conditioning = random_conditioning(model, streams, hop)
        noise = uniforms(torch.arange(streams), torch.zeros(streams, dtype=torch.int64), hop)
        runner.generate(runner.start(streams), conditioning, noise)
        done, spent = 0, 0.0
        while spent < seconds:
            state = runner.start(streams)
            began = time.perf_counter()
            runner.generate(state, conditioning, noise)
            spent += time.perf_counter() - began
            done += hop
    finally:
        torch.set_num_threads(before)
    rate = done * streams / spent
    return Speed(
        engine=runner.name,
        preset=preset_name,
        streams=streams,
        threads=threads,
        weights="fp32",
        samples_per_second=rate,
        microseconds_per_step=spent / done * 1e6,
        real_time_streams=rate / config.features.sample_rate_hz,
        max_error_against_reference=error,
    )


def _error(model: WaveNet) -> float:
    """The incremental step's parameters beside the parallel forward's, over the same samples."""
    engine, seeds = ReferenceEngine(model), torch.zeros(1, dtype=torch.int64)
    conditioning = random_conditioning(model, 1, CHECKED_SAMPLES)
    noise = uniforms(seeds, seeds, CHECKED_SAMPLES)
    audio = engine.generate(engine.start(1), conditioning, noise)
    signal = model.signal(audio, conditioning.prediction)
    parameters = engine.trace(engine.start(1), conditioning, signal)
    return float((parameters - model(audio, conditioning)).abs().max())
