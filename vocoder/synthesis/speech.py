"""What is to be said and how, and a text as a sequence of renderings, sentence by sentence."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from vocoder.acoustic.rendering import Rendering, TimedWord, render
from vocoder.audio.io import Samples
from vocoder.errors import SilentTextError, TextError
from vocoder.generation.noise import MAX_SEED
from vocoder.synthesis.input_stream import EndOfStream, InputStream
from vocoder.text.frontend import TextFrontEnd
from vocoder.text.incremental import IncrementalText, TextPart
from vocoder.text.utterance import Sentence
from vocoder.voices.voice import Voice

SPEEDS = (0.25, 4.0)
PITCHES = (-12.0, 12.0)

SEED_STEP = 0x9E3779B97F4A7C15
"""By which the seeds of a speech's sentences differ."""

SENTENCE_GAP_S = 0.2
"""Silence between two sentences, besides what the model makes at their ends."""


@dataclass(frozen=True)
class Speech:
    """A text, and how to say it.

    Attributes:
        text: plain, or SSML.
        speaker: one of the voice's; its first where None.
        seed: of the noise; the same seed gives the same audio.
        speed: factor, 0.25 to 4.
        pitch: shift in semitones, -12 to 12.
        ssml: whether the text is SSML.
        lexicon: words and their IPA, which come before the voice's own.
        tags: of the voice's: what else is to be said of the recording.
    """

    text: str
    speaker: str | None = None
    seed: int = 0
    speed: float = 1.0
    pitch: float = 0.0
    ssml: bool = False
    lexicon: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class AudioChunk:
    """A chunk of speech.

    Attributes:
        samples: float32 (T,) at the voice's rate, never empty.
        text: normalised text of the sentence that begins with this chunk, else empty.
        words: words of that sentence, in seconds from the start of the whole audio.
    """

    samples: Samples
    text: str = ""
    words: tuple[TimedWord, ...] = ()


@dataclass(frozen=True)
class PlannedSentence:
    """A sentence that would be spoken.

    Attributes:
        text: normalised.
        phonemes: in the IPA.
        duration_s: as predicted.
        words: in seconds from the start of the whole audio.
    """

    text: str
    phonemes: str
    duration_s: float
    words: tuple[TimedWord, ...]


def renderings(
    speech: Speech, voice: Voice, front_end: TextFrontEnd | None = None
) -> Iterator[Rendering]:
    """Each sentence of a speech in turn; the next is rendered when asked for.

    Args:
        speech: what to say.
        voice: one with an acoustic model.
        front_end: to be used where the speech has no lexicon of its own.

    Raises:
        UserError: before anything is rendered, for a voice that reads no text, an unknown speaker,
            a speed or pitch out of range, or a text that cannot be spoken.
    """
    speaker = _checked(speech, voice)
    sentences = _front_end(speech, front_end).sentences(speech.text, ssml=speech.ssml)
    # Taken now, so that a text with nothing to say is refused before the answer begins.
    first = next(sentences)

    def rendered() -> Iterator[Rendering]:
        seed = speech.seed
        for sentence, followed in _with_following(itertools.chain((first,), sentences)):
            yield _rendered(sentence, speech, voice, speaker, seed, followed)
            seed = next_seed(seed)

    return rendered()


def fed_renderings(
    speech: Speech, feed: InputStream[str], voice: Voice, front_end: TextFrontEnd | None = None
) -> Iterator[Rendering | None]:
    """As :func:`renderings`, of a text that arrives in any parts; None where a part is awaited.

    Each sentence is rendered as soon as the next one begins or the feed ends, and sounds as it
    would within the whole text. Parts with nothing to speak are passed over.

    Args:
        speech: how to say it; its text is not used.
        feed: the text's parts.
        voice: one with an acoustic model.
        front_end: to be used where the speech has no lexicon of its own.

    Raises:
        UserError: at once, as :func:`renderings`; for a text that cannot be spoken, when it comes.
    """
    speaker = _checked(speech, voice)
    reader, text = _front_end(speech, front_end), IncrementalText(speech.lexicon)

    def sentences() -> Iterator[tuple[Sentence, bool] | None]:
        while True:
            try:
                part = feed.take()
            except EndOfStream:
                yield from _with_following(_readable(reader, text.flush()))
                return
            if part is None:
                yield None
                continue
            complete = False
            for sentence in _readable(reader, text.push(part)):
                complete = True
                yield sentence, True
            if not complete:
                # Others come in between: a text may have no end of a sentence for long.
                feed.reschedule()
                yield None

    def rendered() -> Iterator[Rendering | None]:
        seed = speech.seed
        for item in sentences():
            if item is None:
                yield None
                continue
            sentence, followed = item
            yield _rendered(sentence, speech, voice, speaker, seed, followed)
            seed = next_seed(seed)

    return rendered()


def _checked(speech: Speech, voice: Voice) -> int:
    """Index of the speaker, where the voice can say the speech."""
    if voice.acoustic is None:
        raise TextError(
            f"voice {voice.id} cannot read text: it has no acoustic model; give it features, or "
            "choose a voice that has one",
            param="voice",
        )
    for name, value, (low, high) in (
        ("speed", speech.speed, SPEEDS),
        ("pitch", speech.pitch, PITCHES),
    ):
        if not low <= value <= high:
            raise TextError(f"{name} {value:g} is not in {low:g} to {high:g}", param=name)
    return voice.speaker_index(speech.speaker)


def _front_end(speech: Speech, front_end: TextFrontEnd | None) -> TextFrontEnd:
    if front_end is not None and not speech.lexicon:
        return front_end
    try:
        return TextFrontEnd(speech.lexicon)
    except TextError as error:
        error.param = "lexicon"
        raise


def _readable(front_end: TextFrontEnd, parts: Iterable[TextPart]) -> Iterator[Sentence]:
    for part in parts:
        with contextlib.suppress(SilentTextError):
            yield from front_end.sentences(part.text, whole=part.whole)


def _with_following(sentences: Iterator[Sentence]) -> Iterator[tuple[Sentence, bool]]:
    """Each sentence, and whether another one follows."""
    sentence = next(sentences, None)
    while sentence is not None:
        following = next(sentences, None)
        yield sentence, following is not None
        sentence = following


def _rendered(
    sentence: Sentence, speech: Speech, voice: Voice, speaker: int, seed: int, followed: bool
) -> Rendering:
    assert voice.acoustic is not None
    return render(
        voice.acoustic,
        sentence,
        speaker,
        seed=seed,
        speed=speech.speed,
        pitch=speech.pitch,
        tail_s=SENTENCE_GAP_S / speech.speed if followed else 0.0,
    )


def next_seed(seed: int) -> int:
    """Seed of the sentence after one with this seed."""
    return (seed + SEED_STEP) % (MAX_SEED + 1)


def planned(sentences: Iterator[Rendering]) -> Iterator[PlannedSentence]:
    """What renderings would sound like, without any sound."""
    offset = 0.0
    for rendering in sentences:
        duration = rendering.mel.shape[1] / rendering.frame_rate_hz
        sentence = rendering.sentence
        yield PlannedSentence(sentence.text, sentence.phonemes, duration, rendering.timings(offset))
        offset += duration
