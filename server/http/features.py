"""Acoustic features in requests: their settings, and as JSON."""

import hashlib
from collections.abc import Mapping

import torch

from vocoder.config import FeatureConfig
from vocoder.errors import FeatureError
from vocoder.features import feature_file
from vocoder.features.feature_file import Features

from ..errors import Refusal
from ..schemas import VocodeRequest
from .feature_rows import FeatureRows


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


def check_length(frames: int, config: FeatureConfig, max_audio_s: float) -> None:
    """Check how much audio features would be.

    Raises:
        Refusal: 422, it is longer than ``max_audio_s``.
    """
    seconds = frames / config.frame_rate_hz
    if seconds > max_audio_s:
        raise Refusal(
            422,
            f"the features are {seconds:.3f} s of audio, the limit is {max_audio_s:g} s per "
            "request",
            code="audio_too_long",
            param="mel",
        )


def features_of_json(
    request: VocodeRequest, rows: FeatureRows, config: FeatureConfig, max_audio_s: float
) -> Features:
    """The features of a JSON request.

    Args:
        request: with an index in place of each row.
        rows: of the request.
        config: of the voice.
        max_audio_s: maximum length, in seconds.

    Raises:
        FeatureError: they do not fit the voice's settings, or a value is unusable.
        Refusal: 400, a row is not JSON; 422, a value is not a number, or there are too many.
    """
    check_settings(request.features or {}, config)
    given = request.model_fields_set & {"mel", "linguistic", "seconds"}
    if not given or ("seconds" in given and len(given) > 1):
        raise FeatureError(
            "give mel, linguistic or both, or only seconds, depending on the voice", param="mel"
        )
    if request.seconds is not None:
        check_length(int(request.seconds * config.frame_rate_hz), config, max_audio_s)
        return Features.lasting(request.seconds, config)
    for indices in (request.mel, request.linguistic):
        check_length(rows.frames(indices), config, max_audio_s)
    mel = torch.empty(config.n_mels, 0)
    if "mel" in given:
        mel = feature_file.validate_mel(rows.matrix(request.mel, "mel", "band"), config)
    linguistic = None
    if "linguistic" in given:
        linguistic = rows.matrix(request.linguistic, "linguistic", "channel")
    return Features(mel, config, linguistic=linguistic)


def digest(features: Features) -> str:
    """SHA-256 of the values that the audio depends on."""
    found = hashlib.sha256(repr((features.frames, features.layout)).encode())
    for tensor in (features.mel, features.linguistic):
        if tensor is not None:
            found.update(repr(tuple(tensor.shape)).encode())
            found.update(tensor.contiguous().numpy().tobytes())
    return found.hexdigest()
