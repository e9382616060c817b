"""The audio response of a request: cached or generated, whole or streamed."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

from fastapi import Request, Response
from starlette.responses import StreamingResponse

from vocoder.audio import io as audio
from vocoder.audio.encoder import Encoder
from vocoder.audio.io import AudioFormat
from vocoder.generation.dispatch import Engine
from vocoder.synthesis.request import SynthesisRequest, Vocoding
from vocoder.synthesis.speech import Speech

from ..metrics import Kind
from ..service.admission import Slot
from ..service.listener import Listener
from ..service.response_cache import key_of
from ..service.service import Service
from .cached_response import CachedResponse
from .disconnect import while_connected
from .encoding import AsyncEncoder
from .speakers import Speaker

LARGEST_DRAWN_SEED = 2**53
"""Every JSON parser represents integers up to here exactly."""

QUICK_FORMATS = ("wav", "pcm")
"""Formats that take no time to encode."""


@dataclass(frozen=True)
class AudioResponse:
    """How one request's audio is generated and sent; a subclass may send it in another form.

    Attributes:
        request: to answer.
        service: of the application.
        speaker: who speaks.
        seed: of the noise.
        engine: that generates.
        audio_format: of the body.
        rate_hz: of the body.
        whole: whether it is sent as one file, with its length, and not streamed.
        repeatable: whether the request named the seed, so that its response can be cached.
    """

    request: Request
    service: Service
    speaker: Speaker
    seed: int
    engine: Engine
    audio_format: AudioFormat
    rate_hz: int
    whole: bool
    repeatable: bool

    @classmethod
    async def prepare(
        cls,
        request: Request,
        service: Service,
        speaker: Speaker,
        *,
        seed: int | None,
        engine: str | None,
        audio_format: AudioFormat,
        rate_hz: int | None,
        whole: bool,
        **fields: Any,
    ) -> Self:
        """A response, with defaults for what the request left open; draws the seed if it is None.

        ``fields`` are those that a subclass adds.

        Raises:
            EngineError: the engine is unknown or cannot run the voice.
        """
        voice, name = speaker
        response = cls(
            request=request,
            service=service,
            speaker=speaker,
            seed=secrets.randbelow(LARGEST_DRAWN_SEED) if seed is None else seed,
            engine=await service.engine(voice, engine),
            audio_format=audio_format,
            rate_hz=int(rate_hz or voice.config.features.sample_rate_hz),
            whole=whole,
            repeatable=seed is not None,
            **fields,
        )
        request.state.log.update(
            voice=voice.id, speaker=name, seed=response.seed, engine=response.engine.name
        )
        return response

    async def send(
        self,
        content: Speech | Vocoding,
        *,
        cached_by: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """The response itself: from the cache, or generated as soon as there is a slot for it.

        Args:
            content: what to generate.
            cached_by: all of the request that the audio depends on, besides this object's
                attributes; None never caches it.
            headers: to add.

        Raises:
            UserError: the text or features cannot be spoken.
            Refusal: 429, there is no slot.
        """
        cached = self._cached(cached_by)
        if (response := await cached.response(self.media_type)) is not None:
            return response
        slot = await self._slot()
        synthesis = SynthesisRequest(
            self.speaker.voice, content, engine=self.engine.name, offline=self.whole
        )
        kind: Kind = "features" if isinstance(content, Vocoding) else "text"
        listener = self.service.listen(synthesis, kind, slot.release)
        parts = self.guarded(cached.store(self.parts(listener), self.headers()))
        try:
            return await self._respond(listener, parts, {**cached.headers, **(headers or {})})
        except BaseException:
            await listener.aclose()
            raise

    @property
    def media_type(self) -> str:
        """Of the body."""
        return audio.MEDIA_TYPES[self.audio_format]

    def headers(self) -> dict[str, str]:
        """The headers that do not depend on how long it took."""
        voice, speaker = self.speaker
        return {
            "X-Sample-Rate": str(self.rate_hz),
            "X-Seed": str(self.seed),
            "X-Engine": self.engine.name,
            "X-Voice": voice.id,
            "X-Voice-Hash": voice.digest,
            "X-Speaker": quote(speaker),  # A name may be outside Latin-1, a header may not.
            "Cache-Control": "no-cache",
            "X-Accel-Buffering": "no",
        }

    def encoder(self) -> AsyncEncoder:
        """An encoder of the voice's samples."""
        own_rate_hz = self.speaker.voice.config.features.sample_rate_hz
        quick = self.audio_format in QUICK_FORMATS and self.rate_hz == own_rate_hz
        encoder = Encoder(self.audio_format, own_rate_hz, self.rate_hz, whole=self.whole)
        return AsyncEncoder(encoder, quick=quick)

    async def parts(self, listener: Listener) -> AsyncGenerator[bytes, None]:
        """The body, as it is generated; closing this closes the listener."""
        async with contextlib.aclosing(listener):
            with self.encoder() as encoder:
                async for chunk in listener:
                    if part := await encoder.push(chunk.samples):
                        yield part
                if part := await encoder.finish():
                    yield part

    def guarded(self, parts: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The body, with errors turned into parts of it where the form has a way to say them."""
        return parts

    def _cached(self, cached_by: Mapping[str, Any] | None) -> CachedResponse:
        service = self.service
        if service.cache is None or cached_by is None or not self.repeatable:
            return CachedResponse(None, "", service.metrics)
        parts = {
            "request": dict(cached_by),
            "voice": self.speaker.voice.digest,
            "speaker": self.speaker.name,
            "seed": self.seed,
            "engine": [self.engine.name, self.engine.weights],
            "format": [self.audio_format, self.rate_hz, self.whole],
        }
        return CachedResponse(service.cache, key_of(parts), service.metrics)

    async def _slot(self) -> Slot:
        """A slot: at once for a stream, after waiting for a whole file.

        Raises:
            Refusal: 429, there is none.
        """
        admission, voice = self.service.admission, self.speaker.voice
        if not self.whole:
            return admission.slot(voice, self.engine.name)
        waiting = asyncio.create_task(admission.wait_for_slot(voice, self.engine.name))
        return await while_connected(self.request, waiting)

    async def _respond(
        self, listener: Listener, parts: AsyncGenerator[bytes, None], headers: Mapping[str, str]
    ) -> Response:
        def all_headers() -> dict[str, str]:
            return {**self.headers(), **self._timing(listener), **headers}

        if self.whole:
            body = await while_connected(self.request, asyncio.create_task(_joined(parts)))
            self._log(listener)
            return Response(body, media_type=self.media_type, headers=all_headers())
        first = await while_connected(self.request, asyncio.create_task(_first(parts)))

        async def body_parts() -> AsyncGenerator[bytes, None]:
            try:
                async with contextlib.aclosing(parts):
                    yield first
                    async for part in parts:
                        yield part
            finally:
                self._log(listener)

        return StreamingResponse(body_parts(), media_type=self.media_type, headers=all_headers())

    def _timing(self, listener: Listener) -> dict[str, str]:
        """Headers that say how long it took; complete from the first audio on."""
        headers = {}
        if listener.start is not None:
            queue, text, first = (1000 * seconds for seconds in listener.start)
            headers["Server-Timing"] = (
                f"queue;dur={queue:.1f}, text;dur={text:.1f}, first-audio;dur={first:.1f}"
            )
        if self.whole and listener.real_time_factor is not None:
            headers["X-Real-Time-Factor"] = f"{listener.real_time_factor:.3f}"
        return headers

    def _log(self, listener: Listener) -> None:
        """Add to the request's log line how long it took."""
        log: dict[str, object] = self.request.state.log
        if listener.start is not None:
            names = ("queue_ms", "text_ms", "generation_ms")
            times = (round(1000 * seconds, 1) for seconds in listener.start)
            log.update(zip(names, times, strict=True))
            log["first_audio_ms"] = round(1000 * sum(listener.start), 1)
        log["audio_s"] = round(listener.audio_s, 3)
        if listener.real_time_factor is not None:
            log["real_time_factor"] = round(listener.real_time_factor, 3)


async def _joined(parts: AsyncGenerator[bytes, None]) -> bytes:
    async with contextlib.aclosing(parts):
        return b"".join([part async for part in parts])


async def _first(parts: AsyncGenerator[bytes, None]) -> bytes:
    try:
        return await anext(parts)
    except BaseException:
        await parts.aclose()
        raise
