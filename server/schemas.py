"""Schemas of requests and responses. Unknown keys are refused."""

from enum import IntEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field

from vocoder.audio.io import AudioFormat
from vocoder.config import FeatureConfig
from vocoder.generation.noise import MAX_SEED
from vocoder.synthesis.request import CLARITIES
from vocoder.synthesis.speech import PITCHES, SPEEDS
from vocoder.text.timings import TimedWord


class OutputRate(IntEnum):
    """Output sample rates, in Hz. An arbitrary rate could need a filter of any size."""

    HZ_8000 = 8000
    HZ_11025 = 11025
    HZ_12000 = 12000
    HZ_16000 = 16000
    HZ_22050 = 22050
    HZ_24000 = 24000
    HZ_32000 = 32000
    HZ_44100 = 44100
    HZ_48000 = 48000


Name = Annotated[str, Field(min_length=1, max_length=200)]


def _without_fraction(number: object) -> object:
    # To JSON Schema 5.0 is an integer, and some languages write 5 that way.
    return int(number) if isinstance(number, float) and number.is_integer() else number


Seed = Annotated[int, Field(ge=0, le=MAX_SEED), BeforeValidator(_without_fraction)]
Rate = Annotated[OutputRate, BeforeValidator(_without_fraction)]


Tags = Annotated[tuple[Name, ...], Field(max_length=64)]


class VocodeOptions(BaseModel):
    """Options for vocoding: the query of a feature file, or the top level of a JSON body."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    voice: Name | None = Field(None, description="voice id; the default voice by default")
    speaker: Name | None = Field(
        None, description="one of the voice's speakers; its first by default"
    )
    tags: Tags = Field((), description="some of the voice's tags, such as a style or an instrument")
    seed: Seed | None = Field(
        None,
        description="same seed, voice, engine and features: same audio; random by default",
    )
    clarity: float = Field(
        0.0,
        ge=CLARITIES[0],
        le=CLARITIES[1],
        description="spectral contrast to add: 0 for the features of recordings, 1 for predicted "
        "ones, as much as the voice adds to its own",
    )
    response_format: AudioFormat = Field(
        "wav", description="mono, 16-bit; `pcm` is little-endian without a header"
    )
    sample_rate: Rate | None = Field(
        None, description="resample to this rate in Hz; the voice's own rate by default"
    )
    engine: Name | None = Field(
        None, description="name of an engine; the server's choice by default"
    )
    stream: bool = Field(
        False,
        description="send the audio while it is being generated",
    )


Rows = Annotated[list[Annotated[list[float], FailFast()]], FailFast()]


class VocodeRequest(VocodeOptions):
    """Features as JSON, of the kind that the voice is conditioned on."""

    model_config = ConfigDict(strict=True)

    mel: Rows = Field(
        [], description="natural logarithm of mel power: one list per band, of equal length"
    )
    linguistic: Rows = Field(
        [], description="linguistic features: one list per channel, of equal length"
    )
    seconds: float | None = Field(
        None, gt=0, description="length, for a voice that is not conditioned on features"
    )
    features: dict[str, str | int | float] | None = Field(
        None, description="settings that `mel` was computed with; each must equal the voice's"
    )


class AnalyzeOptions(BaseModel):
    """Options for the analysis of a recording."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    voice: Name | None = Field(
        None, description="id of the voice that will use the features; the default voice by default"
    )


class VoiceReference(BaseModel):
    """A voice as an object, the way OpenAI's clients refer to custom voices."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Name


Word = Annotated[str, Field(min_length=1, max_length=100)]
Ipa = Annotated[str, Field(min_length=1, max_length=200)]


class SpeechRequest(BaseModel):
    """A text to speak: OpenAI's fields, and after `stream_format` this server's own."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model: Name | None = Field(
        None,
        description="voice id; the default voice by default, and for `tts-1`, `tts-1-hd` and "
        "`gpt-4o-mini-tts`",
    )
    input: str = Field(min_length=1, description="the text, of at most `max_text_chars` characters")
    voice: Name | VoiceReference | None = Field(
        None,
        description="a speaker of the model's voice, another voice's id, `voice/speaker`, or one "
        "of OpenAI's names, each of which means one of the speakers; the first by default",
    )
    instructions: str | None = Field(
        None, description="accepted for compatibility with OpenAI's clients, and ignored"
    )
    response_format: AudioFormat = Field(
        "mp3",
        description="mono; `pcm` is 16-bit little-endian without a header. `opus` and `aac` are "
        "not supported",
    )
    speed: float = Field(1.0, ge=SPEEDS[0], le=SPEEDS[1], description="factor")
    stream_format: Literal["audio", "sse"] = Field(
        "audio", description="the audio itself, or events that contain it"
    )
    speaker: Name | None = Field(None, description="overrides the speaker that `voice` means")
    tags: Tags = Field((), description="some of the voice's tags, such as a style")
    seed: Seed | None = Field(
        None,
        description="same seed, voice, engine and text: same audio; random by default",
    )
    pitch: float = Field(0.0, ge=PITCHES[0], le=PITCHES[1], description="shift in semitones")
    ssml: bool = Field(False, description="whether `input` is SSML")
    lexicon: dict[Word, Ipa] | None = Field(
        None, max_length=1000, description="words and their pronunciations in the IPA"
    )
    sample_rate: Rate | None = Field(
        None, description="in Hz; default 24,000 for `pcm`, otherwise the voice's own rate"
    )
    engine: Name | None = Field(
        None, description="name of an engine; the server's choice by default"
    )
    stream: bool = Field(
        True,
        description="send the audio while it is being generated; otherwise as a whole file, for a "
        "text of at most `max_whole_text_chars` characters",
    )
    timings: bool = Field(False, description="with `sse`: send the times of words and phonemes")


class PhonemeTiming(BaseModel):
    """A phoneme and its times."""

    symbol: str = Field(description="IPA with its stress mark, or the punctuation of a pause")
    start_s: float = Field(description="from the start of the whole audio")
    end_s: float


class WordTiming(BaseModel):
    """A word of the text as spoken, and its times."""

    text: str
    start_s: float = Field(description="from the start of the whole audio")
    end_s: float = Field(description="end of its last phoneme, without the pause after it")
    phonemes: list[PhonemeTiming] = Field(description="including the pause after the word")

    @classmethod
    def of(cls, word: TimedWord) -> Self:
        """A word's timing, rounded to microseconds."""
        phonemes = [
            PhonemeTiming(
                symbol=phoneme.symbol,
                start_s=round(phoneme.start_s, 6),
                end_s=round(phoneme.end_s, 6),
            )
            for phoneme in word.phonemes
        ]
        return cls(
            text=word.text,
            start_s=round(word.start_s, 6),
            end_s=round(word.end_s, 6),
            phonemes=phonemes,
        )


class SentencePlan(BaseModel):
    """A sentence that would be spoken."""

    text: str = Field(description="as spoken: numbers and abbreviations written out")
    phonemes: str = Field(description="in the IPA")
    duration_s: float
    words: list[WordTiming]


class SpeechPlan(BaseModel):
    """What a request would speak, without the audio."""

    model: str = Field(description="voice id")
    speaker: str
    text: str = Field(description="as spoken")
    phonemes: str = Field(description="in the IPA")
    duration_s: float = Field(description="of the whole audio")
    sentences: list[SentencePlan]


class ErrorDetail(BaseModel):
    """Details of an error."""

    message: str = Field(description="what was wrong, and what would be right")
    type: str = Field(description="category of the error")
    # Always sent; optional here because FastAPI leaves null values out of the examples.
    param: str | None = Field(None, description="the invalid field; null if there is none")
    code: str = Field(description="short stable identifier for programs")


class ErrorResponse(BaseModel):
    """The format of every error."""

    error: ErrorDetail


class VoiceInfo(BaseModel):
    """A voice of this server."""

    id: str
    name: str
    speakers: list[str]
    tags: list[str] = Field(description="further properties that a request can choose")
    conditioning: Literal["mel", "linguistic", "none"] = Field(
        description="kind of the features that it is vocoded from"
    )
    reads_text: bool = Field(description="whether it speaks text, and not only features")
    sample_rate_hz: int = Field(description="the voice's own sample rate")
    licence: str
    hash: str = Field(description="SHA-256 over the weights and settings, as in X-Voice-Hash")
    features: FeatureConfig = Field(description="required settings of its features")


class VoiceList(BaseModel):
    """All voices, twice, because clients differ in which key they read."""

    object: Literal["list"] = "list"
    data: list[VoiceInfo]
    voices: list[VoiceInfo]


class Model(BaseModel):
    """A voice in the format of OpenAI's models."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="when the voice's folder was written, in seconds since 1970")
    owned_by: str = "local"


class ModelList(BaseModel):
    """All voices, as models."""

    object: Literal["list"] = "list"
    data: list[Model]


class Health(BaseModel):
    """The server's state."""

    status: Literal["ok", "ready"]


class Ready(Health):
    """The state of a server that is ready."""

    refused_voices: list[str] = Field(
        [], description="voice folders that are damaged, and not served; see the server's log"
    )
