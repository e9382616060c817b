"""Frames of features from a client's messages."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vocoder.config import ModelConfig
from vocoder.errors import FeatureError
from vocoder.synthesis.conditioning_input import checked_frames

from ..errors import Refusal

BYTES_PER_VALUE = 4


class NotStarted(Refusal):
    """Features that arrive without a ``Start``."""

    def __init__(self) -> None:
        super().__init__(
            422,
            "binary messages are features: send a Start message with input features first",
            code="features_not_started",
        )


def check_kind(kind: str, config: ModelConfig) -> None:
    """Refuse features of another kind than the voice is conditioned on.

    Raises:
        FeatureError: they are.
    """
    wanted = config.conditioning.kind
    if kind != wanted:
        raise FeatureError(f"the voice is conditioned on {wanted}, not on {kind}", param=kind)


def frames_of_bytes(data: bytes, config: ModelConfig) -> Tensor:
    """Features (C, F) from whole frames, each of C float32 values, little-endian.

    Raises:
        Refusal: 422, they are not whole frames, or the voice is not conditioned on features.
        FeatureError: a value is unusable.
    """
    channels = _channels(config)
    size = BYTES_PER_VALUE * channels
    if len(data) % size:
        raise Refusal(
            422,
            f"the binary message has {len(data)} bytes: send whole frames of {channels} float32 "
            f"values, {size} bytes each",
            code="invalid_features",
            param=config.conditioning.kind,
        )
    values = np.frombuffer(data, dtype="<f4").reshape(-1, channels).astype(np.float32)
    return checked_frames(torch.from_numpy(values).T, config)


def frames_of_lists(frames: Sequence[Sequence[float]], config: ModelConfig) -> Tensor:
    """Features (C, F) from a list of C values per frame.

    Raises:
        Refusal: 422, the voice is not conditioned on features.
        FeatureError: a frame does not have C values, or a value is unusable.
    """
    channels, kind = _channels(config), config.conditioning.kind
    for frame, values in enumerate(frames):
        if len(values) != channels:
            raise FeatureError(
                f"{kind} has {len(values)} values in frame {frame}: give one list of {channels} "
                "values per frame",
                param=kind,
            )
    values_of_frames = torch.tensor(frames, dtype=torch.float32).reshape(len(frames), channels)
    return checked_frames(values_of_frames.T, config)


def _channels(config: ModelConfig) -> int:
    if config.conditioning.kind == "none":
        raise Refusal(
            422,
            "this voice is not conditioned on features: request a number of seconds with "
            "POST /v1/audio/vocode",
            code="invalid_features",
        )
    return config.feature_channels
