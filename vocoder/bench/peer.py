"""Speed of the PyPI package wavenet_vocoder at a preset's shape, alternating with an engine.

The package is optional. Its network differs in details (a one-tap input convolution, a factor of
sqrt(1/2) between layers, conditioning projected at every sample), so we compare its speed but not
its output. It runs as its own code intends: weight norm removed, one row, float32.
"""

import importlib.util
import statistics
import warnings
from typing import Any

import torch

from vocoder.bench.speed import Run, Speed, choose, engine_run, speed_of, torch_threads
from vocoder.bench.subject import Subject
from vocoder.config import ModelConfig
from vocoder.errors import UserError
from vocoder.generation import dispatch
from vocoder.generation.dispatch import Engine
from vocoder.presets import PRESETS, preset
from vocoder.wavenet.mu_law import CLASSES

PEER = "wavenet_vocoder"
STEPS = 200
"""Samples per call."""
MIN_PAIRS = 5


def installed() -> bool:
    """Whether the package is installed."""
    return importlib.util.find_spec(PEER) is not None


def check(preset_name: str) -> None:
    """Check that the peer can run a preset.

    Raises:
        UserError: the package is not installed, or the preset is not mu-law.
        ConfigError: the preset is unknown.
    """
    if preset(preset_name).distribution.kind != "mu_law":
        known = [name for name, config in PRESETS.items() if config.distribution.kind == "mu_law"]
        raise UserError(
            f"preset {preset_name}: {PEER} can only run mu-law presets: {', '.join(known)}",
            param="preset",
        )
    if not installed():
        raise UserError(f"{PEER} is not installed: pip install {PEER}")


def network(config: ModelConfig, **upsampling: Any) -> Any:
    """The peer's network at the shape of a mu-law model, without dropout.

    Args:
        config: the shape.
        upsampling: its upsampling arguments; without any it takes mels at the sample rate.
    """
    with warnings.catch_warnings():  # it uses deprecated functions of PyTorch
        warnings.simplefilter("ignore")
        from wavenet_vocoder import WaveNet as Peer

        stack = config.stack
        return Peer(
            out_channels=CLASSES,
            layers=stack.layers,
            stacks=stack.cycles,
            residual_channels=stack.residual_channels,
            gate_channels=stack.gate_channels,
            skip_out_channels=stack.skip_channels,
            kernel_size=stack.kernel_size,
            dropout=0.0,
            cin_channels=config.features.n_mels,
            **upsampling,
        )


def peer_run(config: ModelConfig) -> Run:
    """Generation by the peer from random weights and mel."""
    torch.manual_seed(0)
    peer = network(config).eval()
    peer.make_generation_fast_()
    mel = torch.randn(1, config.features.n_mels, STEPS)

    @torch.no_grad()
    def advance() -> None:
        peer.incremental_forward(c=mel, T=STEPS)

    return Run(STEPS, advance)


def measure_with_peer(
    preset_name: str,
    engine: str = dispatch.AUTO,
    *,
    weights: str | None = None,
    threads: int = 1,
    seconds: float = 1.0,
) -> tuple[Speed, Speed]:
    """Measure an engine and the peer on a preset; see :func:`measure_engine_and_peer`.

    Raises:
        UserError: the peer, engine or format is not available.
    """
    check(preset_name)
    subject, runner = choose(preset_name, engine, weights=weights, threads=threads)
    return measure_engine_and_peer(subject, runner, threads=threads, seconds=seconds)


def measure_engine_and_peer(
    subject: Subject, engine: Engine, *, threads: int, seconds: float
) -> tuple[Speed, Speed]:
    """Measure one stream of an engine and of the peer, alternating chunk by chunk.

    The engine's result includes the median ratio of the speeds over the pairs of chunks.

    Args:
        subject: the model that the engine runs.
        engine: engine for this number of threads.
        threads: number of threads, also for PyTorch.
        seconds: minimum time of the peer's chunks, over at least ``MIN_PAIRS`` pairs.

    Raises:
        UserError: the peer is not available; see :func:`check`.
    """
    check(subject.preset)
    config = subject.model.config
    with torch_threads(threads):
        own, peer = engine_run(subject.model, engine, 1), peer_run(config)
        own.advance()
        peer.advance()
        pairs: list[tuple[float, float]] = []
        while len(pairs) < MIN_PAIRS or sum(theirs for _, theirs in pairs) < seconds:
            pairs.append((own.seconds(), peer.seconds()))
        own_times, peer_times = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        ratio = statistics.median(
            (theirs / peer.steps) / (ours / own.steps) for ours, theirs in pairs
        )
        ours = speed_of(
            subject, engine, own.steps, own_times, threads=threads, speedup_over_peer=ratio
        )
    step_s = statistics.mean(peer_times) / peer.steps
    return ours, Speed(
        engine=PEER,
        preset=subject.preset,
        streams=1,
        threads=threads,
        weights="fp32",
        instructions="",
        weight_bytes=None,
        samples_per_second=1 / step_s,
        microseconds_per_step=step_s * 1e6,
        best_microseconds_per_step=min(peer_times) / peer.steps * 1e6,
        real_time_streams=1 / step_s / config.features.sample_rate_hz,
        max_error_against_reference=None,
    )
