"""Voices that are added, replaced or removed while the server runs, without an end to any stream.

A look at the folders every few seconds takes what has been the same for two looks; SIGHUP takes it
at once. A voice is verified and warmed up beside those that serve, and refused where it is unsound.
"""

import asyncio
import contextlib
import logging
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

from vocoder.voices.registry import VoiceChange
from vocoder.voices.voice import Voice

from .. import metrics
from .service import Service

NICENESS = 10
"""Priority of the thread that prepares voices: listeners go first."""

logger = logging.getLogger(__name__)


class Reloading:
    """Keeps a service's voices up with their folders, as a task of the application."""

    def __init__(self, service: Service, every_s: float) -> None:
        """Look every so many seconds; only at SIGHUP where 0."""
        self._service = service
        self._every_s = every_s or None
        self._asked = asyncio.Event()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        loop = asyncio.get_running_loop()
        # Only a main thread can be told of signals.
        with contextlib.suppress(RuntimeError, ValueError):
            loop.add_signal_handler(signal.SIGHUP, self._asked.set)
        executor = ThreadPoolExecutor(1, "voices", _stand_back)
        try:
            while True:
                at_once = await self._wait()
                try:
                    changes = await loop.run_in_executor(executor, self._look, at_once)
                except Exception:
                    logger.exception("a changed voice could not be taken")
                    continue
                for change, left in changes:
                    self._tell(change, left)
        finally:
            executor.shutdown(wait=False)

    async def _wait(self) -> bool:
        """Wait until it is time to look; whether a signal asked for it."""
        try:
            async with asyncio.timeout(self._every_s):
                await self._asked.wait()
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    def _look(self, at_once: bool) -> list[tuple[VoiceChange, Voice | None]]:
        """What has changed, each with the voice whose engine nobody needs any more."""
        registry, warm_up = self._service.registry, self._service.synthesizer.warm_up
        changes = registry.refresh(warm_up, at_once=at_once)
        # Voices of other names may sound the same, and then have one engine.
        return [
            (c, c.old if c.old and not registry.serves(c.old.digest) else None) for c in changes
        ]

    def _tell(self, change: VoiceChange, left: Voice | None) -> None:
        metrics.VOICE_LOADS.labels(change.kind).inc()
        fields = {"voice": change.id}
        if change.kind == "refused":
            logger.error("voice refused: %s", change.reason, extra={"fields": fields})
        else:
            logger.info("voice %s", change.kind, extra={"fields": fields})
        if left is not None:
            self._service.voice_replaced(left)


def _stand_back() -> None:
    # Elsewhere than on Linux a thread has no priority of its own.
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
