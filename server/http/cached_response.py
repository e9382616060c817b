"""Responses from the cache, and into it while they are generated."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping

from fastapi import Response
from starlette.responses import StreamingResponse

from ..metrics import Metrics
from ..service.response_cache import CachedBody, ResponseCache

CACHE_HEADER = "X-Cache"


class CachedResponse:
    """One request's entry in the cache, which may not exist yet.

    Args:
        cache: None if the request cannot be cached.
        key: of the request.
        metrics: count hits and misses.
    """

    def __init__(self, cache: ResponseCache | None, key: str, metrics: Metrics) -> None:
        self._cache, self._key, self._metrics = cache, key, metrics

    @property
    def headers(self) -> dict[str, str]:
        """Headers of a response that had to be generated."""
        return {} if self._cache is None else {CACHE_HEADER: "miss"}

    async def response(self, media_type: str) -> Response | None:
        """The response from the cache; None if it is not there."""
        if self._cache is None:
            return None
        found = await asyncio.to_thread(self._cache.get, self._key)
        if found is None:
            self._metrics.cache_misses.inc()
            return None
        self._metrics.cache_hits.inc()
        headers = {**found.headers, CACHE_HEADER: "hit", "content-length": str(found.length)}
        return StreamingResponse(_blocks(found), media_type=media_type, headers=headers)

    async def store(
        self, parts: AsyncGenerator[bytes, None], headers: Mapping[str, str]
    ) -> AsyncGenerator[bytes, None]:
        """Pass a body through, caching it if it is completed; closing this closes ``parts``."""
        async with contextlib.aclosing(parts):
            if self._cache is None:
                async for part in parts:
                    yield part
                return
            writer = await asyncio.to_thread(self._cache.begin, self._key, headers)
            with writer:
                async for part in parts:
                    await asyncio.to_thread(writer.write, part)
                    yield part
                await asyncio.to_thread(writer.commit)


async def _blocks(found: CachedBody) -> AsyncGenerator[bytes, None]:
    with found:
        while block := await asyncio.to_thread(found.read):
            yield block
