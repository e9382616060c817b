"""What is to be said and how, and a text as a sequence of renderings, sentence by sentence."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from vocoder.acoustic.synthesis import Rendering, TimedWord, render
from vocoder.audio import Samples
from vocoder.errors import TextError
from vocoder.generation.noise import MAX_SEED
from vocoder.text.frontend import TextFrontEnd
from vocoder.voice import Voice

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
    """

    text: str
    speaker: str | None = None
    seed: int = 0
    speed: float = 1.0
    pitch: float = 0.0
    ssml: bool = False
    lexicon: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Spoken:
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
    speaker = voice.speaker_index(speech.speaker)
    if speech.lexicon or front_end is None:
        try:
            front_end = TextFrontEnd(speech.lexicon)
        except TextError as error:
            error.param = "lexicon"
            raise
    sentences = front_end.sentences(speech.text, ssml=speech.ssml)
    # Taken now, so that a text with nothing to say is refused before the answer begins.
    first = next(sentences)

    def rendered() -> Iterator[Rendering]:
        assert voice.acoustic is not None
        ahead = itertools.chain((first,), sentences)
        sentence, seed = next(ahead, None), speech.seed
        while sentence is not None:
            following = next(ahead, None)
            gap = 0.0 if following is None else SENTENCE_GAP_S / speech.speed
            yield render(
                voice.acoustic,
                sentence,
                speaker,
                seed=seed,
                speed=speech.speed,
                pitch=speech.pitch,
                tail_s=gap,
            )
            sentence, seed = following, next_seed(seed)

    return rendered()


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
