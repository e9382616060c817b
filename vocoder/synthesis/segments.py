"""Text or features to pieces: all that happens before the sample loop, lazily.

Each function checks what it can at once and then gives an iterator of pieces. None stands for
"nothing yet", where text or features are still arriving.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vocoder.acoustic.rendering import Rendering, TimedWord
from vocoder.errors import FeatureError, UserError
from vocoder.generation.noise import MAX_SEED
from vocoder.scheduling.segment import Segment, UtteranceStart
from vocoder.synthesis.conditioning_input import Frames, arriving_frames, frames_of
from vocoder.synthesis.fade import Fading
from vocoder.synthesis.input_stream import InputStream
from vocoder.synthesis.request import Vocoding
from vocoder.synthesis.spectral_correction import CorrectionChain
from vocoder.synthesis.speech import Speech, next_seed
from vocoder.voices.voice import Voice

FEATURE_STRETCHES, TEXT_STRETCHES = (16, 32), (16, 32, 64)
"""Frames that are conditioned at a time: the first audio needs about so many, then larger ones.

Always the same, so that what an utterance sounds like does not depend on how it arrives: features
may come one by one, sentences come whole.
"""


class SentenceTimings(NamedTuple):
    """What an utterance says: its normalised text, its words in time from the stream's start."""

    text: str
    words: tuple[TimedWord, ...]


def feature_segments(
    vocoding: Vocoding, voice: Voice, input: InputStream[Tensor] | None = None
) -> Iterator[Segment | None]:
    """Segments of one utterance.

    Args:
        vocoding: the features, and how to vocode them.
        voice: that speaks.
        input: delivers the frames (C, F) that condition the voice, in place of the features.

    Raises:
        UserError: at once, for features with other settings or unusable values, an unknown
            speaker or tag, or a seed out of range; for frames of ``input``, when they arrive.
    """
    check_seed(vocoding.seed)
    identity = voice.identity(vocoding.speaker, vocoding.tags)
    beginning = UtteranceStart(vocoding.seed, correction(voice))
    if input is not None:
        frames: Iterator[Frames | None] = arriving_frames(input, voice)
    else:
        assert vocoding.features is not None, "neither features nor an input stream"
        frames = frames_of(vocoding.features, voice)
    return _segments(voice, identity, beginning, frames, FEATURE_STRETCHES)


def speech_segments(
    speech: Speech, renderings: Iterable[Rendering | None], voice: Voice
) -> Iterator[Segment | None]:
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

    def pieces() -> Iterator[Segment | None]:
        config, samples, seed = voice.config.features, 0, speech.seed
        for rendering in renderings:
            if rendering is None:
                yield None
                continue
            words = rendering.timings(samples / config.sample_rate_hz)
            features = rendering.features(config)
            length = features.frames * config.hop_length
            finisher = Fading(correction(voice), length, config.sample_rate_hz)
            beginning = UtteranceStart(
                seed, finisher, SentenceTimings(rendering.sentence.text, words)
            )
            frames = frames_of(features, voice)
            yield from _segments(voice, identity, beginning, frames, TEXT_STRETCHES)
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


def _segments(
    voice: Voice,
    identity: Tensor,
    beginning: UtteranceStart,
    arriving: Iterator[Frames | None],
    stretches: Sequence[int],
) -> Iterator[Segment | None]:
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
        yield Segment(conditioning, mel.numpy(), beginning if not first else None, last)
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

    def extend(self, frames: Frames) -> None:
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

    def take(self, count: int) -> Frames:
        """The first frames, what conditions with its margins: (C, count + 2 margin)."""
        assert self._local is not None
        assert self._mel is not None
        # Copied, so that they lie in memory the same way however they came.
        local = _copy(self._local[:, : count + 2 * self._margin])
        mel = _copy(self._mel[:, :count])
        self._local, self._mel = self._local[:, count:], self._mel[:, count:]
        self.frames -= count
        return Frames(local, mel)


def _copy(frames: Tensor) -> Tensor:
    return frames.clone(memory_format=torch.contiguous_format)


def _repeated(frame: Tensor, count: int) -> Tensor:
    return frame.expand(-1, count)
