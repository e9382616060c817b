"""A text and how to speak it, rendered sentence by sentence."""

import contextlib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from vocoder.acoustic.rendering import Rendering, render
from vocoder.audio.io import Samples
from vocoder.errors import LongSpeechError, SilentTextError, TextError
from vocoder.generation.noise import MAX_SEED
from vocoder.synthesis.input_stream import EndOfStream, InputStream
from vocoder.text.frontend import TextFrontEnd
from vocoder.text.incremental import IncrementalText, TextPart
from vocoder.text.timings import SentenceTimings, TimedWord
from vocoder.text.utterance import Sentence
from vocoder.voices.voice import Voice

SPEEDS = (0.25, 4.0)
PITCHES = (-12.0, 12.0)

SEED_STEP = 0x9E3779B97F4A7C15
"""Difference between the seeds of consecutive sentences."""

SENTENCE_GAP_S = 0.2
"""Silence between two sentences, in addition to the model's own pauses."""


@dataclass(frozen=True)
class Speech:
    """A text, and how to speak it.

    Attributes:
        text: plain, or SSML.
        speaker: one of the voice's speakers; the first if None.
        seed: of the noise; the same seed gives the same audio.
        speed: factor, 0.25 to 4.
        pitch: shift in semitones, -12 to 12.
        ssml: whether the text is SSML.
        lexicon: words with their IPA, which take precedence over the built-in lexicon.
        tags: of the voice, describing the recording to imitate.
        max_s: longest audio, in seconds; a longer text is spoken up to its first sentence beyond.
    """

    text: str
    speaker: str | None = None
    seed: int = 0
    speed: float = 1.0
    pitch: float = 0.0
    ssml: bool = False
    lexicon: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    max_s: float = math.inf


@dataclass(frozen=True)
class AudioChunk:
    """A chunk of speech.

    Attributes:
        samples: float32 (T,) at the voice's rate, never empty.
        text: normalised text of the sentence that starts with this chunk, else empty.
        words: of that sentence, in seconds from the start of the audio.
    """

    samples: Samples
    text: str = ""
    words: tuple[TimedWord, ...] = ()

    @classmethod
    def of(cls, samples: Samples, sentence: SentenceTimings | None) -> "AudioChunk":
        """A chunk with the sentence that starts with it, if one does."""
        return cls(samples) if sentence is None else cls(samples, sentence.text, sentence.words)


@dataclass(frozen=True)
class PlannedSentence:
    """A sentence that would be spoken.

    Attributes:
        text: normalised.
        phonemes: in the IPA.
        duration_s: as predicted.
        words: in seconds from the start of the audio.
    """

    text: str
    phonemes: str
    duration_s: float
    words: tuple[TimedWord, ...]


def renderings(
    speech: Speech, voice: Voice, front_end: TextFrontEnd | None = None
) -> Iterator[Rendering]:
    """Render each sentence of a speech in turn, when it is asked for.

    Args:
        speech: to render.
        voice: one with an acoustic model.
        front_end: used if the speech has no lexicon of its own.

    Raises:
        UserError: before anything is rendered, for a voice without an acoustic model, an unknown
            speaker, a speed or pitch out of range, or a text that cannot be spoken.
    """
    renderer = _Renderer(speech, voice)
    sentences = _front_end(speech, front_end).sentences(speech.text, ssml=speech.ssml)
    # Taken now, so that a text with nothing to speak is refused before a response starts.
    first = next(sentences)
    return (
        renderer.render(sentence, followed=followed)
        for sentence, followed in _with_following(itertools.chain((first,), sentences))
    )


def incremental_renderings(
    speech: Speech, input: InputStream[str], voice: Voice, front_end: TextFrontEnd | None = None
) -> Iterator[Rendering | None]:
    """As :func:`renderings`, for a text that is still arriving; None while more is awaited.

    Each sentence is rendered once the next one starts or the stream ends, and sounds exactly as
    within the whole text. Parts with nothing to speak are skipped.

    Args:
        speech: how to speak; its text is ignored.
        input: delivers the text, in parts of any length.
        voice: one with an acoustic model.
        front_end: used if the speech has no lexicon of its own.

    Raises:
        UserError: at once, as :func:`renderings`; when it arrives, for text that cannot be spoken.
    """
    renderer = _Renderer(speech, voice)
    reader, text = _front_end(speech, front_end), IncrementalText(speech.lexicon)

    def sentences() -> Iterator[tuple[Sentence, bool] | None]:
        while True:
            try:
                part = input.take()
            except EndOfStream:
                yield from _with_following(_speakable(reader, text.flush()))
                return
            if part is None:
                yield None
                continue
            complete = False
            for sentence in _speakable(reader, text.push(part)):
                complete = True
                yield sentence, True
            if not complete:
                # Lets other streams run: a long text may have no end of a sentence.
                input.reschedule()
                yield None

    return (
        None if item is None else renderer.render(item[0], followed=item[1]) for item in sentences()
    )


class _Renderer:
    """Renders the sentences of one speech, each with a seed of its own."""

    def __init__(self, speech: Speech, voice: Voice) -> None:
        """Check the speech and look up its speaker."""
        if voice.acoustic is None:
            raise TextError(
                f"voice {voice.id} cannot read text: it has no acoustic model; give it features, "
                "or choose a voice that has one",
                param="voice",
            )
        for name, value, (low, high) in (
            ("speed", speech.speed, SPEEDS),
            ("pitch", speech.pitch, PITCHES),
        ):
            if not low <= value <= high:
                raise TextError(f"{name} {value:g} is not in {low:g} to {high:g}", param=name)
        self._model, self._speech, self._seed = voice.acoustic, speech, speech.seed
        self._spoken_s = 0.0
        self._speaker = voice.speaker_index(speech.speaker)
        self._contrast = voice.contrast(self._speaker)

    def render(self, sentence: Sentence, *, followed: bool) -> Rendering:
        """Render the next sentence; ``followed``: whether another one comes after it.

        Raises:
            LongSpeechError: with it the speech is too long.
        """
        pauses = (sentence.break_s, *(word.break_s or 0.0 for word in sentence.words))
        self._check_length(sum(pauses))
        seed, self._seed = self._seed, next_seed(self._seed)
        rendering = render(
            self._model,
            sentence,
            self._speaker,
            seed=seed,
            speed=self._speech.speed,
            pitch=self._speech.pitch,
            tail_s=SENTENCE_GAP_S / self._speech.speed if followed else 0.0,
            contrast=self._contrast,
        )
        seconds = rendering.mel.shape[1] / rendering.frame_rate_hz
        self._check_length(seconds)
        self._spoken_s += seconds
        return rendering

    def _check_length(self, more_s: float) -> None:
        if self._spoken_s + more_s > self._speech.max_s:
            raise LongSpeechError(
                f"the speech is longer than {self._speech.max_s:g} s, the limit per request: "
                "send the text in parts"
            )


def _front_end(speech: Speech, front_end: TextFrontEnd | None) -> TextFrontEnd:
    if front_end is not None and not speech.lexicon:
        return front_end
    try:
        return TextFrontEnd(speech.lexicon)
    except TextError as error:
        error.param = "lexicon"
        raise


def _speakable(front_end: TextFrontEnd, parts: Iterable[TextPart]) -> Iterator[Sentence]:
    for part in parts:
        with contextlib.suppress(SilentTextError):
            yield from front_end.sentences(part.text, complete=part.complete)


def _with_following(sentences: Iterator[Sentence]) -> Iterator[tuple[Sentence, bool]]:
    """Each sentence, and whether another one follows."""
    sentence = next(sentences, None)
    while sentence is not None:
        following = next(sentences, None)
        yield sentence, following is not None
        sentence = following


def next_seed(seed: int) -> int:
    """The seed of the next sentence."""
    return (seed + SEED_STEP) % (MAX_SEED + 1)


def planned(sentences: Iterator[Rendering]) -> Iterator[PlannedSentence]:
    """What renderings would sound like, without generating audio."""
    offset_s = 0.0
    for rendering in sentences:
        duration_s = rendering.mel.shape[1] / rendering.frame_rate_hz
        timings = rendering.timings(offset_s)
        yield PlannedSentence(timings.text, rendering.sentence.phonemes, duration_s, timings.words)
        offset_s += duration_s
