"""One of the voices of a connection: its utterances are spoken one after the other."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable

from vocoder.errors import UserError
from vocoder.synthesis.request import SynthesisRequest

from ..schemas import WordTiming
from ..service.admission import Slot
from ..service.listener import Listener
from ..service.service import Service
from .lease import SlotLease
from .outgoing import Figures, Outgoing
from .utterance import Utterance
from .voice_settings import VoiceSettings

NEXT_UTTERANCE_S = 5.0
"""How much less urgent the next utterance is than the one being played."""

logger = logging.getLogger(__name__)


class Context:
    """A context of a connection.

    Attributes:
        id: its name; None for the unnamed one.
        settings: of its voice.
        reads_features: whether it receives features and not text.
        lease: of its slot.
        utterances: those that are not finished.
        audio_s: audio generated.
    """

    def __init__(
        self,
        context_id: str | None,
        settings: VoiceSettings,
        service: Service,
        outgoing: Outgoing,
        slot: Slot,
        *,
        reads_features: bool,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        """Begin a context with a slot; ``on_failure`` is called with an unexpected exception."""
        self.id, self.settings, self.reads_features = context_id, settings, reads_features
        self.utterances: deque[Utterance] = deque()
        self.audio_s = 0.0
        self._played_until = 0.0
        self._service, self._outgoing, self._on_failure = service, outgoing, on_failure
        self._speaking: asyncio.Task[None] | None = None
        self._sending = False
        self.lease = SlotLease(
            service.admission,
            settings.voice,
            settings.engine,
            idle_s=service.settings.idle_slot_s,
            is_idle=self._is_idle,
            slot=slot,
        )

    @property
    def open_utterance(self) -> Utterance | None:
        """The utterance that still receives input."""
        last = self.utterances[-1] if self.utterances else None
        return last if last is not None and not last.flushed else None

    def utterance(self) -> Utterance:
        """The utterance that receives input; a new one if there is none.

        Raises:
            Refusal: 429, there is no slot to speak it.
        """
        self.lease.acquire()
        utterance = self.open_utterance
        if utterance is None:
            utterance = Utterance.of_frames() if self.reads_features else Utterance.of_text()
            self.utterances.append(utterance)
            self._continue()
        return utterance

    async def flush(self) -> None:
        """End the utterance; it is answered once it has been spoken.

        Raises:
            Refusal: 429, there is no slot to speak it.
        """
        utterance = self.open_utterance
        if utterance is None and not self.utterances:
            await self._outgoing.flushed(self.id)
            return
        if utterance is None:
            utterance = Utterance()
            self.utterances.append(utterance)
        else:
            self.lease.acquire()
        utterance.flush()
        self._continue()

    async def clear(self) -> None:
        """Drop everything that has not been sent."""
        dropped = list(self.utterances)
        self.utterances.clear()
        if self._speaking is not None:
            self._speaking.cancel()
            await asyncio.wait({self._speaking})
            self._speaking = None
        await _close(dropped)

    async def finished(self) -> None:
        """Wait until everything that was flushed has been sent."""
        if self._speaking is not None:
            await asyncio.wait({self._speaking})

    def _continue(self) -> None:
        if self._speaking is None or self._speaking.done():
            self._speaking = asyncio.create_task(self._speak_all())

    def _is_idle(self) -> bool:
        """Whether nothing can be generated: the client must send input, or read its audio."""
        return not self.utterances or self._sending or self.utterances[0].starved

    async def _speak_all(self) -> None:
        try:
            while self.utterances:
                await self._speak(self.utterances[0])
                self.utterances.popleft()
        except Exception as error:
            dropped = list(self.utterances)
            self.utterances.clear()
            await _close(dropped)
            self._on_failure(error)

    async def _speak(self, utterance: Utterance) -> None:
        if utterance.listener is None:
            utterance.listener = self._listener(utterance)
        else:
            utterance.listener.plays_at(self._played_until)
        listener = utterance.listener
        try:
            if listener is not None:
                async with contextlib.aclosing(listener):
                    await self._send_all(listener, utterance)
        except UserError as error:
            utterance.failed = True
            await self._outgoing.error(error, self.id)
            await utterance.until_flushed()
        else:
            if utterance.has_words and (listener is None or not listener.audio_s):
                description = "the text has nothing to speak: only punctuation or symbols"
                await self._outgoing.message(
                    "Warning", self.id, code="nothing_to_speak", description=description
                )
        if listener is not None:
            self.audio_s += listener.audio_s
            begun = listener.played_until - listener.audio_s
            self._played_until = max(self._played_until, begun) + listener.audio_s
        await self._outgoing.flushed(self.id, _figures(utterance, listener))

    def _prepare_next(self, playing: Listener) -> None:
        """Start generating the next utterance, so that it follows without a gap."""
        following = self.utterances[1] if len(self.utterances) > 1 else None
        if following is None or following.empty:
            return
        plays_at = max(self._played_until, playing.played_until) + NEXT_UTTERANCE_S
        if following.listener is not None:
            following.listener.plays_at(plays_at)
            return
        following.listener = self._listener(following, plays_at)
        if following.listener is not None:
            following.listener.start_now()

    def _listener(self, utterance: Utterance, plays_at: float = 0.0) -> Listener | None:
        """A listener to an utterance; None if there is nothing to vocode.

        The context's lease holds the slot, so the listener releases none.
        """
        if utterance.text is None and utterance.empty:
            return None
        settings = self.settings
        request = SynthesisRequest(
            settings.voice,
            settings.speech() if utterance.text is not None else settings.vocoding(),
            input=utterance.input,
            engine=settings.engine,
            ahead_s=max(self._played_until, plays_at) - time.perf_counter(),
        )
        return self._service.listen(request, "websocket")

    async def _send_all(self, listener: Listener, utterance: Utterance) -> None:
        encoder = self.settings.encoder()
        async for chunk in listener:
            await self.lease.reacquire()
            self._prepare_next(listener)
            if self.settings.timings and chunk.words:
                words = [WordTiming.of(word).model_dump() for word in chunk.words]
                await self._outgoing.message("Timings", self.id, text=chunk.text, words=words)
            await self._send(encoder.push(chunk.samples), utterance)
        await self._send(encoder.finish(), utterance)

    async def _send(self, data: bytes, utterance: Utterance) -> None:
        if not data:
            return
        self._sending = True
        try:
            await self._outgoing.audio(data, self.id)
        finally:
            self._sending = False
        if utterance.first_audio_s is None:
            utterance.first_audio_s = utterance.age_s
        self.lease.touch()


async def _close(utterances: Iterable[Utterance]) -> None:
    for utterance in utterances:
        if utterance.listener is not None:
            await utterance.listener.aclose()


def _figures(utterance: Utterance, listener: Listener | None) -> Figures:
    if listener is None:
        return Figures()
    start, factor = listener.start, listener.real_time_factor
    first_s = utterance.first_audio_s
    return Figures(
        audio_s=round(listener.audio_s, 3),
        first_audio_ms=None if first_s is None else round(1000 * first_s, 1),
        queue_ms=None if start is None else round(1000 * start.queue_s, 1),
        real_time_factor=None if factor is None else round(factor, 4),
    )
