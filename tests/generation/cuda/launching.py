"""Records the C modules that a launch makes Triton compile.

It is a separate program because Triton's interpreter, once enabled, stays enabled in a process. A
recording driver replaces Triton's own.

Prints the name of each module, as :mod:`vocoder.generation.cuda.modules` names it.
"""

from typing import Any

import torch
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.driver import make_launcher
from triton.runtime.driver import driver

from vocoder.config import GaussianConfig, LinearPredictionConfig, ModelConfig, MuLawConfig
from vocoder.generation.cuda import engine, modules
from vocoder.generation.noise import Noise
from vocoder.presets import PRESETS
from vocoder.wavenet.model import Signal, WaveNet

STEPS = 8


class Launcher:
    """Prints the module's name instead of launching."""

    def __init__(self, source: Any, metadata: Any) -> None:
        assert not getattr(metadata, "tensordesc_meta", None)
        print(modules._name(make_launcher({}, dict(source.signature), None)))

    def __call__(self, *_: object) -> None:
        pass


class Utilities:
    """Utilities of a GPU that accepts every binary."""

    def load_binary(self, *_: object) -> tuple[int, int, int, int, int]:
        return 0, 0, 0, 0, 1024

    def get_device_properties(self, _: int) -> dict[str, int]:
        return {"max_shared_mem": 227 * 1024}


class Driver:
    """Stands in for Triton's driver, for a GPU that does not exist."""

    launcher_cls = Launcher
    utils = Utilities()

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)


def kinds() -> list[ModelConfig]:
    tiny, contexts = PRESETS["tiny"], PRESETS["standard-context"].contexts
    predicted = {
        "distribution": GaussianConfig(),
        "linear_prediction": LinearPredictionConfig(order=16),
    }
    return [
        tiny,
        tiny.model_copy(update=predicted),
        tiny.model_copy(update={"contexts": contexts}),
        tiny.model_copy(update={"contexts": contexts[:1], **predicted}),
    ]


def launch(config: ModelConfig) -> None:
    """Launch one chunk of two rows, and the same along a known signal."""
    model = WaveNet(config).eval()
    runner = engine.TritonEngine(model)
    speakers = torch.eye(config.global_channels)[:1].expand(2, -1)
    with torch.inference_mode():
        conditioning = model.condition(torch.zeros(2, config.feature_channels, 1) - 9, speakers)
    state = runner.start(2)
    runner.generate(state, conditioning, Noise(torch.tensor([1, 2]), STEPS))
    samples = torch.zeros(2, STEPS)
    codes = samples.long() + 128 if isinstance(config.distribution, MuLawConfig) else None
    known = Signal(samples, codes, samples, samples + 1, samples + 1)
    runner.trace(runner.start(2), conditioning, known, torch.rand(2, STEPS, 2))


if __name__ == "__main__":
    driver.set_active(Driver())
    engine._obstacle = lambda device: None
    for kind in kinds():
        launch(kind)
