"""Conditioning, noise and generation for the tests of the engines."""

import torch
from conftest import random_mel

from vocoder.generation.dispatch import Engine
from vocoder.generation.noise import uniforms
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.linear_prediction import LinearPrediction
from vocoder.wavenet.model import Signal, WaveNet

FRAMES = 3


def condition(model: WaveNet, rows: int, frames: int = FRAMES) -> Conditioning:
    channels = model.config.global_channels
    one_hot = torch.eye(channels)[torch.arange(rows) % channels]
    with torch.inference_mode():
        return model.condition(random_mel(model.config, rows, frames), one_hot)


def covered(model: WaveNet, conditioning: Conditioning) -> int:
    """Number of samples that a conditioning covers."""
    return conditioning.blocks * model.config.hold


def pick(conditioning: Conditioning, *rows: int, first: int = 0) -> Conditioning:
    """Some rows in the given order, from their block ``first`` on."""
    index = list(rows)
    prediction = conditioning.prediction
    if prediction is not None:
        prediction = LinearPrediction(*(part[index, first:] for part in prediction))
    return Conditioning(
        conditioning.local[index, first:],
        conditioning.speaker[index],
        prediction,
        conditioning.first[index] + first,
    )


def noise(rows: int, steps: int, position: int = 0) -> torch.Tensor:
    return uniforms(torch.arange(rows) + 7, torch.full((rows,), position), steps)


def generate_in_chunks(
    engine: Engine, conditioning: Conditioning, samples: int, chunk: int
) -> torch.Tensor:
    rows = conditioning.local.shape[0]
    state, parts = engine.start(rows), []
    for position in range(0, samples, chunk):
        steps = min(chunk, samples - position)
        parts.append(engine.generate(state, conditioning, noise(rows, steps, position)))
    return torch.cat(parts, dim=1)


def cut(signal: Signal, first: int, last: int) -> Signal:
    """The samples from ``first`` up to ``last``."""
    return Signal(*(None if part is None else part[:, first:last] for part in signal))
