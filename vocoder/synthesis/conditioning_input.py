"""What of given features conditions a voice, checked frame by frame as it arrives."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from vocoder.errors import FeatureError
from vocoder.features.feature_file import (
    Features,
    check_fingerprint,
    validate_linguistic,
    validate_mel,
)
from vocoder.synthesis.input_stream import EndOfStream, InputStream
from vocoder.text.linguistic import LAYOUT
from vocoder.voices.voice import Voice


class Frames(NamedTuple):
    """Features as they arrive: what conditions (C, F), and the log-mel asked for (n_mels, F)."""

    local: Tensor
    mel: Tensor


def frames_of(features: Features, voice: Voice) -> Iterator[Frames]:
    """Frames of features that are all there.

    Raises:
        FeatureError: at once, for other settings than the voice's or unusable values.
    """
    check_fingerprint(features.config.fingerprint(), voice.config.features)
    return iter([_frames(features, voice)])


def _frames(features: Features, voice: Voice) -> Frames:
    """Of features what conditions a voice.

    Raises:
        FeatureError: it is not there, or its values are not usable.
    """
    config = voice.config
    if config.conditioning.kind == "mel":
        mel = validate_mel(features.mel, config.features)
        return Frames(mel, mel)
    if config.conditioning.kind == "none":
        if not features.length:
            raise FeatureError(
                f"voice {voice.id} is conditioned on nothing: give seconds, no features",
                param="seconds",
            )
        silence = _silence(voice, features.length)
        return Frames(silence[:0], silence)
    if features.linguistic is None:
        raise FeatureError(
            f"voice {voice.id} is conditioned on linguistic features: give those, or text",
            param="linguistic",
        )
    if features.layout not in (None, LAYOUT):
        raise FeatureError(
            f"linguistic features of layout {features.layout[:64]}, the voice needs {LAYOUT}: "
            "make them anew",
            param="linguistic",
        )
    local = validate_linguistic(features.linguistic, config.feature_channels)
    if not features.mel.shape[-1]:
        return Frames(local, _silence(voice, local.shape[1]))
    mel = validate_mel(features.mel, config.features)
    if mel.shape[1] != local.shape[1]:
        raise FeatureError(
            f"mel has {mel.shape[1]} frames, linguistic {local.shape[1]}: give as many of both",
            param="mel",
        )
    return Frames(local, mel)


def _silence(voice: Voice, frames: int) -> Tensor:
    """The mel (n_mels, F) of a voice that does without one.

    Raises:
        FeatureError: it does not: its spectrum is corrected towards the mel.
    """
    if voice.manifest.generation.correction_passes:
        raise FeatureError(
            f"voice {voice.id} corrects the spectrum towards a mel: give mel too", param="mel"
        )
    config = voice.config.features
    return torch.full((config.n_mels, 1), math.log(config.log_floor)).expand(-1, frames)


def arriving_frames(feed: InputStream[Tensor], voice: Voice) -> Iterator[Frames | None]:
    """Frames as they arrive (C, F), None while there are none.

    Raises:
        FeatureError: at once, where the voice needs a mel besides; for unusable values, when they
            come.
    """
    kind, config = voice.config.conditioning.kind, voice.config.features
    if kind == "linguistic":
        _silence(voice, 1)  # Refused at once where a mel is needed.

    def frames() -> Iterator[Frames | None]:
        while True:
            try:
                given = feed.take()
            except EndOfStream:
                return
            if given is None:
                yield None
            elif kind == "mel":
                yield _frames(Features(given, config), voice)
            else:
                nothing = given.new_empty(config.n_mels, 0)
                yield _frames(Features(nothing, config, linguistic=given), voice)

    return frames()
