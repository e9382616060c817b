"""What requests and answers hold. Unknown keys are refused."""

from enum import IntEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field

from vocoder.acoustic.rendering import TimedWord
from vocoder.audio.io import AudioFormat
from vocoder.config import FeatureConfig
from vocoder.generation.noise import MAX_SEED
from vocoder.synthesis.speech import PITCHES, SPEEDS


class OutputRate(IntEnum):
    """Rates that audio is resampled to, in Hz. A free choice could ask for a filter of any size."""

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
    # 5.0 is an integer to JSON Schema, and is what some languages write for 5.
    return int(number) if isinstance(number, float) and number.is_integer() else number


Seed = Annotated[int, Field(ge=0, le=MAX_SEED), BeforeValidator(_without_fraction)]
Rate = Annotated[OutputRate, BeforeValidator(_without_fraction)]


Tags = Annotated[tuple[Name, ...], Field(max_length=64)]


class VocodeOptions(BaseModel):
    """How features become audio: the query of a feature file, the top level of a JSON body."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    voice: Name | None = Field(None, description="voice id; the default voice where absent")
    speaker: Name | None = Field(None, description="one of the voice's; its first where absent")
    tags: Tags = Field((), description="of the voice's: a style, an instrument")
    seed: Seed | None = Field(
        None,
        description="same seed, voice, engine and features: same audio; drawn where absent",
    )
    response_format: AudioFormat = Field(
        "wav", description="mono, 16-bit; `pcm` is little-endian without a header"
    )
    sample_rate: Rate | None = Field(
        None, description="resample to this many Hz; the voice's own rate where absent"
    )
    engine: Name | None = Field(
        None, description="engine by name; the server's choice where absent"
    )
    stream: bool = Field(
        False,
        description="send the audio while it is being generated",
    )


Rows = Annotated[list[Annotated[list[float], FailFast()]], FailFast()]


class VocodeRequest(VocodeOptions):
    """Features as JSON: whichever the voice is conditioned on."""

    model_config = ConfigDict(strict=True)

    mel: Rows = Field(
        [], description="natural log of mel power: a list a band, each of as many frames"
    )
    linguistic: Rows = Field(
        [], description="linguistic features: a list a channel, each of as many frames"
    )
    seconds: float | None = Field(
        None, gt=0, description="length, for a voice that is conditioned on no features"
    )
    features: dict[str, str | int | float] | None = Field(
        None, description="settings that `mel` was made with; each one given must be the voice's"
    )


class AnalyzeOptions(BaseModel):
    """How a recording becomes features."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    voice: Name | None = Field(
        None, description="id of the voice that is to use them; the default voice where absent"
    )


class VoiceReference(BaseModel):
    """A voice as an object, as OpenAI's clients name custom voices."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Name


Word = Annotated[str, Field(min_length=1, max_length=100)]
Ipa = Annotated[str, Field(min_length=1, max_length=200)]


class SpeechRequest(BaseModel):
    """What to say and how: OpenAI's fields, and ours after `stream_format`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model: Name | None = Field(
        None,
        description="voice id; the default voice where absent, and for `tts-1`, `tts-1-hd` and "
        "`gpt-4o-mini-tts`",
    )
    input: str = Field(min_length=1, description="the text, of at most `max_text_chars` characters")
    voice: Name | VoiceReference | None = Field(
        None,
        description="a speaker of the model's voice, another voice's id, `voice/speaker`, or one "
        "of OpenAI's names, each of which means one of the speakers; the first where absent",
    )
    instructions: str | None = Field(None, description="taken for OpenAI's clients, and not used")
    response_format: AudioFormat = Field(
        "mp3",
        description="mono; `pcm` is 16-bit little-endian without a header. `opus` and `aac` are "
        "not made",
    )
    speed: float = Field(1.0, ge=SPEEDS[0], le=SPEEDS[1], description="factor")
    stream_format: Literal["audio", "sse"] = Field(
        "audio", description="the audio itself, or events that hold it"
    )
    speaker: Name | None = Field(None, description="goes before the one that `voice` means")
    tags: Tags = Field((), description="of the voice's: a style")
    seed: Seed | None = Field(
        None,
        description="same seed, voice, engine and text: same audio; drawn where absent",
    )
    pitch: float = Field(0.0, ge=PITCHES[0], le=PITCHES[1], description="shift in semitones")
    ssml: bool = Field(False, description="whether `input` is SSML")
    lexicon: dict[Word, Ipa] | None = Field(
        None, max_length=1000, description="words and how they are pronounced, in the IPA"
    )
    sample_rate: Rate | None = Field(
        None, description="in Hz; where absent 24,000 for `pcm`, else the voice's own rate"
    )
    engine: Name | None = Field(
        None, description="engine by name; the server's choice where absent"
    )
    stream: bool = Field(
        True,
        description="send the audio while it is being generated; else as a whole file, for a text "
        "of at most `max_whole_text_chars` characters",
    )
    timings: bool = Field(
        False, description="with `sse`: send when each word and phoneme is spoken"
    )


class PhonemeTiming(BaseModel):
    """A phoneme in time."""

    symbol: str = Field(description="IPA with its stress mark, or a pause as it is written")
    start_s: float = Field(description="from the start of the whole audio")
    end_s: float


class WordTiming(BaseModel):
    """A word of the text as it is spoken, in time."""

    text: str
    start_s: float = Field(description="from the start of the whole audio")
    end_s: float = Field(description="end of its last phoneme, without the pause after it")
    phonemes: list[PhonemeTiming] = Field(description="with the pause after the word")

    @classmethod
    def of(cls, word: TimedWord) -> Self:
        """A word's timing, to the microsecond."""
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

    text: str = Field(description="as it is spoken: numbers and abbreviations written out")
    phonemes: str = Field(description="in the IPA")
    duration_s: float
    words: list[WordTiming]


class SpeechPlan(BaseModel):
    """What a request would say, without the audio."""

    model: str = Field(description="voice id")
    speaker: str
    text: str = Field(description="as it is spoken")
    phonemes: str = Field(description="in the IPA")
    duration_s: float = Field(description="of the whole audio")
    sentences: list[SentencePlan]


class ErrorDetail(BaseModel):
    """What was wrong."""

    message: str = Field(description="what was wrong, and what would be right")
    type: str = Field(description="family of the error")
    # Always sent; optional here because FastAPI leaves null values out of the examples.
    param: str | None = Field(None, description="the field at fault; null where there is none")
    code: str = Field(description="short stable word for programs")


class ErrorResponse(BaseModel):
    """The shape of every error."""

    error: ErrorDetail


class VoiceInfo(BaseModel):
    """A voice that can be asked for."""

    id: str
    name: str
    speakers: list[str]
    tags: list[str] = Field(description="what else it can be told of the recording to be made")
    conditioning: Literal["mel", "linguistic", "none"] = Field(
        description="which features it is vocoded from"
    )
    reads_text: bool = Field(description="whether it speaks text; else features only")
    sample_rate_hz: int = Field(description="the voice's own rate")
    licence: str
    hash: str = Field(description="SHA-256 over the weights and settings, as in X-Voice-Hash")
    features: FeatureConfig = Field(description="settings that features for this voice need")


class VoiceList(BaseModel):
    """All voices, twice: clients differ in which key they read."""

    object: Literal["list"] = "list"
    data: list[VoiceInfo]
    voices: list[VoiceInfo]


class Model(BaseModel):
    """A voice, as OpenAI's clients see models."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="seconds since 1970 at which the voice's folder was written")
    owned_by: str = "local"


class ModelList(BaseModel):
    """All voices, as models."""

    object: Literal["list"] = "list"
    data: list[Model]


class Health(BaseModel):
    """State of the server."""

    status: Literal["ok", "ready"]
