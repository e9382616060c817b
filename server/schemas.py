"""What requests and answers hold. Unknown keys are refused."""

from enum import IntEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field

from vocoder.audio import AudioFormat
from vocoder.config import FeatureConfig
from vocoder.synthesizer import MAX_SEED


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


class VocodeOptions(BaseModel):
    """How features become audio: the query of a feature file, the top level of a JSON body."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    voice: Name | None = Field(None, description="voice id; the default voice where absent")
    speaker: Name | None = Field(None, description="one of the voice's; its first where absent")
    seed: int | None = Field(
        None,
        ge=0,
        le=MAX_SEED,
        description="same seed, voice, engine and features: same audio; drawn where absent",
    )
    response_format: AudioFormat = Field(
        "wav", description="16-bit mono; `pcm` is little-endian without a header"
    )
    sample_rate: OutputRate | None = Field(
        None, description="resample to this many Hz; the voice's own rate where absent"
    )
    engine: Name | None = Field(
        None, description="engine by name; the server's choice where absent"
    )
    stream: bool = Field(
        False,
        description="send `wav` or `pcm` at the voice's own rate while it is being generated",
    )


class VocodeRequest(VocodeOptions):
    """Features as JSON."""

    model_config = ConfigDict(strict=True)

    mel: Annotated[list[Annotated[list[float], FailFast()]], FailFast()] = Field(
        description="natural log of mel power: a list a band, each of as many frames"
    )
    features: dict[str, str | int | float] | None = Field(
        None, description="settings that `mel` was made with; each one given must be the voice's"
    )


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
    sample_rate_hz: int = Field(description="the voice's own rate")
    licence: str
    hash: str = Field(description="SHA-256 of the weights, as in X-Voice-Hash")
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
