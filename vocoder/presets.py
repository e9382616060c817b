"""Named model configurations, shared by training, benchmarks and tests."""

from vocoder.config import (
    ConditioningConfig,
    ContextConfig,
    FeatureConfig,
    LogisticsConfig,
    ModelConfig,
    StackConfig,
)
from vocoder.errors import ConfigError

_24_KHZ = FeatureConfig(
    sample_rate_hz=24000, n_fft=1024, win_length=1024, hop_length=300, f_max_hz=12000.0
)

PRESETS: dict[str, ModelConfig] = {
    "tiny": ModelConfig(
        stack=StackConfig(
            cycles=2, layers_per_cycle=3, residual_channels=16, gate_channels=32, skip_channels=16
        ),
        conditioning=ConditioningConfig(encoder_channels=16, encoder_layers=1, channels=16),
    ),
    "small": ModelConfig(),
    "standard": ModelConfig(stack=StackConfig(cycles=3, skip_channels=128)),
    "standard-context": ModelConfig(
        stack=StackConfig(cycles=3, skip_channels=128),
        contexts=(
            ContextConfig(
                pool=40,
                stack=StackConfig(
                    cycles=1,
                    layers_per_cycle=8,
                    residual_channels=48,
                    gate_channels=96,
                    skip_channels=48,
                ),
            ),
            ContextConfig(
                pool=200,
                stack=StackConfig(
                    cycles=1,
                    layers_per_cycle=8,
                    residual_channels=32,
                    gate_channels=64,
                    skip_channels=32,
                ),
            ),
        ),
    ),
    "large": ModelConfig(
        features=_24_KHZ,
        stack=StackConfig(cycles=3, residual_channels=128, gate_channels=256, skip_channels=256),
        distribution=LogisticsConfig(),
    ),
}


def preset(name: str) -> ModelConfig:
    """The model configuration of a named preset.

    Raises:
        ConfigError: the name is unknown; the message lists the known ones.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise ConfigError(
            f"preset {name!r} is unknown: choose one of {', '.join(PRESETS)}", param="preset"
        ) from None
