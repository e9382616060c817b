"""Startup in the background: loading the default voice and measuring the capacity."""

import asyncio
import gc
import logging

from vocoder.errors import UserError
from vocoder.synthesis.streaming import StreamingSynthesizer
from vocoder.voices.registry import VoiceRegistry
from vocoder.voices.voice import Voice

from ..memory import return_free_memory

logger = logging.getLogger(__name__)


class Readiness:
    """Loads the default voice and measures the machine's capacity.

    Attributes:
        loaded: whether that is done.
        reason: why not, for clients.
    """

    def __init__(
        self, streaming: StreamingSynthesizer, registry: VoiceRegistry, *, measure: bool
    ) -> None:
        """Only load the voice if ``measure`` is false."""
        self.loaded = False
        self.reason = "no voice is loaded yet"
        self._streaming = streaming
        self._registry = registry
        self._measure = measure
        self._loading: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start loading, or try again after a failure; does nothing if loaded or loading."""
        if not self.loaded and (self._loading is None or self._loading.done()):
            self._loading = asyncio.create_task(self._load())

    async def settled(self) -> None:
        """Wait until loading has succeeded or failed."""
        self.start()
        if self._loading is not None:
            await asyncio.wait({self._loading})

    async def _load(self) -> None:
        try:
            await asyncio.to_thread(self._warm_up)
        except UserError as error:
            # The message names files of this machine: for the log, not for clients.
            logger.error("cannot load a voice: %s", error)
            self.reason = "no voice could be loaded; see the server's log"
        except Exception:
            logger.exception("cannot load a voice")
            self.reason = "no voice could be loaded; see the server's log"
        else:
            self.loaded = True

    def _warm_up(self) -> None:
        voice = self._first_sound_voice()
        if self._measure:
            self.reason = "the voice is loaded; the machine's capacity is being measured"
            self._streaming.capacity(voice)
        freeze_gc()
        return_free_memory()  # Loading and measuring take more than serving.

    def _first_sound_voice(self) -> Voice:
        """The default voice, or the next one that can speak.

        Raises:
            UserError: there is none.
        """
        failure: UserError | None = None
        for voice_id in self._registry.ids():
            try:
                voice = self._registry.get(voice_id)
                self._streaming.synthesizer.warm_up(voice)
            except UserError as error:
                failure = failure or error
                if voice_id not in self._registry.refused():
                    logger.error("voice refused: %s", error)
                    self._registry.set_aside(voice_id)
            else:
                return voice
        if failure is not None:
            raise failure
        return self._registry.get()  # Raises: there are no voices.


def freeze_gc() -> None:
    """Exclude all current objects from garbage collection.

    There are some 200,000, mostly PyTorch's, and scanning them takes a tenth of a second in which
    nobody is served.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
