"""Hot-loads voices: they can be added, replaced and removed without interrupting a stream.

The folders are checked every few seconds, and a change is taken up once two checks agree on it;
SIGHUP takes it up at once. A new voice is verified and warmed up in the background, and refused if
it is damaged.
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

from .service import Service

NICENESS = 10
"""Priority of the thread that prepares voices, below that of the streams."""

logger = logging.getLogger(__name__)


class VoiceReload:
    """Keeps a service's voices in step with their folders, as a task of the application."""

    def __init__(self, service: Service, every_s: float) -> None:
        """Check every ``every_s`` seconds; 0 only checks on SIGHUP."""
        self._service = service
        self._every_s = every_s or None
        self._asked = asyncio.Event()

    async def run(self) -> None:
        """Check repeatedly, until cancelled."""
        loop = asyncio.get_running_loop()
        # Signal handlers can only be installed in the main thread.
        with contextlib.suppress(RuntimeError, ValueError):
            loop.add_signal_handler(signal.SIGHUP, self._asked.set)
        executor = ThreadPoolExecutor(1, "voices", _lower_priority)
        try:
            while True:
                at_once = await self._wait()
                try:
                    changes = await loop.run_in_executor(executor, self._check, at_once)
                except Exception:
                    logger.exception("cannot load a changed voice")
                    continue
                for change, unused in changes:
                    self._apply(change, unused)
        finally:
            executor.shutdown(wait=False)

    async def _wait(self) -> bool:
        """Wait for the next check; returns whether a signal asked for it."""
        try:
            async with asyncio.timeout(self._every_s):
                await self._asked.wait()
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    def _check(self, at_once: bool) -> list[tuple[VoiceChange, Voice | None]]:
        """The changes, each with the voice whose engine is not needed any more, if any."""
        registry, warm_up = self._service.registry, self._service.synthesizer.warm_up
        changes = registry.refresh(warm_up, at_once=at_once)
        # Voices with the same content under different names share an engine.
        return [
            (c, c.old if c.old and not registry.serves(c.old.digest) else None) for c in changes
        ]

    def _apply(self, change: VoiceChange, unused: Voice | None) -> None:
        self._service.metrics.voice_loads.labels(change.kind).inc()
        fields = {"voice": change.id}
        if change.kind == "refused":
            logger.error("voice refused: %s", change.reason, extra={"fields": fields})
        else:
            logger.info("voice %s", change.kind, extra={"fields": fields})
        if unused is not None:
            self._service.voice_replaced(unused)


def _lower_priority() -> None:
    # Only on Linux does a thread have a priority of its own.
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
