"""What the routes share: settings, voices, who is let in, and the streams."""

import asyncio
import gc
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection
from torch import Tensor

from vocoder.errors import UserError, VoiceError
from vocoder.features.feature_file import Features
from vocoder.scheduling.stream import Sink
from vocoder.synthesis.input_stream import InputStream
from vocoder.synthesis.request import SynthesisRequest, Vocoding
from vocoder.synthesis.speech import Speech
from vocoder.synthesis.streaming import StreamHandle, StreamingSynthesizer
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.voices.registry import VoiceRegistry
from vocoder.voices.voice import Voice

from .. import metrics
from ..draining import Draining
from ..errors import Refusal
from ..settings import ServerSettings
from .admission import Admission, Slot
from .jobs import JobQueue
from .listener import Listener
from .response_cache import AudioCache

logger = logging.getLogger(__name__)


class Readiness:
    """Loads the default voice and measures what the machine holds, in the background."""

    def __init__(
        self, live: StreamingSynthesizer, registry: VoiceRegistry, *, measure: bool
    ) -> None:
        """Whether to ``measure`` too."""
        self.loaded = False
        self.reason = "no voice is loaded yet"
        self._live = live
        self._registry = registry
        self._measure = measure
        self._loading: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start loading, or again after a failure; nothing where it is loaded or loading."""
        if not self.loaded and (self._loading is None or self._loading.done()):
            self._loading = asyncio.create_task(self._load())

    async def settled(self) -> None:
        """Wait until it is loaded, or that has failed."""
        self.start()
        if self._loading is not None:
            await asyncio.wait({self._loading})

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
        voice = self._registry.get()
        self._live.synthesizer.warm_up(voice)
        if self._measure:
            self.reason = "the voice is loaded; what the machine holds is being measured"
            self._live.capacity(voice)
        freeze_gc()


def freeze_gc() -> None:
    """Have the garbage collector leave alone what is there now.

    It is some 200,000 objects, of PyTorch for the most part, and to look through them takes a tenth
    of a second, in which nobody is served.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@dataclass(frozen=True)
class Service:
    """One application's state."""

    settings: ServerSettings
    registry: VoiceRegistry
    synthesizer: Synthesizer
    live: StreamingSynthesizer
    admission: Admission
    generations: JobQueue
    readiness: Readiness
    draining: Draining
    cache: AudioCache | None

    def speak(
        self,
        speech: Speech,
        *,
        voice: Voice,
        place: Slot,
        engine: str | None = None,
        feed: InputStream[str] | None = None,
        offline: bool = False,
        ahead_s: float = 0.0,
        kind: metrics.Kind = "text",
    ) -> Listener:
        """A listener of a speech; see :meth:`StreamingSynthesizer.start`. It leaves ``place``."""
        request = SynthesisRequest(voice, speech, feed, engine, offline, ahead_s)

        def begin(sink: Sink) -> StreamHandle:
            return self.live.start(request, sink)

        return Listener(begin, kind, place, voice.config.features.sample_rate_hz)

    def vocode(
        self,
        features: Features | InputStream[Tensor],
        *,
        voice: Voice,
        place: Slot,
        speaker: str | None = None,
        seed: int = 0,
        tags: Sequence[str] = (),
        engine: str | None = None,
        offline: bool = False,
        ahead_s: float = 0.0,
        kind: metrics.Kind = "features",
    ) -> Listener:
        """A listener of features; see :meth:`StreamingSynthesizer.start`. It leaves ``place``."""
        feed = features if isinstance(features, InputStream) else None
        given = features if isinstance(features, Features) else None
        vocoding = Vocoding(given, speaker, seed, tuple(tags))
        request = SynthesisRequest(voice, vocoding, feed, engine, offline, ahead_s)

        def begin(sink: Sink) -> StreamHandle:
            return self.live.start(request, sink)

        return Listener(begin, kind, place, voice.config.features.sample_rate_hz)

    def unhealthy(self) -> str | None:
        """Why nothing can be generated any more; None where it can."""
        return None if self.live.alive else "generation has stopped; the log says why"

    def voice_replaced(self, old: Voice) -> None:
        """Let a voice go that another took the place of; its streams go on to their end."""
        self.live.retire(old)

    async def voice(self, voice_id: str | None) -> Voice:
        """The voice of that id, or the default one; loading it does not block the event loop.

        Raises:
            NotFoundError: there is no such voice.
            Refusal: 409, its files are damaged; 503, there are no voices at all.
        """
        registry = self.registry
        if (voice := registry.loaded(voice_id)) is not None:
            return voice
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

    async def engine_name(self, voice: Voice, engine: str | None) -> str:
        """Name of the engine that speaks for a voice; making it does not block the event loop.

        Raises:
            EngineError: it is unknown, or cannot run this voice here.
        """
        made = self.synthesizer.made_engine(voice, engine)
        if made is not None:
            return made.name
        return await asyncio.to_thread(self.synthesizer.engine_name, voice, engine)

    async def voices(self) -> list[Voice]:
        """All voices whose files are sound."""
        found = []
        for voice_id in self.registry.ids():
            try:
                found.append(await self.voice(voice_id))
            except Refusal:
                continue
        return found


def _service(connection: HTTPConnection) -> Service:
    service = connection.app.state.service
    assert isinstance(service, Service)
    return service


ServiceDependency = Annotated[Service, Depends(_service)]
