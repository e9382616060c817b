"""State shared by all routes: settings, voices, admission, and the streams."""

import asyncio
import functools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

from fastapi import Depends
from starlette.requests import HTTPConnection

from vocoder.errors import VoiceError
from vocoder.generation import dispatch
from vocoder.generation.dispatch import Engine
from vocoder.synthesis.request import SynthesisRequest
from vocoder.synthesis.streaming import StreamingSynthesizer
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.voices.registry import VoiceRegistry
from vocoder.voices.voice import Voice

from ..draining import Draining
from ..errors import Refusal
from ..json_input import LARGE_BYTES
from ..metrics import Kind, Metrics
from ..settings import ServerSettings
from .admission import Admission
from .jobs import JobQueue
from .listener import Listener
from .readiness import Readiness
from .response_cache import ResponseCache

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


def _one_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="parsing")


@dataclass(frozen=True)
class Service:
    """One application's state."""

    settings: ServerSettings
    metrics: Metrics
    registry: VoiceRegistry
    synthesizer: Synthesizer
    streaming: StreamingSynthesizer
    admission: Admission
    jobs: JobQueue
    readiness: Readiness
    draining: Draining
    cache: ResponseCache | None
    # One thread: parsing holds the interpreter, and the event loop must get it between two bodies.
    parsing: ThreadPoolExecutor = field(default_factory=_one_thread)

    async def parse(self, work: Callable[[], Result], size: int) -> Result:
        """The result of ``work``, which parses ``size`` bytes: at once if they are few."""
        if size < LARGE_BYTES:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self.parsing, work)

    def listen(
        self, request: SynthesisRequest, kind: Kind, on_end: Callable[[], None] = lambda: None
    ) -> Listener:
        """A listener to the audio of a request; ``on_end`` is called when that is over."""
        start = functools.partial(self.streaming.start, request)
        rate_hz = request.voice.config.features.sample_rate_hz
        return Listener(start, rate_hz, kind=kind, metrics=self.metrics, on_end=on_end)

    def unhealthy(self) -> str | None:
        """Why no audio can be generated any more; None if it can."""
        return None if self.streaming.alive else "generation has stopped; see the server's log"

    def voice_replaced(self, old: Voice) -> None:
        """Release a voice that was replaced; its streams run to their end."""
        self.streaming.retire(old)

    async def voice(self, voice_id: str | None) -> Voice:
        """The voice with that id, or the default one; loading does not block the event loop.

        Raises:
            NotFoundError: there is no such voice.
            Refusal: 409, its files are damaged; 503, there are no voices at all.
        """
        if (voice := self.registry.loaded(voice_id)) is not None:
            return voice
        ids = self.registry.ids()
        if not ids:
            headers = {"retry-after": str(self.settings.retry_after_s)}
            raise Refusal(503, "this server has no voices", code="not_ready", headers=headers)
        try:
            return await asyncio.to_thread(self.registry.get, voice_id)
        except VoiceError as error:
            logger.error("voice refused: %s", error)
            raise Refusal(
                409,
                f"the files of voice {voice_id or ids[0]!r} are damaged on this server: "
                "use another voice, or have it reinstalled",
                code=error.code,
                param="voice",
            ) from None

    async def voices(self) -> list[Voice]:
        """All voices whose files are intact."""
        found = []
        for voice_id in self.registry.ids():
            try:
                found.append(await self.voice(voice_id))
            except Refusal:
                continue
        return found

    async def engine(self, voice: Voice, name: str | None) -> Engine:
        """The engine that runs a voice; creating it does not block the event loop.

        Args:
            voice: to run.
            name: of the engine; the server's default if None.

        Raises:
            EngineError: it is unknown, or cannot run this voice here.
            Refusal: 422, requests may not name it here.
        """
        if name is not None and name in dispatch.names() and not self._may_be_named(name):
            usual = await self.engine(voice, None)
            if name != usual.name:
                raise Refusal(
                    422,
                    f"engine {name!r} cannot be requested from this server: leave it out, or "
                    f"name {' or '.join((*self.settings.client_engines, usual.name))}",
                    code="engine_not_allowed",
                    param="engine",
                )
            return usual
        made = self.synthesizer.made_engine(voice, name)
        if made is not None:
            return made
        return await asyncio.to_thread(self.synthesizer.engine, voice, name)

    def _may_be_named(self, engine: str) -> bool:
        return engine in (self.settings.engine, *self.settings.client_engines)


def _service(connection: HTTPConnection) -> Service:
    service = connection.app.state.service
    assert isinstance(service, Service)
    return service


ServiceDependency = Annotated[Service, Depends(_service)]
