"""Which voice and speaker a request means, by this server's names for them or OpenAI's."""

from typing import NamedTuple

from vocoder.errors import NotFoundError
from vocoder.voices.voice import Voice

from ..service.service import Service

OPENAI_MODELS = (
    "tts-1",
    "tts-1-hd",
    "gpt-4o-mini-tts",
    "gpt-4o-mini-tts-2025-03-20",
    "gpt-4o-mini-tts-2025-12-15",
)
"""OpenAI's models; each means the default voice."""

OPENAI_VOICES = (
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "nova"),
    *("onyx", "sage", "shimmer", "verse", "marin", "cedar"),
)
"""OpenAI's voices; each means one of a voice's speakers, by its position in this list."""


class Speaker(NamedTuple):
    """A voice and the name of one of its speakers."""

    voice: Voice
    name: str

    @classmethod
    def of(cls, voice: Voice, name: str | None) -> "Speaker":
        """A speaker of a voice; the first if the name is None.

        Raises:
            NotFoundError: the voice has no such speaker.
        """
        return cls(voice, voice.speakers[voice.speaker_index(name)])


async def find_model(service: Service, name: str | None) -> Voice:
    """The voice that a model's name means.

    Raises:
        NotFoundError: there is none.
        Refusal: see :meth:`Service.voice`.
    """
    ids = service.registry.ids()
    if name is None or name in ids or (name in OPENAI_MODELS and ids):
        return await service.voice(name if name in ids else None)
    if not ids:
        return await service.voice(None)
    raise NotFoundError(
        f"model {name!r} is unknown: choose one of {', '.join((*ids, *OPENAI_MODELS[:3]))}",
        param="model",
    )


async def find_speaker(
    service: Service, model: str | None, voice: str | None, speaker: str | None
) -> Speaker:
    """The speaker that a request's names mean.

    Args:
        service: whose voices they are.
        model: a voice's id or one of ``OPENAI_MODELS``; the default voice if None.
        voice: an alias from the settings, a speaker of the model's voice, a voice's id,
            ``voice/speaker``, or one of ``OPENAI_VOICES``; the model's voice if None.
        speaker: a speaker of that voice; overrides the one that ``voice`` means.

    Raises:
        NotFoundError: one of the names is unknown.
        Refusal: see :meth:`Service.voice`.
    """
    found, name = await find_model(service, model), None
    if voice is not None:
        voice = service.settings.voice_aliases.get(voice, voice)
        found, name = await _find_voice(service, found, voice)
    return Speaker.of(found, speaker or name)


async def _find_voice(service: Service, model: Voice, name: str) -> tuple[Voice, str | None]:
    ids = service.registry.ids()
    if name in model.speakers:
        return model, name
    if name in ids:
        return await service.voice(name), None
    voice_id, slash, speaker = name.partition("/")
    if slash and voice_id in ids:
        return await service.voice(voice_id), speaker
    if name in OPENAI_VOICES:
        return model, model.speakers[OPENAI_VOICES.index(name) % len(model.speakers)]
    raise NotFoundError(
        f"voice {name!r} is unknown: model {model.id} has the speakers "
        f"{', '.join(model.speakers)}; the voices are {', '.join(ids)}; VOICE/SPEAKER names both",
        param="voice",
    )
