"""The contexts of one connection, and what its messages do to them."""

import asyncio
from collections.abc import Callable
from typing import assert_never

from starlette.websockets import WebSocket
from torch import Tensor

from ..errors import Refusal
from ..service.service import Service
from .context import Context
from .feature_frames import (
    NothingStarted,
    check_kind,
    check_settings,
    frames_of_bytes,
    frames_of_lists,
)
from .lease import SlotLease
from .messages import (
    Cancel,
    Clear,
    ClientMessage,
    Close,
    FeatureFrames,
    Flush,
    Opening,
    Options,
    Speak,
    Start,
)
from .outgoing import Outgoing
from .voice_settings import VoiceSettings, decide

MOST_CONTEXTS = 8
MOST_TURNS = 64
"""ConnectionSharing of a connection that may wait to be spoken."""

LARGE_BYTES = 2**17
"""Features from here on are looked at in another thread."""


class Contexts:
    """All contexts of a connection.

    Args:
        websocket: accepted.
        service: of the application.
        outgoing: to the client.
        options: of contexts that say nothing else.
        voicing: that the options mean.
        seat: which the first context takes.
        broken: is told of what nobody expected.
    """

    def __init__(
        self,
        websocket: WebSocket,
        service: Service,
        outgoing: Outgoing,
        options: Options,
        voicing: VoiceSettings,
        seat: SlotLease,
        broken: Callable[[BaseException], None],
    ) -> None:
        self._state, self._service, self._outgoing = websocket.state, service, outgoing
        self._options, self._voicing, self._broken = options, voicing, broken
        self._seat: SlotLease | None = seat
        self._by_id: dict[str | None, Context] = {}
        self._frames_to: Context | None = None
        self._characters = 0
        self._audio_s = 0.0

    async def begin(self) -> None:
        """Begin the context without a name, and greet with it."""
        await self._add(None, self._voicing, reads_features=False)

    async def take(self, message: ClientMessage) -> None:
        """Do what a message asks for.

        Raises:
            Refusal, UserError: it cannot be; nothing of it was done.
        """
        match message:
            case Speak():
                await self._speak(message)
            case Start():
                await self._start(message)
            case FeatureFrames():
                context = self._by_id.get(message.context_id)
                if context is None or not context.reads_features:
                    raise NothingStarted
                config = context.voicing.voice.config
                check_kind(message.kind, config)
                frames = await asyncio.to_thread(frames_of_lists, message.frames, config)
                self._add_frames(context, frames)
            case Flush():
                await self._flush(message.context_id)
            case Clear():
                if (context := self._by_id.get(message.context_id)) is not None:
                    await context.clear()
                await self._outgoing.answer("Cleared", message.context_id)
            case Cancel():
                if (context := self._by_id.get(message.context_id)) is not None:
                    await self._end(context)
                await self._outgoing.message("Cancelled", message.context_id)
            case Close():
                pass
            case _:
                assert_never(message)

    async def take_bytes(self, data: bytes) -> None:
        """Take frames of features for the context that was started last.

        Raises:
            NothingStarted: there is none.
            Refusal, UserError: they cannot be used; nothing of them was taken.
        """
        context = self._frames_to
        if context is None:
            raise NothingStarted
        config = context.voicing.voice.config
        if len(data) < LARGE_BYTES:
            frames = frames_of_bytes(data, config)
        else:
            frames = await asyncio.to_thread(frames_of_bytes, data, config)
        self._add_frames(context, frames)

    async def finish(self) -> None:
        """Speak all that is there to its end."""
        for context in self._by_id.values():
            if context.open_turn is not None:
                context.open_turn.flush()
        await asyncio.gather(*(context.spoken() for context in self._by_id.values()))

    async def leave(self) -> None:
        """Stop everything, and free it."""
        for context in [*self._by_id.values()]:
            await self._end(context)
        if self._seat is not None:
            self._seat.leave()
        self._state.log.update(characters=self._characters, audio_s=round(self._audio_s, 3))

    async def _speak(self, message: Speak) -> None:
        context = self._by_id.get(message.context_id)
        if context is None:
            voicing = await self._voicing_of(message)
            context = await self._add(message.context_id, voicing, reads_features=False)
        else:
            given = [*message.overrides, *(["lexicon"] if message.lexicon is not None else [])]
            _check_begun(context, given, reads_features=False)
        if not message.text:
            return
        count, most = len(message.text), self._service.settings.max_text_chars
        waiting = sum(turn.waiting for one in self._texts() for turn in one.turns)
        if waiting + count > most:
            raise Refusal(
                422,
                f"{count} characters, and {waiting} that wait to be spoken: this server keeps at "
                f"most {most}; wait for Flushed, or send less",
                code="text_too_long",
                param="text",
            )
        self._check_turns(context)
        context.seat.take()
        self._state.key.charge(count)
        self._characters += count
        context.turn().add_text(message.text)

    async def _start(self, message: Start) -> None:
        context = self._by_id.get(message.context_id)
        if context is None:
            voicing = await self._voicing_of(message)
            check_settings(message.features or {}, voicing.voice.config.features)
            context = await self._add(message.context_id, voicing, reads_features=True)
        else:
            _check_begun(context, message.overrides, reads_features=True)
            check_settings(message.features or {}, context.voicing.voice.config.features)
        self._frames_to = context

    def _add_frames(self, context: Context, mel: Tensor) -> None:
        rate_hz = context.voicing.voice.config.features.frame_rate_hz
        waiting = sum(turn.waiting for turn in context.turns)
        most = self._service.settings.max_audio_s
        if (waiting + mel.shape[1]) / rate_hz > most:
            raise Refusal(
                422,
                f"{mel.shape[1] / rate_hz:.3f} s of features, and {waiting / rate_hz:.3f} s that "
                f"wait to be heard: this server keeps at most {most:g} s; send them as they are "
                "heard",
                code="audio_too_long",
                param="mel",
            )
        self._check_turns(context)
        context.turn().add_frames(mel)

    async def _flush(self, context_id: str | None) -> None:
        context = self._by_id.get(context_id)
        if context is None:
            await self._outgoing.flushed(context_id)
            return
        self._check_turns(context)
        await context.flush()

    def _check_turns(self, context: Context) -> None:
        """Refuse a turn more than may wait.

        Raises:
            Refusal: 422, so many wait.
        """
        if context.open_turn is None and self._turns() >= MOST_TURNS:
            message = f"{MOST_TURNS} turns wait to be spoken: wait for Flushed"
            raise Refusal(422, message, code="too_many_turns")

    def _turns(self) -> int:
        return sum(len(context.turns) for context in self._by_id.values())

    def _texts(self) -> list[Context]:
        return [context for context in self._by_id.values() if not context.reads_features]

    async def _voicing_of(self, message: Opening) -> VoiceSettings:
        """How a context sounds that a message begins."""
        lexicon = message.lexicon if isinstance(message, Speak) else None
        if not self._by_id and not message.overrides and not lexicon:
            return self._voicing
        return await decide(self._service, message.options(self._options), lexicon)

    async def _add(
        self, context_id: str | None, voicing: VoiceSettings, *, reads_features: bool
    ) -> Context:
        if len(self._by_id) >= MOST_CONTEXTS:
            await self._make_room()
        seat = self._seat_for(voicing)
        seat.take()
        self._seat = None
        context = Context(
            context_id,
            voicing,
            self._service,
            self._outgoing,
            seat,
            reads_features=reads_features,
            broken=self._broken,
        )
        self._by_id[context_id] = context
        self._state.log.update(voice=voicing.voice.id, speaker=voicing.speaker, seed=voicing.seed)
        metadata = {"request_id": self._state.request_id, **voicing.metadata()}
        await self._outgoing.message("Metadata", context_id, **metadata)
        return context

    def _seat_for(self, voicing: VoiceSettings) -> SlotLease:
        """The seat of the handshake where it fits, else a new one in its stead."""
        seat = self._seat
        if seat is not None:
            if (seat.voice, seat.engine) == (voicing.voice, voicing.engine):
                return seat
            seat.leave()
        idle_s = self._service.settings.idle_place_s
        return SlotLease(self._service.admission, voicing.voice, voicing.engine, idle_s=idle_s)

    async def _make_room(self) -> None:
        """End a context that has nothing to say, the oldest first.

        Raises:
            Refusal: 422, all have.
        """
        for context in self._by_id.values():
            if not context.turns and context is not self._frames_to:
                await self._end(context)
                return
        message = f"{MOST_CONTEXTS} contexts are speaking: cancel one, or wait for its Flushed"
        raise Refusal(422, message, code="too_many_contexts", param="context_id")

    async def _end(self, context: Context) -> None:
        await context.clear()
        context.seat.leave()
        self._audio_s += context.audio_s
        if self._by_id.get(context.id) is context:
            del self._by_id[context.id]
        if self._frames_to is context:
            self._frames_to = None


def _check_begun(context: Context, given: list[str], *, reads_features: bool) -> None:
    """Refuse what comes too late for a context that has begun.

    Raises:
        Refusal: 422, it takes other input, or sounds as it sounds.
    """
    if context.reads_features != reads_features:
        kind = "features" if context.reads_features else "text"
        message = f"this context takes {kind}: cancel it first, or use another context_id"
        raise Refusal(422, message, code="wrong_input", param="context_id")
    if given:
        raise Refusal(
            422,
            f"this context has begun: {given[0]} goes with its first message; cancel it first, "
            "or use another context_id",
            code="context_started",
            param=given[0],
        )
