"""The contexts of one connection, and how its messages act on them."""

import asyncio
from collections.abc import Callable
from typing import assert_never

from starlette.websockets import WebSocket
from torch import Tensor

from ..errors import Refusal
from ..http.features import check_settings
from ..service.admission import Slot
from ..service.service import Service
from .context import Context
from .feature_frames import NotStarted, check_kind, frames_of_bytes, frames_of_lists
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
from .voice_settings import VoiceSettings, resolve

MAX_CONTEXTS = 8
MAX_UTTERANCES = 64
"""Utterances of a connection that may wait to be spoken."""

LARGE_BYTES = 2**17
"""Features of this size or more are parsed in another thread."""


class Contexts:
    """All contexts of a connection.

    Args:
        websocket: accepted.
        service: of the application.
        outgoing: to the client.
        options: defaults of all contexts.
        settings: that the options mean.
        lease: of the slot acquired at the handshake, for the first context.
        on_failure: called with an unexpected exception.
    """

    def __init__(
        self,
        websocket: WebSocket,
        service: Service,
        outgoing: Outgoing,
        options: Options,
        settings: VoiceSettings,
        lease: SlotLease,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._state, self._service, self._outgoing = websocket.state, service, outgoing
        self._options, self._settings, self._on_failure = options, settings, on_failure
        self._lease: SlotLease | None = lease
        self._by_id: dict[str | None, Context] = {}
        self._frames_to: Context | None = None
        self._characters = 0
        self._audio_s = 0.0

    async def begin(self) -> None:
        """Begin the unnamed context, which sends its Metadata."""
        await self._add(None, self._settings, reads_features=False)

    async def handle(self, message: ClientMessage) -> None:
        """Do what a message asks for.

        Raises:
            Refusal, UserError: it is invalid; it had no effect.
        """
        match message:
            case Speak():
                await self._speak(message)
            case Start():
                await self._start(message)
            case FeatureFrames():
                context = self._by_id.get(message.context_id)
                if context is None or not context.reads_features:
                    raise NotStarted
                config = context.settings.voice.config
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

    async def handle_bytes(self, data: bytes) -> None:
        """Add frames of features to the context that was started last.

        Raises:
            NotStarted: there is none.
            Refusal, UserError: they are unusable; none of them was added.
        """
        context = self._frames_to
        if context is None:
            raise NotStarted
        config = context.settings.voice.config
        if len(data) < LARGE_BYTES:
            frames = frames_of_bytes(data, config)
        else:
            frames = await asyncio.to_thread(frames_of_bytes, data, config)
        self._add_frames(context, frames)

    async def finish(self) -> None:
        """Speak everything that was received."""
        for context in self._by_id.values():
            if context.open_utterance is not None:
                context.open_utterance.flush()
        await asyncio.gather(*(context.finished() for context in self._by_id.values()))

    async def close(self) -> None:
        """Stop everything and release it."""
        for context in [*self._by_id.values()]:
            await self._end(context)
        if self._lease is not None:
            self._lease.release()
        self._state.log.update(characters=self._characters, audio_s=round(self._audio_s, 3))

    async def _speak(self, message: Speak) -> None:
        context = self._by_id.get(message.context_id)
        if context is None:
            settings = await self._settings_of(message)
            context = await self._add(message.context_id, settings, reads_features=False)
        else:
            given = [*message.overrides, *(["lexicon"] if message.lexicon is not None else [])]
            _check_started(context, given, reads_features=False)
        if not message.text:
            return
        count, limit = len(message.text), self._service.settings.max_text_chars
        waiting = sum(one.waiting for other in self._texts() for one in other.utterances)
        if waiting + count > limit:
            raise Refusal(
                422,
                f"{count} characters, with {waiting} waiting to be spoken: the limit is {limit}; "
                "wait for Flushed, or send less",
                code="text_too_long",
                param="text",
            )
        self._check_utterances(context)
        context.lease.acquire()
        self._state.key.charge(count)
        self._characters += count
        context.utterance().add_text(message.text)

    async def _start(self, message: Start) -> None:
        context = self._by_id.get(message.context_id)
        if context is None:
            settings = await self._settings_of(message)
            check_settings(message.features or {}, settings.voice.config.features)
            context = await self._add(message.context_id, settings, reads_features=True)
        else:
            _check_started(context, message.overrides, reads_features=True)
            check_settings(message.features or {}, context.settings.voice.config.features)
        self._frames_to = context

    def _add_frames(self, context: Context, frames: Tensor) -> None:
        rate_hz = context.settings.voice.config.features.frame_rate_hz
        waiting = sum(utterance.waiting for utterance in context.utterances)
        limit_s = self._service.settings.max_audio_s
        if (waiting + frames.shape[1]) / rate_hz > limit_s:
            raise Refusal(
                422,
                f"{frames.shape[1] / rate_hz:.3f} s of features, with {waiting / rate_hz:.3f} s "
                f"waiting to be spoken: the limit is {limit_s:g} s; send features as their audio "
                "arrives",
                code="audio_too_long",
                param="mel",
            )
        self._check_utterances(context)
        spoken = context.open_utterance.frames if context.open_utterance else None
        total_s = ((spoken.total if spoken else 0) + frames.shape[1]) / rate_hz
        if total_s > context.settings.max_s:
            raise Refusal(
                422,
                f"the utterance is longer than {context.settings.max_s:g} s, the limit: flush it, "
                "and send the rest as another one",
                code="audio_too_long",
                param="mel",
            )
        context.utterance().add_frames(frames)

    async def _flush(self, context_id: str | None) -> None:
        context = self._by_id.get(context_id)
        if context is None:
            await self._outgoing.flushed(context_id)
            return
        self._check_utterances(context)
        await context.flush()

    def _check_utterances(self, context: Context) -> None:
        """Refuse a new utterance if too many are waiting.

        Raises:
            Refusal: 422, they are.
        """
        count = sum(len(one.utterances) for one in self._by_id.values())
        if context.open_utterance is None and count >= MAX_UTTERANCES:
            message = f"{MAX_UTTERANCES} utterances are waiting to be spoken: wait for Flushed"
            raise Refusal(422, message, code="too_many_turns")

    def _texts(self) -> list[Context]:
        return [context for context in self._by_id.values() if not context.reads_features]

    async def _settings_of(self, message: Opening) -> VoiceSettings:
        """The settings of a context that a message begins."""
        lexicon = message.lexicon if isinstance(message, Speak) else None
        if not self._by_id and not message.overrides and not lexicon:
            return self._settings
        return await resolve(self._service, message.options(self._options), lexicon)

    async def _add(
        self, context_id: str | None, settings: VoiceSettings, *, reads_features: bool
    ) -> Context:
        if len(self._by_id) >= MAX_CONTEXTS:
            await self._make_room()
        context = Context(
            context_id,
            settings,
            self._service,
            self._outgoing,
            self._slot_for(settings),
            reads_features=reads_features,
            on_failure=self._on_failure,
        )
        self._by_id[context_id] = context
        self._state.log.update(
            voice=settings.voice.id, speaker=settings.speaker, seed=settings.seed
        )
        metadata = {"request_id": self._state.request_id, **settings.metadata()}
        await self._outgoing.message("Metadata", context_id, **metadata)
        return context

    def _slot_for(self, settings: VoiceSettings) -> Slot:
        """A slot for a new context: the handshake's if it fits, or a new one.

        Raises:
            Refusal: 429, none is free.
        """
        lease = self._lease
        if lease is not None:
            same = (lease.voice, lease.engine) == (settings.voice, settings.engine)
            slot = lease.hand_over()
            if slot is not None and same:
                self._lease = None
                return slot
            if slot is not None:
                slot.release()
        slot = self._service.admission.slot(settings.voice, settings.engine)
        self._lease = None
        return slot

    async def _make_room(self) -> None:
        """End the oldest context that has nothing to say.

        Raises:
            Refusal: 422, all of them have.
        """
        for context in self._by_id.values():
            if not context.utterances and context is not self._frames_to:
                await self._end(context)
                return
        message = f"{MAX_CONTEXTS} contexts are speaking: cancel one, or wait for its Flushed"
        raise Refusal(422, message, code="too_many_contexts", param="context_id")

    async def _end(self, context: Context) -> None:
        await context.clear()
        context.lease.release()
        self._audio_s += context.audio_s
        if self._by_id.get(context.id) is context:
            del self._by_id[context.id]
        if self._frames_to is context:
            self._frames_to = None


def _check_started(context: Context, given: list[str], *, reads_features: bool) -> None:
    """Refuse input or settings that do not fit a context that has started.

    Raises:
        Refusal: 422, it takes other input, or its settings are fixed.
    """
    if context.reads_features != reads_features:
        kind = "features" if context.reads_features else "text"
        message = f"this context takes {kind}: cancel it first, or use another context_id"
        raise Refusal(422, message, code="wrong_input", param="context_id")
    if given:
        raise Refusal(
            422,
            f"this context has started: {given[0]} belongs in its first message; cancel it first, "
            "or use another context_id",
            code="context_started",
            param=given[0],
        )
