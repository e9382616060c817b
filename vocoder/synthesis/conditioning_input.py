"""The part of the features that conditions a voice, from a file or as it arrives."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vocoder.config import ModelConfig
from vocoder.errors import FeatureError, UserError
from vocoder.features.feature_file import (
    Features,
    check_fingerprint,
    validate_linguistic,
    validate_mel,
)
from vocoder.features.spectral_contrast import SpectralContrast
from vocoder.synthesis.input_stream import EndOfStream, InputStream
from vocoder.synthesis.request import CLARITIES
from vocoder.text.linguistic import LAYOUT
from vocoder.voices.voice import Voice


class Frames(NamedTuple):
    """The next frames of an utterance.

    Attributes:
        local: condition the voice (C, F).
        mel: the log-mel that the audio should have (n_mels, F).
    """

    local: Tensor
    mel: Tensor


def frames_of(features: Features, voice: Voice) -> Iterator[Frames]:
    """Frames of complete features.

    Raises:
        FeatureError: at once, if their settings differ from the voice's or a value is unusable.
    """
    check_fingerprint(features.config.fingerprint(), voice.config.features)
    return iter([_frames(features, voice)])


def _frames(features: Features, voice: Voice) -> Frames:
    """Select and check the features that condition a voice.

    Raises:
        FeatureError: they are missing, or a value is unusable.
    """
    config = voice.config
    if config.conditioning.kind == "mel":
        mel = validate_mel(features.mel, config.features)
        return Frames(mel, mel)
    if config.conditioning.kind == "none":
        if not features.length:
            raise _no_features_wanted(voice)
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
            "compute them again",
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


def _no_features_wanted(voice: Voice) -> FeatureError:
    return FeatureError(
        f"voice {voice.id} is conditioned on nothing: give seconds, no features", param="seconds"
    )


def _silence(voice: Voice, frames: int) -> Tensor:
    """The mel (n_mels, F) for a voice that needs none.

    Raises:
        FeatureError: the voice does need one, because it corrects its spectrum towards the mel.
    """
    if voice.manifest.generation.correction_passes:
        raise FeatureError(
            f"voice {voice.id} corrects its spectrum towards a mel: give mel too", param="mel"
        )
    config = voice.config.features
    return torch.full((config.n_mels, 1), math.log(config.log_floor)).expand(-1, frames)


def sharpened_frames(
    arriving: Iterator[Frames | None], contrast: SpectralContrast, voice: Voice
) -> Iterator[Frames | None]:
    """Frames with more contrast in their mel, each once those it depends on have arrived."""
    local: Tensor | None = None
    for frames in arriving:
        if frames is None:
            yield None
            continue
        mel = contrast.push(frames.mel.numpy())
        local = frames.local if local is None else torch.cat((local, frames.local), 1)
        if finished := mel.shape[1]:
            yield _sharpened(local[:, :finished], mel, voice)
            local = local[:, finished:]
    if local is not None and local.shape[1]:
        yield _sharpened(local, contrast.flush(), voice)


def _sharpened(local: Tensor, mel: npt.NDArray[np.float32], voice: Voice) -> Frames:
    sharp = torch.from_numpy(mel)
    return Frames(sharp if voice.config.conditioning.kind == "mel" else local, sharp)


def check_clarity(clarity: float, voice: Voice) -> None:
    """Refuse a clarity that is out of range, or that this voice could not follow.

    Raises:
        UserError: it is.
    """
    low, high = CLARITIES
    if not low <= clarity <= high:
        raise UserError(f"clarity {clarity:g} is not in {low:g} to {high:g}", param="clarity")
    follows = voice.config.conditioning.kind == "mel" or voice.manifest.generation.correction_passes
    if clarity and not follows:
        raise UserError(
            f"voice {voice.id} does not follow a mel, so clarity does nothing: leave it out",
            param="clarity",
        )


def checked_frames(frames: Tensor, config: ModelConfig) -> Tensor:
    """Frames (C, F) that may be put into the input stream of a voice with this configuration.

    Raises:
        FeatureError: there are none, or not of C channels, or a value is unusable.
    """
    if config.conditioning.kind == "mel":
        return validate_mel(frames, config.features)
    return validate_linguistic(frames, config.feature_channels)


def arriving_frames(input: InputStream[Tensor], voice: Voice) -> Iterator[Frames | None]:
    """Frames (C, F) as they arrive; None while there are none.

    They are not checked again: the sender passes them through :func:`checked_frames`, and so learns
    of a mistake at once.

    Raises:
        FeatureError: at once, if the voice needs a mel as well, or no features at all.
    """
    kind = voice.config.conditioning.kind
    if kind == "none":
        raise _no_features_wanted(voice)
    if kind == "linguistic":
        _silence(voice, 1)  # Refuses a voice that needs a mel.

    def frames() -> Iterator[Frames | None]:
        while True:
            try:
                item = input.take()
            except EndOfStream:
                return
            if item is None:
                yield None
            elif kind == "mel":
                yield Frames(item, item)
            else:
                yield Frames(item, _silence(voice, item.shape[1]))

    return frames()
