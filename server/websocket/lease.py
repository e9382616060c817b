"""A context's place among the streams: held while it has something to say, and a little longer."""

import asyncio
from collections.abc import Callable

from vocoder.voices.voice import Voice

from ..errors import Refusal
from ..service.admission import Admission, Slot

TRY_AGAIN_S = 1.0


class SlotLease:
    """Takes a place when there is something to speak, and gives it back after some silence."""

    def __init__(
        self,
        admission: Admission,
        voice: Voice,
        engine: str | None,
        *,
        idle_s: float,
        silent: Callable[[], bool] = lambda: True,
    ) -> None:
        """A seat without a place.

        Args:
            admission: where places come from.
            voice: that is to speak.
            engine: by name; the server's own where None.
            idle_s: silence after which the place is given back.
            silent: whether there is nothing to speak.
        """
        self.voice, self.engine, self.silent = voice, engine, silent
        self._admission, self._idle_s = admission, idle_s
        self._place: Slot | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._used = 0.0

    def take(self) -> None:
        """Have a place from now on.

        Raises:
            Refusal: 429, there is none.
        """
        if self._place is None:
            self._have(self._admission.place(self.voice, self.engine))
        self.used()

    async def regain(self) -> None:
        """Have a place again, when there is one."""
        while self._place is None:
            try:
                place = await self._admission.turn(self.voice, self.engine)
            except Refusal:
                await asyncio.sleep(TRY_AGAIN_S)
            else:
                self._have(place)
        self.used()

    def used(self) -> None:
        """Something was taken to speak, or spoken: silence begins anew."""
        self._used = asyncio.get_running_loop().time()

    def leave(self) -> None:
        """Give the place back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._place is not None:
            self._place.leave()
            self._place = None

    def _have(self, place: Slot) -> None:
        self._place = place
        self._watch(self._idle_s)

    def _watch(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._look)

    def _look(self) -> None:
        left_s = self._used + self._idle_s - asyncio.get_running_loop().time()
        if left_s > 0:
            self._watch(left_s)
        elif self.silent():
            self.leave()
        else:
            self._watch(max(self._idle_s, TRY_AGAIN_S))
