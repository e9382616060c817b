"""The subject of a benchmark: a model, and the reference engine's output on a test signal."""

from collections.abc import Callable
from typing import NamedTuple, Self

import torch
from torch import Tensor

from vocoder.config import ModelConfig
from vocoder.generation.dispatch import Engine
from vocoder.generation.noise import Noise
from vocoder.generation.reference import ReferenceEngine
from vocoder.presets import preset
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.linear_prediction import LinearPrediction
from vocoder.wavenet.model import Signal, WaveNet

CHECKED_SAMPLES = 400


class Subject(NamedTuple):
    """A model, and the reference engine's output on a test signal.

    Attributes:
        preset: name of the preset, or id of the voice.
        model: the model, with random weights for a preset.
        audio: random samples (1, T).
        signal: the samples as inputs of the model.
        conditioning: conditioning for the samples, one row.
        parameters: distribution parameters from the reference engine (1, T, P).
    """

    preset: str
    model: WaveNet
    audio: Tensor
    signal: Signal
    conditioning: Conditioning
    parameters: Tensor

    @classmethod
    def from_preset(cls, preset_name: str) -> Self:
        """A preset's shape with random weights.

        Raises:
            ConfigError: the preset is unknown.
        """
        return cls.from_model(preset_name, random_model(preset(preset_name)))

    @classmethod
    @torch.no_grad()
    def from_model(cls, name: str, model: WaveNet) -> Self:
        """Run the reference engine on a model."""
        generator = torch.Generator().manual_seed(0)
        audio = (torch.randn(1, CHECKED_SAMPLES, generator=generator) * 0.2).clamp(-1, 0.999)
        conditioning = random_conditioning(model, 1, CHECKED_SAMPLES)
        signal = model.signal(audio, conditioning.prediction)
        parameters = trace_parameters(ReferenceEngine(model), conditioning, signal)
        return cls(name, model, audio, signal, conditioning, parameters)

    @torch.no_grad()
    def error(self, engine: Engine) -> float:
        """Largest difference of a distribution parameter from the reference engine.

        The reference engine itself, on the CPU, is compared with the parallel forward.
        """
        if engine.name == ReferenceEngine.name and device_of(engine).type == "cpu":
            found = self.model(self.audio, self.conditioning)
        else:
            found = trace_parameters(engine, self.conditioning, self.signal)
        return float((found - self.parameters).abs().max())


def device_of(engine: Engine) -> torch.device:
    """The device of an engine's state."""
    return engine.start(1).position.device


def map_tensors(conditioning: Conditioning, change: Callable[[Tensor], Tensor]) -> Conditioning:
    """Apply ``change`` to each tensor of the conditioning; the first dimension of each is rows."""
    local, speaker, prediction, first = conditioning
    if prediction is not None:
        prediction = LinearPrediction(*map(change, prediction))
    return Conditioning(change(local), change(speaker), prediction, change(first))


def on_device(device: torch.device, conditioning: Conditioning) -> Conditioning:
    """Move conditioning to a device."""
    return map_tensors(conditioning, lambda part: part.to(device))


def noise_of(rows: int, steps: int, device: torch.device) -> Noise:
    """Noise for rows on a device; each row has its own seed."""
    return Noise(torch.arange(rows, device=device), steps)


def trace_parameters(engine: Engine, conditioning: Conditioning, signal: Signal) -> Tensor:
    """An engine's distribution parameters (1, T, P) along a signal, on the CPU."""
    device = device_of(engine)
    codes = None if signal.codes is None else signal.codes.to(device)
    samples, _, *rest = signal
    moved = Signal(samples.to(device), codes, *(part.to(device) for part in rest))
    noise = noise_of(1, moved.samples.shape[1], device)
    return engine.trace(
        engine.start(1), on_device(device, conditioning), moved, noise
    ).parameters.cpu()


def random_model(config: ModelConfig, seed: int = 0) -> WaveNet:
    """A model with random weights from ``seed``, including the output layer, initially zero."""
    torch.manual_seed(seed)
    model = WaveNet(config).eval()
    torch.nn.init.normal_(model.output.weight, std=0.1)
    return model


def random_conditioning(model: WaveNet, rows: int, samples: int, seed: int = 0) -> Conditioning:
    """Conditioning from random features, for ``samples``; the rows cycle through the speakers."""
    config, generator = model.config, torch.Generator().manual_seed(seed)
    frames = config.features.frames(samples)
    features = torch.randn(rows, config.feature_channels, frames, generator=generator) * 2 - 13
    speakers = torch.eye(config.global_channels)[torch.arange(rows) % len(config.speakers)]
    return model.condition(features.to(model.device), speakers.to(model.device))
