"""Acoustic features in requests: their settings, and as JSON."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from vocoder.config import FeatureConfig
from vocoder.errors import FeatureError
from vocoder.features import feature_file
from vocoder.features.feature_file import Features

from ..schemas import VocodeRequest


def check_settings(given: Mapping[str, str | int | float], config: FeatureConfig) -> None:
    """Refuse features that were computed with other settings than the voice's.

    Raises:
        FeatureError: names the first setting that differs, and both values.
    """
    for key, value in given.items():
        expected = getattr(config, key) if key in FeatureConfig.model_fields else None
        if expected is None:
            known = ", ".join(FeatureConfig.model_fields)
            raise FeatureError(
                f"features.{key[:64]} is unknown: known are {known}", param="features"
            )
        if value != expected:
            feature_file.check_fingerprint({**config.fingerprint(), key: str(value)}, config)


def features_of_json(request: VocodeRequest, config: FeatureConfig) -> Features:
    """The features of a JSON request.

    Raises:
        FeatureError: they do not fit the voice's settings, or a value is unusable.
    """
    check_settings(request.features or {}, config)
    given = request.model_fields_set & {"mel", "linguistic", "seconds"}
    if not given or ("seconds" in given and len(given) > 1):
        raise FeatureError(
            "give mel, linguistic or both, or only seconds, depending on the voice", param="mel"
        )
    if request.seconds is not None:
        return Features.lasting(request.seconds, config)
    mel = torch.empty(config.n_mels, 0)
    if "mel" in given:
        mel = feature_file.validate_mel(_matrix(request.mel, "mel", "band"), config)
    linguistic = None
    if "linguistic" in given:
        linguistic = _matrix(request.linguistic, "linguistic", "channel")
    return Features(mel, config, linguistic=linguistic)


def digest(features: Features) -> str:
    """SHA-256 of the values that the audio depends on."""
    found = hashlib.sha256(repr((features.frames, features.layout)).encode())
    for tensor in (features.mel, features.linguistic):
        if tensor is not None:
            found.update(repr(tuple(tensor.shape)).encode())
            found.update(tensor.contiguous().numpy().tobytes())
    return found.hexdigest()


def _matrix(rows: list[list[float]], name: str, kind: str) -> Tensor:
    """Rows of equal length as float32 (R, F)."""
    frames = len(rows[0]) if rows else 0
    for row, values in enumerate(rows):
        if len(values) != frames:
            raise FeatureError(
                f"{name} has {len(values)} frames in {kind} {row} and {frames} in {kind} 0: "
                f"every {kind} needs the same number",
                param=name,
            )
    return torch.tensor(rows, dtype=torch.float32).reshape(len(rows), frames)
