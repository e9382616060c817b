"""A slot held while there is something to speak, and given back after some idle time."""

import asyncio
from collections.abc import Callable

from vocoder.voices.voice import Voice

from ..errors import Refusal
from ..service.admission import Admission, Slot

RETRY_S = 1.0


class SlotLease:
    """Acquires a slot when there is something to speak, and releases it when idle."""

    def __init__(
        self,
        admission: Admission,
        voice: Voice,
        engine: str,
        *,
        idle_s: float,
        is_idle: Callable[[], bool] = lambda: True,
        slot: Slot | None = None,
    ) -> None:
        """A lease of a slot.

        Args:
            admission: hands out slots.
            voice: that will speak.
            engine: that generates, by name.
            idle_s: idle time after which the slot is released.
            is_idle: whether there is nothing to generate.
            slot: to start with; None acquires one when needed.
        """
        self.voice, self.engine = voice, engine
        self._admission, self._idle_s, self._is_idle = admission, idle_s, is_idle
        self._slot: Slot | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._used_at = 0.0
        if slot is not None:
            self.touch()
            self._hold(slot)

    def acquire(self) -> None:
        """Hold a slot from now on.

        Raises:
            Refusal: 429, none is free.
        """
        if self._slot is None:
            self._hold(self._admission.slot(self.voice, self.engine))
        self.touch()

    async def reacquire(self) -> None:
        """Hold a slot again, waiting until one is free."""
        while self._slot is None:
            try:
                slot = await self._admission.wait_for_slot(self.voice, self.engine)
            except Refusal:
                await asyncio.sleep(RETRY_S)
            else:
                self._hold(slot)
        self.touch()

    def touch(self) -> None:
        """Restart the idle time: something was received or sent."""
        self._used_at = asyncio.get_running_loop().time()

    def release(self) -> None:
        """Give the slot back."""
        if (slot := self.hand_over()) is not None:
            slot.release()

    def hand_over(self) -> Slot | None:
        """Give the slot to the caller, who must release it; None if there is none."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        slot, self._slot = self._slot, None
        return slot

    def _hold(self, slot: Slot) -> None:
        self._slot = slot
        self._check_after(self._idle_s)

    def _check_after(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._check)

    def _check(self) -> None:
        left_s = self._used_at + self._idle_s - asyncio.get_running_loop().time()
        if left_s > 0:
            self._check_after(left_s)
        elif self._is_idle():
            self.release()
        else:
            self._check_after(max(self._idle_s, RETRY_S))
