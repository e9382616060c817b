"""Text or features to pieces: all that happens before the sample loop, lazily.

Each function checks what it can at once and then gives an iterator of pieces. None stands for
"nothing yet", where text or features are still arriving.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vocoder.acoustic.synthesis import Rendering, TimedWord
from vocoder.audio import Samples
from vocoder.errors import FeatureError, UserError
from vocoder.features import Features, check_fingerprint, validate_linguistic, validate_mel
from vocoder.feeding import Ended, Feed
from vocoder.generation.correction import CorrectionChain
from vocoder.generation.noise import MAX_SEED
from vocoder.generation.pieces import Beginning, Finisher, Mel, Piece
from vocoder.speech import Speech, next_seed
from vocoder.text.linguistic import LAYOUT
from vocoder.voice import Voice

FADE_S = 0.005
"""Length of the rise and the fall at a sentence's ends, in seconds."""

FEATURE_STRETCHES, TEXT_STRETCHES = (16, 32), (16, 32, 64)
"""Frames that are conditioned at a time: the first audio needs about so many, then larger ones.

Always the same, so that what an utterance sounds like does not depend on how it arrives: features
may come one by one, sentences come whole.
"""


class Said(NamedTuple):
    """What an utterance says: its normalised text, its words in time from the stream's start."""

    text: str
    words: tuple[TimedWord, ...]


class _Frames(NamedTuple):
    """Features as they arrive: what conditions (C, F), and the log-mel asked for (n_mels, F)."""

    local: Tensor
    mel: Tensor


def feature_pieces(
    features: Features | Feed[Tensor],
    voice: Voice,
    speaker: str | None = None,
    seed: int = 0,
    tags: Sequence[str] = (),
) -> Iterator[Piece | None]:
    """Pieces of one utterance.

    Args:
        features: made with the voice's settings; or a feed of frames of what conditions it (C, F).
        voice: who speaks.
        speaker: one of the voice's; its first where None.
        seed: of the noise.
        tags: of the voice's.

    Raises:
        UserError: at once, for features of other settings or with unusable values, an unknown
            speaker or tag, a bad seed; for frames that arrive, when they do.
    """
    check_seed(seed)
    identity, beginning = voice.identity(speaker, tags), Beginning(seed, correction(voice))
    arriving = _arriving(features, voice) if isinstance(features, Feed) else _whole(features, voice)
    return _pieces(voice, identity, beginning, arriving, FEATURE_STRETCHES)


def spoken_pieces(
    speech: Speech, renderings: Iterable[Rendering | None], voice: Voice
) -> Iterator[Piece | None]:
    """Pieces of a speech, an utterance for each sentence.

    Args:
        speech: what is rendered.
        renderings: its sentences; None where there is none yet.
        voice: who speaks.

    Raises:
        UserError: at once, for an unknown speaker or tag, or a bad seed.
    """
    check_seed(speech.seed)
    identity = voice.identity(speech.speaker, speech.tags)

    def pieces() -> Iterator[Piece | None]:
        config, samples, seed = voice.config.features, 0, speech.seed
        for rendering in renderings:
            if rendering is None:
                yield None
                continue
            words = rendering.timings(samples / config.sample_rate_hz)
            features = rendering.features(config)
            length = features.frames * config.hop_length
            finisher = Fading(correction(voice), length, config.sample_rate_hz)
            beginning = Beginning(seed, finisher, Said(rendering.sentence.text, words))
            frames = _whole(features, voice)
            yield from _pieces(voice, identity, beginning, frames, TEXT_STRETCHES)
            samples, seed = samples + length, next_seed(seed)

    return pieces()


def check_seed(seed: int) -> None:
    """Refuse a seed that the noise cannot take.

    Raises:
        UserError: it is out of range.
    """
    if not 0 <= seed <= MAX_SEED:
        raise UserError(f"seed {seed} is not in 0 to {MAX_SEED}", param="seed")


def correction(voice: Voice) -> CorrectionChain:
    """The spectral correction that a voice asks for."""
    settings = voice.manifest.generation
    return CorrectionChain(
        voice.config.features, settings.correction_passes, settings.correction_limit_db
    )


class Fading:
    """A finisher whose audio rises from silence at its start and falls to it at its end."""

    def __init__(self, finisher: Finisher, length: int, rate_hz: int) -> None:
        """Fade what ``finisher`` gives, ``length`` samples in all."""
        self._finisher, self._length = finisher, length
        self._fade = round(FADE_S * rate_hz)
        self._at = 0

    def extend(self, mel: Mel) -> None:
        """Know the next frames (n_mels, F)."""
        self._finisher.extend(mel)

    def push(self, samples: Samples) -> Samples:
        """Take the next samples (T,); returns those that are finished (T',)."""
        return self._faded(self._finisher.push(samples))

    def flush(self) -> Samples:
        """End: returns the samples that were held back."""
        return self._faded(self._finisher.flush())

    def _faded(self, samples: Samples) -> Samples:
        first, self._at = self._at, self._at + len(samples)
        if first >= self._fade and self._at <= self._length - self._fade:
            return samples
        at = np.arange(first, self._at)
        distance = np.minimum(at, self._length - 1 - at) + 0.5
        gain = np.sin(np.pi / 2 * np.minimum(1.0, distance / self._fade)) ** 2
        return (samples * gain).astype(np.float32)


def _whole(features: Features, voice: Voice) -> Iterator[_Frames]:
    check_fingerprint(features.config.fingerprint(), voice.config.features)
    return iter([_frames(features, voice)])


def _frames(features: Features, voice: Voice) -> _Frames:
    """Of features what conditions a voice.

    Raises:
        FeatureError: it is not there, or its values are not usable.
    """
    config = voice.config
    if config.conditioning.kind == "mel":
        mel = validate_mel(features.mel, config.features)
        return _Frames(mel, mel)
    if config.conditioning.kind == "none":
        if not features.length:
            raise FeatureError(
                f"voice {voice.id} is conditioned on nothing: give seconds, no features",
                param="seconds",
            )
        silence = _silence(voice, features.length)
        return _Frames(silence[:0], silence)
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
        return _Frames(local, _silence(voice, local.shape[1]))
    mel = validate_mel(features.mel, config.features)
    if mel.shape[1] != local.shape[1]:
        raise FeatureError(
            f"mel has {mel.shape[1]} frames, linguistic {local.shape[1]}: give as many of both",
            param="mel",
        )
    return _Frames(local, mel)


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


def _arriving(feed: Feed[Tensor], voice: Voice) -> Iterator[_Frames | None]:
    kind, config = voice.config.conditioning.kind, voice.config.features
    if kind == "linguistic":
        _silence(voice, 1)  # Refused at once where a mel is needed.

    def frames() -> Iterator[_Frames | None]:
        while True:
            try:
                given = feed.take()
            except Ended:
                return
            if given is None:
                yield None
            elif kind == "mel":
                yield _frames(Features(given, config), voice)
            else:
                nothing = given.new_empty(config.n_mels, 0)
                yield _frames(Features(nothing, config, linguistic=given), voice)

    return frames()


def _pieces(
    voice: Voice,
    identity: Tensor,
    beginning: Beginning,
    arriving: Iterator[_Frames | None],
    stretches: Sequence[int],
) -> Iterator[Piece | None]:
    """Pieces of one utterance, each as soon as the frames after it that it depends on are there."""
    config, device = voice.config, voice.model.device
    margin, per_frame = config.conditioning.margin, config.features.hop_length // config.hold
    identity = identity[None].to(device)
    window = _Window(margin)
    first, ended = 0, False
    for length in itertools.chain(stretches, itertools.repeat(stretches[-1])):
        # One frame more than needed tells whether this is the last piece.
        while not ended and window.frames < length + max(margin, 1):
            frames = next(arriving, window)
            if isinstance(frames, _Window):
                ended = True
                window.end()
            elif frames is None:
                yield None
            else:
                window.extend(frames)
        if not window.frames:
            raise FeatureError("mel has no frames: give at least one", param="mel")
        last = ended and window.frames <= length
        local, mel = window.take(min(length, window.frames))
        with torch.inference_mode():
            conditioning = voice.model.condition_margined(local[None].to(device), identity)
        conditioning = conditioning._replace(first=conditioning.first + first * per_frame)
        yield Piece(conditioning, mel.numpy(), beginning if not first else None, last)
        if last:
            return
        first += length


class _Window:
    """The frames that are there and not yet conditioned, with the margin on their left.

    Before the first frame stands the first one again, after the last the last one.
    """

    def __init__(self, margin: int) -> None:
        self.frames = 0
        self._margin = margin
        self._local: Tensor | None = None
        self._mel: Tensor | None = None

    def extend(self, frames: _Frames) -> None:
        """Take further frames."""
        if self._local is None or self._mel is None:
            self._local = torch.cat((_repeated(frames.local[:, :1], self._margin), frames.local), 1)
            self._mel = frames.mel
        else:
            self._local = torch.cat((self._local, frames.local), 1)
            self._mel = torch.cat((self._mel, frames.mel), 1)
        self.frames += frames.local.shape[1]

    def end(self) -> None:
        """No further frames will come."""
        if self._local is not None:
            self._local = torch.cat((self._local, _repeated(self._local[:, -1:], self._margin)), 1)

    def take(self, count: int) -> _Frames:
        """The first frames, what conditions with its margins: (C, count + 2 margin)."""
        assert self._local is not None
        assert self._mel is not None
        # Copied, so that they lie in memory the same way however they came.
        local = _copy(self._local[:, : count + 2 * self._margin])
        mel = _copy(self._mel[:, :count])
        self._local, self._mel = self._local[:, count:], self._mel[:, count:]
        self.frames -= count
        return _Frames(local, mel)


def _copy(frames: Tensor) -> Tensor:
    return frames.clone(memory_format=torch.contiguous_format)


def _repeated(frame: Tensor, count: int) -> Tensor:
    return frame.expand(-1, count)
