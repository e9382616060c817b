"""Audio on its way to a client: who speaks, what the headers and the log say, whole or streamed."""

import asyncio
import contextlib
import functools
import secrets
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from fastapi import Request, Response
from starlette.responses import StreamingResponse

from vocoder.audio.encoder import Encoder
from vocoder.audio.io import AudioFormat, Samples
from vocoder.voices.voice import Voice

from ..service.admission import Slot
from ..service.jobs import while_connected
from ..service.listener import Listener
from ..service.service import Service

LARGEST_DRAWN_SEED = 2**53
"""Every JSON reader holds integers up to here exactly."""

QUICK_FORMATS = ("wav", "pcm")
"""Encoded so fast that another thread would cost more than the work."""


@dataclass(frozen=True)
class AudioResponse:
    """How one request's audio is made and sent."""

    voice: Voice
    speaker: str
    seed: int
    engine: str
    audio_format: AudioFormat
    rate_hz: int
    whole: bool
    repeatable: bool
    log: dict[str, object]

    @property
    def own_rate_hz(self) -> int:
        """The voice's own rate."""
        return self.voice.config.features.sample_rate_hz

    def headers(self) -> dict[str, str]:
        """Headers of the answer that do not depend on how long it took."""
        return {
            "X-Sample-Rate": str(self.rate_hz),
            "X-Seed": str(self.seed),
            "X-Engine": self.engine,
            "X-Voice": self.voice.id,
            "X-Voice-Hash": self.voice.digest,
            "X-Speaker": quote(self.speaker),  # A name may be outside Latin-1, a header may not.
            "Cache-Control": "no-cache",
            "X-Accel-Buffering": "no",
        }

    def timing(self, listener: Listener) -> dict[str, str]:
        """Headers of how long it took, once the first audio is there."""
        headers = {}
        if listener.start is not None:
            queue, text, audio_ = (1000 * seconds for seconds in listener.start)
            headers["Server-Timing"] = (
                f"queue;dur={queue:.1f}, text;dur={text:.1f}, first-audio;dur={audio_:.1f}"
            )
        if self.whole and listener.real_time_factor is not None:
            headers["X-Real-Time-Factor"] = f"{listener.real_time_factor:.3f}"
        return headers

    def encoder(self) -> Encoder:
        """An encoder of the voice's samples."""
        return Encoder(self.audio_format, self.own_rate_hz, self.rate_hz, whole=self.whole)

    async def encode(self, encoder: Encoder, samples: Samples | None) -> bytes:
        """The bytes of the next samples, or of the end where None."""
        work = encoder.finish if samples is None else functools.partial(encoder.push, samples)
        quick = self.audio_format in QUICK_FORMATS and self.rate_hz == self.own_rate_hz
        if quick:
            return work()
        running = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            return await asyncio.shield(running)
        finally:
            # Where the client is gone the thread still works, and libsndfile crashes the process
            # if the file is closed meanwhile.
            while not running.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([running])
            if not running.cancelled():
                running.exception()  # Seen to, should nobody wait for it any more.

    async def parts(self, listener: Listener) -> AsyncGenerator[bytes, None]:
        """The audio as bytes, as it comes; closing this closes the listener."""
        async with contextlib.aclosing(listener):
            with contextlib.closing(self.encoder()) as encoder:
                async for spoken in listener:
                    if part := await self.encode(encoder, spoken.samples):
                        yield part
                if part := await self.encode(encoder, None):
                    yield part

    def note(self, listener: Listener) -> None:
        """Have the log line say how long it took."""
        if listener.start is not None:
            names = ("queue_ms", "text_ms", "generation_ms")
            times = (round(1000 * seconds, 1) for seconds in listener.start)
            self.log.update(zip(names, times, strict=True))
            self.log["first_audio_ms"] = round(1000 * sum(listener.start), 1)
        self.log["audio_s"] = round(listener.audio_s, 3)
        if listener.real_time_factor is not None:
            self.log["real_time_factor"] = round(listener.real_time_factor, 3)


async def prepare(
    request: Request,
    service: Service,
    voice: Voice,
    *,
    speaker: str | None,
    seed: int | None,
    engine: str | None,
    audio_format: AudioFormat,
    rate_hz: int | None,
    whole: bool,
) -> AudioResponse:
    """A delivery with what the request left open decided; the seed is drawn where None.

    Raises:
        UserError: no such speaker, or an engine that cannot run.
    """
    voice.speaker_index(speaker)
    delivery = AudioResponse(
        voice=voice,
        speaker=speaker or voice.speakers[0],
        seed=secrets.randbelow(LARGEST_DRAWN_SEED) if seed is None else seed,
        engine=await service.engine_name(voice, engine),
        audio_format=audio_format,
        rate_hz=int(rate_hz or voice.config.features.sample_rate_hz),
        whole=whole,
        repeatable=seed is not None,
        log=request.state.log,
    )
    delivery.log.update(
        voice=voice.id, speaker=delivery.speaker, seed=delivery.seed, engine=delivery.engine
    )
    return delivery


async def admitted(
    request: Request, service: Service, delivery: AudioResponse, engine: str | None
) -> Slot:
    """A place among the streams: for a live stream at once, for a whole file when there is one.

    Raises:
        Refusal: 429, there is none.
    """
    admission = service.admission
    if not delivery.whole:
        return admission.place(delivery.voice, engine)
    waiting = asyncio.create_task(admission.turn(delivery.voice, engine))
    return await while_connected(request, waiting)


async def answer(
    request: Request,
    delivery: AudioResponse,
    listener: Listener,
    parts: AsyncGenerator[bytes, None],
    media_type: str,
    headers: Mapping[str, str],
) -> Response:
    """What is heard as the body of an answer: as it comes, or whole where the delivery says so.

    Args:
        request: that is answered.
        delivery: how.
        listener: what is heard.
        parts: its bytes; closing it closes the listener.
        media_type: of the body.
        headers: besides the delivery's.

    Raises:
        UserError: what comes before the first byte.
    """

    def all_headers() -> dict[str, str]:
        return {**delivery.headers(), **delivery.timing(listener), **headers}

    if delivery.whole:
        body = await while_connected(request, asyncio.create_task(_joined(parts)))
        delivery.note(listener)
        return Response(body, media_type=media_type, headers=all_headers())
    first = await while_connected(request, asyncio.create_task(_first(parts)))

    async def rest() -> AsyncGenerator[bytes, None]:
        try:
            async with contextlib.aclosing(parts):
                yield first
                async for part in parts:
                    yield part
        finally:
            delivery.note(listener)

    return StreamingResponse(rest(), media_type=media_type, headers=all_headers())


async def _joined(parts: AsyncGenerator[bytes, None]) -> bytes:
    async with contextlib.aclosing(parts):
        return b"".join([part async for part in parts])


async def _first(parts: AsyncGenerator[bytes, None]) -> bytes:
    try:
        return await anext(parts)
    except BaseException:
        await parts.aclose()
        raise
