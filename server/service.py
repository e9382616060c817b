"""What the routes share: settings, synthesizer, generations, and whether a voice is loaded."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from server.errors import Refusal
from server.generations import Generations
from server.settings import ServerSettings
from vocoder.errors import UserError, VoiceError
from vocoder.synthesizer import Synthesizer
from vocoder.voice import Voice

logger = logging.getLogger(__name__)


class Readiness:
    """Loads the default voice in the background, and knows whether that has succeeded."""

    def __init__(self, synthesizer: Synthesizer) -> None:
        self.loaded = False
        self.reason = "no voice is loaded yet"
        self._synthesizer = synthesizer
        self._loading: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start loading, or again after a failure; nothing where it is loaded or loading."""
        if not self.loaded and (self._loading is None or self._loading.done()):
            self._loading = asyncio.create_task(self._load())

    async def _load(self) -> None:
        try:
            await asyncio.to_thread(self._warm_up)
        except UserError as error:
            # The message names files of this machine: for the log, not for clients.
            logger.error("no voice could be loaded: %s", error)
            self.reason = "no voice could be loaded; the log says why"
        except Exception:
            logger.exception("no voice could be loaded")
            self.reason = "no voice could be loaded; the log says why"
        else:
            self.loaded = True

    def _warm_up(self) -> None:
        self._synthesizer.warm_up(self._synthesizer.registry.get())


@dataclass(frozen=True)
class Service:
    """One application's state."""

    settings: ServerSettings
    synthesizer: Synthesizer
    generations: Generations
    readiness: Readiness

    async def voice(self, voice_id: str | None) -> Voice:
        """The voice of that id, or the default one; loading it does not block the event loop.

        Raises:
            NotFoundError: there is no such voice.
            Refusal: 409, its files are damaged; 503, there are no voices at all.
        """
        registry = self.synthesizer.registry
        ids = registry.ids()
        if not ids:
            headers = {"retry-after": str(self.settings.retry_after_s)}
            raise Refusal(503, "this server has no voices", code="not_ready", headers=headers)
        try:
            return await asyncio.to_thread(registry.get, voice_id)
        except VoiceError as error:
            logger.error("voice refused: %s", error)
            raise Refusal(
                409,
                f"the files of voice {voice_id or ids[0]!r} are damaged on this server: "
                "name another voice, or have it installed again",
                code=error.code,
                param="voice",
            ) from None

    async def voices(self) -> list[Voice]:
        """All voices whose files are sound."""
        found = []
        for voice_id in self.synthesizer.registry.ids():
            try:
                found.append(await self.voice(voice_id))
            except Refusal:
                continue
        return found


def _service(request: Request) -> Service:
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


ServiceDependency = Annotated[Service, Depends(_service)]
