"""Speed of a training step, compared with the PyPI package wavenet_vocoder if it is installed.

Both train the same shape on the same batch: forward, loss, backward, Adam. Reading the data is not
included.
"""

import math
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from pydantic import Field

from vocoder.bench import peer
from vocoder.config import ModelConfig, StrictModel
from vocoder.presets import preset
from vocoder.training.data.segments import Batch
from vocoder.training.tasks.vocoder import Objective
from vocoder.wavenet import mu_law
from vocoder.wavenet.conditioning import global_conditioning
from vocoder.wavenet.model import WaveNet


class TrainingSpeed(StrictModel):
    """One measurement."""

    name: str = Field(description="implementation and number format")
    preset: str = Field(description="name of the preset")
    batch: str = Field(description="rows x seconds")
    threads: int = Field(description="number of threads")
    step_ms: float = Field(description="median time of a step")
    audio_per_second: float = Field(description="seconds of audio trained on per second")

    def line(self) -> str:
        """The measurement as one line of text."""
        return (
            f"{self.name:<28} {self.preset:<9} {self.batch:<10} {self.threads} threads  "
            f"{self.step_ms:>8.1f} ms/step  {self.audio_per_second:>6.2f} s of audio/s"
        )


def measure_training(
    preset_name: str, *, rows: int, seconds: float, threads: int, steps: int, compiled: bool
) -> list[TrainingSpeed]:
    """Time a training step of a mu-law preset in each format, and that of the peer.

    Raises:
        ConfigError: the preset is unknown.
    """
    config = preset(preset_name)
    rate, hop = config.features.sample_rate_hz, config.features.hop_length
    frames = round(seconds * rate / hop)
    batch = _batch(config, rows, frames)
    runs = {"vocoder fp32": _own_step(config, batch, bf16=False, compiled=False)}
    runs["vocoder bf16"] = _own_step(config, batch, bf16=True, compiled=False)
    if compiled:
        runs["vocoder bf16 compiled"] = _own_step(config, batch, bf16=True, compiled=True)
    if peer.installed():
        for bf16 in (False, True):
            name = f"{peer.PEER} {'bf16' if bf16 else 'fp32'}"
            runs[name] = _peer_step(config, batch, bf16=bf16)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for step in runs.values():
            step()
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(steps):  # alternate, so that other load affects all of them
            for name, step in runs.items():
                began = time.perf_counter()
                step()
                times[name].append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(before)
    audio_s = rows * frames * hop / rate
    return [
        TrainingSpeed(
            name=name,
            preset=preset_name,
            batch=f"{rows} x {frames * hop / rate:g} s",
            threads=threads,
            step_ms=sorted(spent)[steps // 2] * 1e3,
            audio_per_second=audio_s / sorted(spent)[steps // 2],
        )
        for name, spent in times.items()
    ]


def _batch(config: ModelConfig, rows: int, frames: int) -> Batch:
    margin, samples = config.conditioning.margin, frames * config.features.hop_length
    past = -(-config.context_field // config.features.hop_length) * config.features.hop_length
    return Batch(
        audio=torch.randn(rows, samples) * 0.1,
        features=torch.randn(rows, config.feature_channels, frames + 2 * margin) - 10,
        speaker=global_conditioning(config, 0).repeat(rows, 1),
        mask=torch.ones(rows, samples),
        past=torch.randn(rows, past) * 0.1,
        known=torch.full((rows,), past),
    )


def _own_step(
    config: ModelConfig, batch: Batch, *, bf16: bool, compiled: bool
) -> Callable[[], None]:
    model = WaveNet(config)
    if compiled:
        model.stack.compile(dynamic=False)
    objective = Objective(model, bf16=bf16)
    optimiser = torch.optim.Adam(model.parameters())

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        objective(batch).total.backward()
        optimiser.step()

    return step


def _peer_step(config: ModelConfig, batch: Batch, *, bf16: bool) -> Callable[[], None]:
    model = peer.network(
        config,
        upsample_conditional_features=True,
        upsample_scales=_scales(config.features.hop_length),
    )
    optimiser = torch.optim.Adam(model.parameters())
    margin = config.conditioning.margin
    codes = mu_law.encode(batch.audio)
    inputs = F.one_hot(codes, mu_law.CLASSES).float().transpose(1, 2).contiguous()
    mel = batch.features[..., margin:-margin].contiguous()

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = model(inputs, c=mel)
        F.cross_entropy(logits[:, :, :-1].float(), codes[:, 1:]).backward()
        optimiser.step()

    return step


def _scales(hop: int) -> list[int]:
    """Two similar factors of the hop, the peer's upsampling factors."""
    first = next(f for f in range(round(math.sqrt(hop)), 0, -1) if hop % f == 0)
    return [first, hop // first]
