"""Frames of features from a client's messages."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from server.errors import Refusal
from vocoder import features
from vocoder.config import FeatureConfig
from vocoder.errors import FeatureError

BYTES_A_VALUE = 4


class NothingStarted(Refusal):
    """A binary message where nobody said what it would be."""

    def __init__(self) -> None:
        super().__init__(
            422,
            "binary messages are features: send a Start message with input features before them",
            code="features_not_started",
        )


def frames_of_bytes(data: bytes, config: FeatureConfig) -> Tensor:
    """Log-mel (n_mels, F) of whole frames, each of n_mels float32 numbers, little-endian.

    Raises:
        Refusal: 422, it is no whole number of frames.
        FeatureError: a value is not usable.
    """
    size = BYTES_A_VALUE * config.n_mels
    if len(data) % size:
        raise Refusal(
            422,
            f"the binary message has {len(data)} bytes: send whole frames, each of "
            f"{config.n_mels} float32 values, which are {size} bytes",
            code="invalid_features",
            param="mel",
        )
    values = np.frombuffer(data, dtype="<f4").reshape(-1, config.n_mels).astype(np.float32)
    return features.validate_mel(torch.from_numpy(values).T, config)


def frames_of_lists(mel: Sequence[Sequence[float]], config: FeatureConfig) -> Tensor:
    """Log-mel (n_mels, F) of lists, one a frame.

    Raises:
        FeatureError: a frame has not n_mels values, or a value is not usable.
    """
    for frame, values in enumerate(mel):
        if len(values) != config.n_mels:
            raise FeatureError(
                f"mel has {len(values)} values in frame {frame}: give a list for each frame, "
                f"of {config.n_mels} values",
                param="mel",
            )
    values_of_frames = torch.tensor(mel, dtype=torch.float32).reshape(len(mel), config.n_mels)
    return features.validate_mel(values_of_frames.T, config)


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
