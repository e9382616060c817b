"""Lists of voices: this server's own, and in the format of OpenAI's models."""

from typing import Any

from fastapi import APIRouter

from vocoder.voices.voice import Voice

from ..http.speakers import find_model
from ..schemas import ErrorResponse, Model, ModelList, VoiceInfo, VoiceList
from ..service.service import ServiceDependency

router = APIRouter(prefix="/v1", tags=["voices"])

# "default" also keeps FastAPI from documenting a validation error that this route cannot have.
MODEL_ERRORS: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorResponse, "description": "There is no voice with this id."},
    409: {"model": ErrorResponse, "description": "The voice's files are damaged."},
    "default": {"model": ErrorResponse, "description": "Any other error, in the same format."},
}


@router.get("/audio/voices", summary="List the voices")
async def voices(service: ServiceDependency) -> VoiceList:
    """Each voice with its speakers, sample rate, licence, and the settings of its features."""
    found = [_info(voice) for voice in await service.voices()]
    return VoiceList(data=found, voices=found)


@router.get("/models", summary="List the voices as models")
async def models(service: ServiceDependency) -> ModelList:
    """The voices in the format of OpenAI's `GET /v1/models`."""
    return ModelList(data=[_model(voice) for voice in await service.voices()])


@router.get("/models/{model}", summary="One voice as a model", responses=MODEL_ERRORS)
async def model(model: str, service: ServiceDependency) -> Model:
    """A voice in the format of OpenAI's `GET /v1/models/{model}`, by its id or OpenAI's names."""
    return _model(await find_model(service, model)).model_copy(update={"id": model})


def _info(voice: Voice) -> VoiceInfo:
    features = voice.config.features
    return VoiceInfo(
        id=voice.id,
        name=voice.manifest.name or voice.id,
        speakers=list(voice.speakers),
        tags=list(voice.config.tags),
        conditioning=voice.config.conditioning.kind,
        reads_text=voice.acoustic is not None,
        sample_rate_hz=features.sample_rate_hz,
        licence=voice.manifest.licence,
        hash=voice.digest,
        features=features,
    )


def _model(voice: Voice) -> Model:
    return Model(id=voice.id, created=int(voice.created))
