"""Answers from the cache, and into it while they are made."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from fastapi import Response
from starlette.responses import StreamingResponse

from ..metrics import Metrics
from ..service.response_cache import AudioCache, CachedAnswer, Writer, key_of
from ..service.service import Service
from .audio_response import AudioResponse

CACHE_HEADER = "X-Cache"


class CachedResponse:
    """One request's answer in the cache: there already, or to be put there.

    Only requests that name their seed are kept: one that leaves it open means a new reading.
    """

    def __init__(self, cache: AudioCache | None, key: str, metrics: Metrics) -> None:
        self._cache = cache
        self._key = key
        self._metrics = metrics

    @classmethod
    def of(
        cls, service: Service, delivery: AudioResponse, asked: Mapping[str, Any]
    ) -> "CachedResponse":
        """What the cache has to do with a request.

        Args:
            service: whose cache it is.
            delivery: how it is answered.
            asked: all else that the answer depends on.
        """
        if service.cache is None or not delivery.repeatable:
            return cls(None, "", service.metrics)
        engine = service.synthesizer.engine(delivery.voice, delivery.engine)
        parts = {
            "asked": dict(asked),
            "voice": delivery.voice.digest,
            "speaker": delivery.speaker,
            "seed": delivery.seed,
            "engine": [delivery.engine, engine.weights],
            "format": [delivery.audio_format, delivery.rate_hz, delivery.whole],
        }
        return cls(service.cache, key_of(parts), service.metrics)

    async def answer(self, media_type: str) -> Response | None:
        """The answer as it was kept; None where it is not."""
        if self._cache is None:
            return None
        found = await asyncio.to_thread(self._cache.get, self._key)
        if found is None:
            self._metrics.cache_misses.inc()
            return None
        self._metrics.cache_hits.inc()
        headers = {**found.headers, CACHE_HEADER: "hit", "content-length": str(found.length)}
        return StreamingResponse(_blocks(found), media_type=media_type, headers=headers)

    async def keep(
        self, parts: AsyncGenerator[bytes, None], delivery: AudioResponse
    ) -> AsyncGenerator[bytes, None]:
        """The parts again, which are kept if they come to their end; closing this closes them."""
        async with contextlib.aclosing(parts):
            if self._cache is None:
                async for part in parts:
                    yield part
                return
            writer = await asyncio.to_thread(self._cache.begin, self._key)
            with writer:
                async for part in parts:
                    await asyncio.to_thread(writer.write, part)
                    yield part
                await asyncio.to_thread(_commit, writer, delivery.headers())

    @property
    def headers(self) -> dict[str, str]:
        """What an answer that is made says of the cache."""
        return {} if self._cache is None else {CACHE_HEADER: "miss"}


def _commit(writer: Writer, headers: Mapping[str, str]) -> None:
    writer.commit(headers)


async def _blocks(found: CachedAnswer) -> AsyncGenerator[bytes, None]:
    with found:
        while block := await asyncio.to_thread(found.read):
            yield block
