"""Text or features to segments: everything that comes before the sample loop, lazily.

Each function checks what it can at once, and then returns an iterator of segments. None means
"nothing yet": text or features are still arriving.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from vocoder.acoustic.rendering import Rendering
from vocoder.config import ContrastConfig
from vocoder.errors import FeatureError, UserError
from vocoder.features.spectral_contrast import SpectralContrast
from vocoder.generation.noise import MAX_SEED
from vocoder.scheduling.segment import PostFilter, Segment, UtteranceStart
from vocoder.synthesis.band_joiner import BandJoiner
from vocoder.synthesis.conditioning_input import (
    Frames,
    arriving_frames,
    check_clarity,
    frames_of,
    sharpened_frames,
)
from vocoder.synthesis.fade import Fade
from vocoder.synthesis.input_stream import InputStream
from vocoder.synthesis.request import Vocoding
from vocoder.synthesis.spectral_correction import CorrectionChain
from vocoder.synthesis.speech import Speech
from vocoder.voices.voice import Voice
from vocoder.wavenet.conditioning import global_conditioning
from vocoder.wavenet.filter_bank import delay

FEATURE_SEGMENT_FRAMES, TEXT_SEGMENT_FRAMES = (16, 32), (16, 32, 64)
"""Frames of the first segments, the last number repeated: the first audio needs only a few.

They are fixed, so the sound of an utterance does not depend on how it arrives: features may come
one frame at a time, sentences come whole.
"""


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
            speaker or tag, or a seed or clarity out of range; for frames of ``input``, when they
            arrive.
    """
    _check_seed(vocoding.seed)
    speaker = voice.speaker_index(vocoding.speaker)
    voice.check_tags(vocoding.tags)
    check_clarity(vocoding.clarity, voice)
    start = UtteranceStart(vocoding.seed, post_filter(voice))
    if input is not None:
        frames: Iterator[Frames | None] = arriving_frames(input, voice)
    else:
        assert vocoding.features is not None, "neither features nor an input stream"
        frames = frames_of(vocoding.features, voice)
    if vocoding.clarity:
        contrast = (voice.contrast(speaker) or ContrastConfig()).scaled(vocoding.clarity)
        spectral = SpectralContrast(contrast, voice.config.features)
        frames = sharpened_frames(frames, spectral, voice)
    conditioning = global_conditioning(voice.config, speaker, vocoding.tags)
    return _segments(voice, conditioning, start, frames, FEATURE_SEGMENT_FRAMES)


def speech_segments(
    speech: Speech, renderings: Iterable[Rendering | None], voice: Voice
) -> Iterator[Segment | None]:
    """Segments of a speech, with an utterance for each sentence.

    Args:
        speech: that is rendered.
        renderings: of its sentences; None if there is none yet.
        voice: that speaks.

    Raises:
        UserError: at once, for an unknown tag or a seed out of range.
    """
    _check_seed(speech.seed)
    voice.check_tags(speech.tags)

    def segments() -> Iterator[Segment | None]:
        config, samples = voice.config.features, 0
        for rendering in renderings:
            if rendering is None:
                yield None
                continue
            features = rendering.features(config)
            length = features.frames * config.hop_length
            start = UtteranceStart(
                rendering.seed,
                Fade(post_filter(voice), length, config.sample_rate_hz),
                rendering.timings(samples / config.sample_rate_hz),
            )
            conditioning = global_conditioning(voice.config, rendering.speaker, speech.tags)
            frames = frames_of(features, voice)
            yield from _segments(voice, conditioning, start, frames, TEXT_SEGMENT_FRAMES)
            samples += length

    return segments()


def _check_seed(seed: int) -> None:
    if not 0 <= seed <= MAX_SEED:
        raise UserError(f"seed {seed} is not in 0 to {MAX_SEED}", param="seed")


def post_filter(voice: Voice) -> PostFilter:
    """A new post-filter, as the voice's settings ask for: bands to audio, spectral correction."""
    settings, bands = voice.manifest.generation, voice.config.bands
    chain = CorrectionChain(
        voice.config.features, settings.correction_passes, settings.correction_limit_db
    )
    return chain if bands == 1 else BandJoiner(chain, bands)


def samples_before_audio(voice: Voice) -> int:
    """Number of samples to generate before :func:`post_filter` finishes the first one."""
    passes, bands = voice.manifest.generation.correction_passes, voice.config.bands
    samples = CorrectionChain.samples_before_audio(voice.config.features, passes) + delay(bands)
    return -(-samples // bands) * bands


def _segments(
    voice: Voice,
    global_: Tensor,
    start: UtteranceStart,
    arriving: Iterator[Frames | None],
    lengths: Sequence[int],
) -> Iterator[Segment | None]:
    """Segments of one utterance, each as soon as the frames it depends on have arrived.

    Args:
        voice: that speaks.
        global_: global conditioning (S,).
        start: of the utterance.
        arriving: its frames; None while there are none.
        lengths: frames of the first segments, the last number repeated.
    """
    config, device = voice.config, voice.model.device
    margin, per_frame = config.conditioning.margin, config.features.hop_length // config.hold
    global_ = global_[None].to(device)
    window = _Window(margin)
    first, ended = 0, False
    for length in itertools.chain(lengths, itertools.repeat(lengths[-1])):
        # One frame more than needed tells whether this is the last segment.
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
            conditioning = voice.model.condition_margined(local[None].to(device), global_)
        conditioning = conditioning._replace(first=conditioning.first + first * per_frame)
        yield Segment(conditioning, mel.numpy(), start if not first else None, last)
        if last:
            return
        first += length


class _Window:
    """The frames that have arrived and are not yet conditioned, with the margin on their left.

    The first frame is repeated before the start, the last one after the end.
    """

    def __init__(self, margin: int) -> None:
        self.frames = 0
        self._margin = margin
        self._local: Tensor | None = None
        self._mel: Tensor | None = None

    def extend(self, frames: Frames) -> None:
        """Append frames."""
        if self._local is None or self._mel is None:
            self._local = torch.cat((_repeated(frames.local[:, :1], self._margin), frames.local), 1)
            self._mel = frames.mel
        else:
            self._local = torch.cat((self._local, frames.local), 1)
            self._mel = torch.cat((self._mel, frames.mel), 1)
        self.frames += frames.local.shape[1]

    def end(self) -> None:
        """Mark the end of the frames."""
        if self._local is not None:
            self._local = torch.cat((self._local, _repeated(self._local[:, -1:], self._margin)), 1)

    def take(self, count: int) -> Frames:
        """Remove the first frames; returns the local ones with margins, (C, count + 2 margin)."""
        assert self._local is not None
        assert self._mel is not None
        # Copied, so that their memory layout does not depend on how they arrived.
        local = _copy(self._local[:, : count + 2 * self._margin])
        mel = _copy(self._mel[:, :count])
        self._local, self._mel = self._local[:, count:], self._mel[:, count:]
        self.frames -= count
        return Frames(local, mel)


def _copy(frames: Tensor) -> Tensor:
    return frames.clone(memory_format=torch.contiguous_format)


def _repeated(frame: Tensor, count: int) -> Tensor:
    return frame.expand(-1, count)
