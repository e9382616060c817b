"""Messages of WebSocket clients: JSON objects with a ``type``; unknown keys are refused."""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from vocoder.synthesis.request import CLARITIES
from vocoder.synthesis.speech import PITCHES, SPEEDS

from ..errors import Refusal
from ..json_input import MOST_VALUES, check_commas, check_count, decoded
from ..schemas import Ipa, Name, Rate, Seed, Word

Encoding = Literal["linear16", "mulaw", "alaw"]

LONGEST_CONTEXT_ID = 128

ContextId = Annotated[str, Field(min_length=1, max_length=LONGEST_CONTEXT_ID)]


OptionsModel = TypeVar("OptionsModel", bound="Options")


class Options(BaseModel):
    """The voice of a context and its settings. All of them are optional."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Name | None = None
    voice: Name | None = None
    speaker: Name | None = None
    seed: Seed | None = None
    speed: float = Field(1.0, ge=SPEEDS[0], le=SPEEDS[1])
    pitch: float = Field(0.0, ge=PITCHES[0], le=PITCHES[1])
    clarity: float = Field(0.0, ge=CLARITIES[0], le=CLARITIES[1])
    encoding: Encoding = "linear16"
    sample_rate: Rate | None = None
    timings: bool = False
    engine: Name | None = None


class Message(BaseModel):
    """Base of all messages."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ToContext(Message):
    """A message to one context; to the unnamed one if it names none."""

    context_id: ContextId | None = None


class Opening(ToContext, Options):
    """A message that can begin a context, and then choose its settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def options(self, defaults: Options) -> Options:
        """The defaults, overridden by the message."""
        given = {key: getattr(self, key) for key in self.overrides}
        return defaults.model_copy(update=given)

    @property
    def overrides(self) -> list[str]:
        """Names of the options that the message sets."""
        return [key for key in Options.model_fields if key in self.model_fields_set]


class Speak(Opening):
    """Text, cut anywhere."""

    type: Literal["Speak"]
    text: str
    lexicon: dict[Word, Ipa] | None = Field(None, max_length=1000)


class Start(Opening):
    """Announces features, as binary messages or as ``Features``."""

    type: Literal["Start"]
    input: Literal["features"]
    features: dict[str, str | int | float] | None = None


Frames = Annotated[list[Annotated[list[float], FailFast()]], FailFast()]


class FeatureFrames(ToContext):
    """Frames of features, with one value per channel: mel for a voice that is conditioned on
    log-mels, linguistic for one that is conditioned on linguistic features."""

    type: Literal["Features"]
    mel: Frames = []
    linguistic: Frames = []

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set & {"mel", "linguistic"}) != 1:
            raise ValueError("give either mel or linguistic")
        return self

    @property
    def kind(self) -> Literal["mel", "linguistic"]:
        """The kind of the features."""
        return "mel" if "mel" in self.model_fields_set else "linguistic"

    @property
    def frames(self) -> list[list[float]]:
        """One list per frame."""
        return self.mel or self.linguistic


class Flush(ToContext):
    """End the utterance: speak everything that was sent."""

    type: Literal["Flush"]


class Clear(ToContext):
    """Drop text and audio that have not been sent."""

    type: Literal["Clear"]


class Cancel(ToContext):
    """The same, and end the context."""

    type: Literal["Cancel"]


class Close(Message):
    """Speak everything that was sent, then close."""

    type: Literal["Close"]


FEATURE_KEYS = ("mel", "linguistic")
MOST_QUOTES_OF_FEATURES = 100

ClientMessage = Speak | Start | FeatureFrames | Flush | Clear | Cancel | Close
_MODELS: dict[str, type[Message]] = {
    "Speak": Speak,
    "Start": Start,
    "Features": FeatureFrames,
    "Flush": Flush,
    "Clear": Clear,
    "Cancel": Cancel,
    "Close": Close,
}
_PARSER: TypeAdapter[ClientMessage] = TypeAdapter(
    Annotated[ClientMessage, Field(discriminator="type")]
)


def parse(text: str) -> ClientMessage:
    """A message.

    Raises:
        Refusal: 400 or 422, it is invalid; says what would be right.
    """
    try:
        if text.count(",") <= MOST_VALUES or text.count('"') > MOST_QUOTES_OF_FEATURES:
            check_commas(text.encode("utf-8", "replace"), "the message")
            return _PARSER.validate_json(text)
        found = decoded(text, "the message")
        if not isinstance(found, dict) or found.get("type") != "Features":
            check_commas(text.encode("utf-8", "replace"), "the message")
            return _PARSER.validate_json(text)
        check_count(found, "the message", besides=FEATURE_KEYS)
        # Its lists are the only values that could be of another type in Python.
        return _PARSER.validate_python(found)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise _refusal(first["type"], first["loc"], first["msg"]) from None


def _refusal(kind: str, loc: tuple[int | str, ...], detail: str) -> Refusal:
    if kind == "json_invalid":
        reason = detail.removeprefix("Invalid JSON: ")
        return Refusal(400, f"the message is not JSON: {reason}", code="invalid_json")
    if not loc:
        known = ", ".join(_MODELS)
        message = f'a message is a JSON object whose "type" is one of {known}'
        return Refusal(422, message, code="invalid_message", param="type")
    name, *fields = loc
    if not fields:
        return Refusal(422, f"{name}: {detail}", code="invalid_message")
    param = str(fields[0])[:64]
    if kind == "extra_forbidden":
        known = ", ".join(key for key in _MODELS[str(name)].model_fields if key != "type")
        message = f"key {param!r} of {name} is unknown: known are {known}"
        return Refusal(422, message, code="unknown_parameter", param=param)
    place = param + "".join(f"[{part}]" for part in fields[1:] if isinstance(part, int))
    return Refusal(422, f"{name}: {place}: {detail}", code="invalid_message", param=param)


def parse_query(items: list[tuple[str, str]], model: type[OptionsModel]) -> OptionsModel:
    """The options in a query.

    Raises:
        Refusal: 422, one is unknown, out of range or given twice.
    """
    given: dict[str, Any] = {}
    for key, value in items:
        if key in given:
            message = f"query parameter {key[:64]!r} is given twice: give it once"
            raise Refusal(422, message, code="invalid_request", param=key[:64])
        # Converted here because pydantic does not read these from text.
        number = key in ("sample_rate", "seed") and value.isdecimal() and len(value) < 30
        given[key] = int(value) if number else value
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        param = str(first["loc"][0])[:64]
        if first["type"] == "extra_forbidden":
            known = ", ".join(model.model_fields)
            message = f"query parameter {param!r} is unknown: known are {known}"
            raise Refusal(422, message, code="unknown_parameter", param=param) from None
        message = f"query parameter {param}: {first['msg']}"
        raise Refusal(422, message, code="invalid_request", param=param) from None
