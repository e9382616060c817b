"""One of the voices that a connection can have speak: its turns are spoken one after the other."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable

from vocoder.errors import UserError

from ..schemas import WordTiming
from ..service.admission import Slot
from ..service.listener import Listener
from ..service.service import Service
from .lease import SlotLease
from .outgoing import Figures, Outgoing
from .turn import Utterance
from .voice_settings import VoiceSettings

NEXT_TURN_S = 5.0
"""By so much the turn that follows is less urgent than the one that is spoken."""

logger = logging.getLogger(__name__)


class Context:
    """A context of a connection.

    Attributes:
        id: its name; None for the one without.
        voicing: how it sounds.
        reads_features: whether it takes features, not text.
        seat: its place among the streams.
        turns: that are not spoken to their end.
        audio_s: audio that was made.
    """

    def __init__(
        self,
        context_id: str | None,
        voicing: VoiceSettings,
        service: Service,
        outgoing: Outgoing,
        seat: SlotLease,
        *,
        reads_features: bool,
        broken: Callable[[BaseException], None],
    ) -> None:
        """Begin a context; ``broken`` is told of what nobody expected."""
        self.id, self.voicing, self.reads_features = context_id, voicing, reads_features
        self.seat = seat
        self.turns: deque[Utterance] = deque()
        self.audio_s = 0.0
        self._played_until = 0.0
        self._service, self._outgoing, self._broken = service, outgoing, broken
        self._work: asyncio.Task[None] | None = None
        self._sending = False
        seat.silent = self._silent

    @property
    def open_turn(self) -> Utterance | None:
        """The turn that is being fed."""
        return self.turns[-1] if self.turns and not self.turns[-1].flushed else None

    def turn(self) -> Utterance:
        """The turn that is being fed, a new one where there is none.

        Raises:
            Refusal: 429, there is no place to speak it.
        """
        self.seat.take()
        turn = self.open_turn
        if turn is None:
            turn = Utterance.of_frames() if self.reads_features else Utterance.of_text()
            self.turns.append(turn)
            self._go_on()
        return turn

    async def flush(self) -> None:
        """End the turn; it is answered when it has been spoken.

        Raises:
            Refusal: 429, there is no place to speak it.
        """
        turn = self.open_turn
        if turn is None and not self.turns:
            await self._outgoing.flushed(self.id)
            return
        if turn is None:
            turn = Utterance()
            self.turns.append(turn)
        else:
            self.seat.take()
        turn.flush()
        self._go_on()

    async def clear(self) -> None:
        """Drop all that was not sent."""
        dropped = list(self.turns)
        self.turns.clear()
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait({self._work})
            self._work = None
        await _close(dropped)

    async def spoken(self) -> None:
        """Wait until everything has been sent that was flushed."""
        if self._work is not None:
            await asyncio.wait({self._work})

    def _go_on(self) -> None:
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._speak_turns())

    def _silent(self) -> bool:
        """Whether nothing can be generated now: the client has to send, or to take, first."""
        return not self.turns or self._sending or self.turns[0].starved

    async def _speak_turns(self) -> None:
        try:
            while self.turns:
                turn = self.turns[0]
                await self._speak(turn)
                self.turns.popleft()
        except Exception as error:
            dropped = list(self.turns)
            self.turns.clear()
            await _close(dropped)
            self._broken(error)

    async def _speak(self, turn: Utterance) -> None:
        if turn.listener is None:
            turn.listener = self._listener(turn)
        else:
            turn.listener.due(self._played_until)
        listener = turn.listener
        try:
            if listener is not None:
                async with contextlib.aclosing(listener):
                    await self._send_all(listener, turn)
        except UserError as error:
            turn.failed = True
            await self._outgoing.error(error, self.id)
            await turn.until_flushed()
        else:
            if turn.wordy and (listener is None or not listener.audio_s):
                description = "the text holds nothing to speak: only punctuation or signs"
                await self._outgoing.message(
                    "Warning", self.id, code="nothing_to_speak", description=description
                )
        if listener is not None:
            self.audio_s += listener.audio_s
            begun = listener.played_until - listener.audio_s
            self._played_until = max(self._played_until, begun) + listener.audio_s
        await self._outgoing.flushed(self.id, _figures(turn, listener))

    def _prepare_next(self, playing: Listener) -> None:
        """Have the next turn made while this one is: there is to be no gap between them."""
        following = self.turns[1] if len(self.turns) > 1 else None
        if following is None or following.empty:
            return
        due = max(self._played_until, playing.played_until) + NEXT_TURN_S
        if following.listener is not None:
            following.listener.due(due)
            return
        following.listener = self._listener(following, due)
        if following.listener is not None:
            following.listener.begin_now()

    def _listener(self, turn: Utterance, played_until: float = 0.0) -> Listener | None:
        # The seat has the place: it outlasts the turn.
        place = Slot(0.0, lambda _: None)
        voicing = self.voicing
        ahead_s = max(self._played_until, played_until) - time.perf_counter()
        if turn.text is not None:
            return self._service.speak(
                voicing.speech,
                voice=voicing.voice,
                engine=voicing.engine,
                place=place,
                feed=turn.text,
                ahead_s=ahead_s,
                kind="websocket",
            )
        if turn.frames is not None and not turn.empty:
            return self._service.vocode(
                turn.frames,
                voice=voicing.voice,
                speaker=voicing.speaker,
                seed=voicing.seed,
                engine=voicing.engine,
                place=place,
                ahead_s=ahead_s,
                kind="websocket",
            )
        return None

    async def _send_all(self, listener: Listener, turn: Utterance) -> None:
        encoder = self.voicing.encoder()
        async for spoken in listener:
            await self.seat.regain()
            self._prepare_next(listener)
            if self.voicing.timings and spoken.words:
                words = [WordTiming.of(word).model_dump() for word in spoken.words]
                await self._outgoing.message("Timings", self.id, text=spoken.text, words=words)
            await self._send(encoder.push(spoken.samples), turn)
        await self._send(encoder.finish(), turn)

    async def _send(self, data: bytes, turn: Utterance) -> None:
        if not data:
            return
        self._sending = True
        try:
            await self._outgoing.audio(data, self.id)
        finally:
            self._sending = False
        if turn.first_audio_s is None:
            turn.first_audio_s = turn.age_s
        self.seat.used()


async def _close(turns: Iterable[Utterance]) -> None:
    for turn in turns:
        if turn.listener is not None:
            await turn.listener.aclose()


def _figures(turn: Utterance, listener: Listener | None) -> Figures:
    if listener is None:
        return Figures()
    start, factor = listener.start, listener.real_time_factor
    first_s = turn.first_audio_s
    return Figures(
        audio_s=round(listener.audio_s, 3),
        first_audio_ms=None if first_s is None else round(1000 * first_s, 1),
        queue_ms=None if start is None else round(1000 * start.queue_s, 1),
        real_time_factor=None if factor is None else round(factor, 4),
    )
