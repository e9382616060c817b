"""Audio on its way to a client: who speaks, what the headers and the log say, whole or streamed."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import quote

from fastapi import Request, Response
from starlette.responses import StreamingResponse

from server.generations import while_connected
from server.service import Service
from server.streaming import begin, resume, stream
from vocoder import audio
from vocoder.audio import AudioFormat
from vocoder.encoding import Encoder
from vocoder.voice import Voice

LARGEST_DRAWN_SEED = 2**53
"""Every JSON reader holds integers up to here exactly."""

Chunk = TypeVar("Chunk")


@dataclass(frozen=True)
class Delivery:
    """How one request's audio is made and sent."""

    voice: Voice
    speaker: str
    seed: int
    engine: str
    audio_format: AudioFormat
    rate_hz: int
    whole: bool
    log: dict[str, object]
    asked: float = field(default_factory=time.perf_counter)

    @property
    def own_rate_hz(self) -> int:
        """The voice's own rate."""
        return self.voice.config.features.sample_rate_hz

    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
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

    def encoder(self) -> Encoder:
        """An encoder of the voice's samples."""
        return Encoder(self.audio_format, self.own_rate_hz, self.rate_hz, whole=self.whole)

    def watched(
        self, make: Callable[[], Iterator[Chunk]], length_of: Callable[[Chunk], int]
    ) -> Iterator[Chunk]:
        """The chunks that ``make`` gives; the log learns how long they took and how long they are.

        To be called in the thread in which the work is done.
        """
        started, count = time.perf_counter(), 0
        self.log["queue_ms"] = round((started - self.asked) * 1000, 1)
        for chunk in make():
            if not count:
                self.log["first_audio_ms"] = round((time.perf_counter() - self.asked) * 1000, 1)
            count += length_of(chunk)
            yield chunk
        self.log["generation_ms"] = round((time.perf_counter() - started) * 1000, 1)
        self.log["audio_s"] = round(count / self.own_rate_hz, 3)


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
) -> Delivery:
    """A delivery with what the request left open decided; the seed is drawn where None.

    Raises:
        UserError: no such speaker, or an engine that cannot run.
    """
    voice.speaker_index(speaker)
    delivery = Delivery(
        voice=voice,
        speaker=speaker or voice.speakers[0],
        seed=secrets.randbelow(LARGEST_DRAWN_SEED) if seed is None else seed,
        engine=await asyncio.to_thread(service.synthesizer.engine_name, voice, engine),
        audio_format=audio_format,
        rate_hz=int(rate_hz or voice.config.features.sample_rate_hz),
        whole=whole,
        log=request.state.log,
    )
    delivery.log.update(
        voice=voice.id, speaker=delivery.speaker, seed=delivery.seed, engine=delivery.engine
    )
    return delivery


async def answer(
    request: Request,
    service: Service,
    delivery: Delivery,
    parts: Callable[[], Generator[bytes, None, None]],
) -> Response:
    """The parts as the body of an answer: as they come, or whole where the delivery says so.

    Raises:
        UserError: what ``parts`` raises before its first byte.
    """
    media_type, headers = audio.MEDIA_TYPES[delivery.audio_format], delivery.headers()
    live = await begun(request, service, parts)
    if not delivery.whole:
        return StreamingResponse(live, media_type=media_type, headers=headers)
    body = b"".join([part async for part in live])
    return Response(body, media_type=media_type, headers=headers)


async def begun(
    request: Request, service: Service, parts: Callable[[], Generator[bytes, None, None]]
) -> AsyncGenerator[bytes, None]:
    """The parts as they come, of which the first is there; it is waited for while the client does.

    Raises:
        UserError: what ``parts`` raises before its first byte.
    """
    live = stream(service.generations, parts)
    first = await while_connected(request, asyncio.create_task(begin(live)))
    return resume(first, live)
