"""Frames of features from a client's messages."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from vocoder.config import FeatureConfig, ModelConfig
from vocoder.errors import FeatureError
from vocoder.features import feature_file as features

from ..errors import Refusal

BYTES_A_VALUE = 4


class NothingStarted(Refusal):
    """A binary message where nobody said what it would be."""

    def __init__(self) -> None:
        super().__init__(
            422,
            "binary messages are features: send a Start message with input features before them",
            code="features_not_started",
        )


def check_kind(kind: str, config: ModelConfig) -> None:
    """Refuse features of another kind than a voice is conditioned on.

    Raises:
        FeatureError: they are.
    """
    wanted = config.conditioning.kind
    if kind != wanted:
        raise FeatureError(f"the voice is conditioned on {wanted}, not on {kind}", param=kind)


def frames_of_bytes(data: bytes, config: ModelConfig) -> Tensor:
    """What conditions a voice (C, F): whole frames, each of C float32 numbers, little-endian.

    Raises:
        Refusal: 422, it is no whole number of frames, or the voice is conditioned on nothing.
        FeatureError: a value is not usable.
    """
    channels = _channels(config)
    size = BYTES_A_VALUE * channels
    if len(data) % size:
        raise Refusal(
            422,
            f"the binary message has {len(data)} bytes: send whole frames, each of "
            f"{channels} float32 values, which are {size} bytes",
            code="invalid_features",
            param=config.conditioning.kind,
        )
    values = np.frombuffer(data, dtype="<f4").reshape(-1, channels).astype(np.float32)
    return _validated(torch.from_numpy(values).T, config)


def frames_of_lists(frames: Sequence[Sequence[float]], config: ModelConfig) -> Tensor:
    """What conditions a voice (C, F), of lists, one a frame.

    Raises:
        Refusal: 422, the voice is conditioned on nothing.
        FeatureError: a frame has not C values, or a value is not usable.
    """
    channels, kind = _channels(config), config.conditioning.kind
    for frame, values in enumerate(frames):
        if len(values) != channels:
            raise FeatureError(
                f"{kind} has {len(values)} values in frame {frame}: give a list for each frame, "
                f"of {channels} values",
                param=kind,
            )
    values_of_frames = torch.tensor(frames, dtype=torch.float32).reshape(len(frames), channels)
    return _validated(values_of_frames.T, config)


def _channels(config: ModelConfig) -> int:
    if config.conditioning.kind == "none":
        raise Refusal(
            422,
            "this voice is conditioned on no features: ask for seconds of it with "
            "POST /v1/audio/vocode",
            code="invalid_features",
        )
    return config.feature_channels


def _validated(frames: Tensor, config: ModelConfig) -> Tensor:
    if config.conditioning.kind == "mel":
        return features.validate_mel(frames, config.features)
    return features.validate_linguistic(frames, config.feature_channels)


def check_settings(given: Mapping[str, str | int | float], config: FeatureConfig) -> None:
    """Refuse settings that are not the voice's.

    Raises:
        FeatureError: names the first that differs, and both values.
    """
    for key, value in given.items():
        expected = getattr(config, key) if key in FeatureConfig.model_fields else None
        if expected is None:
            known = ", ".join(FeatureConfig.model_fields)
            raise FeatureError(
                f"features.{key[:64]} is unknown: known are {known}", param="features"
            )
        if value != expected:
            features.check_fingerprint({**config.fingerprint(), key: str(value)}, config)
