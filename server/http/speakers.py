"""Which voice and speaker a request means, by our names for them or by OpenAI's."""

from typing import NamedTuple

from vocoder.errors import NotFoundError
from vocoder.voices.voice import Voice

from ..service.service import Service

MODELS = (
    "tts-1",
    "tts-1-hd",
    "gpt-4o-mini-tts",
    "gpt-4o-mini-tts-2025-03-20",
    "gpt-4o-mini-tts-2025-12-15",
)
"""OpenAI's models: each is the default voice."""

VOICES = (
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "nova"),
    *("onyx", "sage", "shimmer", "verse", "marin", "cedar"),
)
"""OpenAI's voices: each is one of a voice's speakers, by its place in this list."""


class Speaker(NamedTuple):
    """A voice and one of its speakers."""

    voice: Voice
    name: str


async def model(service: Service, name: str | None) -> Voice:
    """The voice that a model's name means.

    Raises:
        NotFoundError: none.
        Refusal: as :meth:`Service.voice` does.
    """
    ids = service.registry.ids()
    if name is None or name in ids or (name in MODELS and ids):
        return await service.voice(name if name in ids else None)
    if not ids:
        return await service.voice(None)
    raise NotFoundError(
        f"model {name!r} is unknown: choose one of {', '.join((*ids, *MODELS[:3]))}", param="model"
    )


async def speaker(
    service: Service, model_name: str | None, voice_name: str | None, speaker_name: str | None
) -> Speaker:
    """Who is to speak.

    Args:
        service: whose voices they are.
        model_name: a voice's id, or one of ``MODELS``; the default voice where None.
        voice_name: an alias from the settings, a speaker of the model's voice, a voice's id,
            ``voice/speaker``, or one of ``VOICES``; the model's voice where None.
        speaker_name: a speaker of that voice, which goes before the one that ``voice_name`` means.

    Raises:
        NotFoundError: one of them means nothing.
        Refusal: as :meth:`Service.voice` does.
    """
    voice, found = await model(service, model_name), None
    if voice_name is not None:
        voice_name = service.settings.voice_aliases.get(voice_name, voice_name)
        voice, found = await _voice(service, voice, voice_name)
    wanted = speaker_name or found
    return Speaker(voice, voice.speakers[voice.speaker_index(wanted)])


async def _voice(service: Service, own: Voice, name: str) -> tuple[Voice, str | None]:
    ids = service.registry.ids()
    if name in own.speakers:
        return own, name
    if name in ids:
        return await service.voice(name), None
    folder, slash, rest = name.partition("/")
    if slash and folder in ids:
        return await service.voice(folder), rest
    if name in VOICES:
        return own, own.speakers[VOICES.index(name) % len(own.speakers)]
    raise NotFoundError(
        f"voice {name!r} is unknown: model {own.id} has the speakers {', '.join(own.speakers)}; "
        f"voices are {', '.join(ids)}; VOICE/SPEAKER names both",
        param="voice",
    )
