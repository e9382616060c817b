"""Engines on the device that there is, as if they were on the CPU; and small models for them.

Without a GPU, Triton's interpreter runs its kernels on the CPU: some 10 ms a layer and sample.
"""

import copy
import functools
from collections.abc import Callable
from typing import Any

import torch
from conftest import SPEAKERS, context
from torch import Tensor

from vocoder.config import (
    ConditioningConfig,
    FeatureConfig,
    GaussianConfig,
    LinearPredictionConfig,
    LogisticsConfig,
    ModelConfig,
    StackConfig,
)
from vocoder.generation.dispatch import Engine
from vocoder.generation.noise import Noise
from vocoder.generation.state import GenerationState, Trace
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.model import Signal, WaveNet

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

SMALL = ModelConfig(
    features=FeatureConfig(
        sample_rate_hz=8000, n_fft=256, win_length=200, hop_length=12, n_mels=20, f_max_hz=4000.0
    ),
    stack=StackConfig(
        cycles=1, layers_per_cycle=4, residual_channels=16, gate_channels=32, skip_channels=16
    ),
    conditioning=ConditioningConfig(
        encoder_channels=8, encoder_layers=0, channels=8, upsample=(4,)
    ),
    speakers=SPEAKERS,
)
SHALLOW = SMALL.stack.model_copy(update={"layers_per_cycle": 2})


narrow_context = functools.partial(context, widths=(7, 10))
"""A context stack of widths that are not powers of two."""

SMALL_CONFIGS = {
    "mu_law": SMALL,
    "mu_law_pre_emphasis_hold_1": SMALL.model_copy(
        update={
            "pre_emphasis": 0.85,
            "conditioning": SMALL.conditioning.model_copy(update={"upsample": (4, 3)}),
        }
    ),
    "logistics": SMALL.model_copy(update={"distribution": LogisticsConfig(components=4)}),
    "linear_prediction": SMALL.model_copy(
        update={
            "distribution": LogisticsConfig(),
            "linear_prediction": LinearPredictionConfig(order=10),
        }
    ),
    "odd": SMALL.model_copy(
        update={
            "stack": StackConfig(
                cycles=2,
                layers_per_cycle=2,
                kernel_size=4,
                residual_channels=7,
                gate_channels=34,
                skip_channels=37,
            )
        }
    ),
    "odd_linear_prediction": SMALL.model_copy(
        update={
            "stack": StackConfig(
                cycles=1,
                layers_per_cycle=3,
                kernel_size=3,
                residual_channels=19,
                gate_channels=10,
                skip_channels=5,
            ),
            "distribution": LogisticsConfig(components=17),
            "linear_prediction": LinearPredictionConfig(order=17),
        }
    ),
    "gaussian_tags": SMALL.model_copy(
        update={
            "stack": SHALLOW,
            "distribution": GaussianConfig(),
            "linear_prediction": LinearPredictionConfig(order=4),
            "tags": ("bright", "soft"),
        }
    ),
    "contexts_linguistic": SMALL.model_copy(
        update={
            "stack": SHALLOW,
            "contexts": (narrow_context(6, layers=1), narrow_context(3, layers=2, kernel_size=3)),
            "conditioning": SMALL.conditioning.model_copy(
                update={"kind": "linguistic", "linguistic_channels": 11}
            ),
        }
    ),
    "contexts_unconditional_hold_1": SMALL.model_copy(
        update={
            "stack": SHALLOW,
            "contexts": (narrow_context(4, layers=2), narrow_context(2, layers=1)),
            "distribution": GaussianConfig(),
            "pre_emphasis": 0.85,
            "conditioning": ConditioningConfig(kind="none", channels=4, upsample=(4, 3)),
        }
    ),
}
"""Dilations up to 8, so that 20 samples go round every ring, those of context stacks included."""


class OnDevice:
    """An engine on :data:`DEVICE` that is given tensors of the CPU and gives such."""

    max_concurrency = 1

    def __init__(
        self, engine: Callable[..., Engine], model: WaveNet, threads: int = 1, **settings: Any
    ) -> None:
        self.engine = engine(copy.deepcopy(model).to(DEVICE), **settings)
        self.config = model.config

    def start(self, rows: int) -> GenerationState:
        return self.engine.start(rows)

    def generate(
        self,
        state: GenerationState,
        conditioning: Conditioning,
        noise: Tensor | Noise,
        rows: Tensor | None = None,
        *,
        covered: bool = False,
    ) -> Tensor:
        given = moved((conditioning, noise, rows), DEVICE)
        return self.engine.generate(state, *given, covered=covered).cpu()

    def trace(
        self,
        state: GenerationState,
        conditioning: Conditioning,
        signal: Signal,
        noise: Tensor | Noise,
        rows: Tensor | None = None,
    ) -> Trace:
        given = moved((conditioning, signal, noise, rows), DEVICE)
        return moved(self.engine.trace(state, *given), torch.device("cpu"))


def moved(value: Any, device: torch.device) -> Any:
    """Tensors of nested tuples on another device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, tuple):
        parts = [moved(part, device) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value


def signal_of(model: WaveNet, conditioning: Conditioning, steps: int) -> Signal:
    """Noise as loud as speech, as the model sees it."""
    rows = conditioning.local.shape[0]
    generator = torch.Generator().manual_seed(3)
    audio = torch.randn(rows, conditioning.blocks * model.config.hold, generator=generator) * 0.1
    with torch.inference_mode():
        signal = model.signal(audio, conditioning.prediction)
    return Signal(*(None if part is None else part[:, :steps] for part in signal))


def snapshot(state: GenerationState) -> dict[str, Tensor]:
    """Copies of a state's tensors, on the CPU."""
    return {name: tensor.cpu().clone() for name, tensor in state.tensors().items()}
