"""What a context is to speak: turns, each fed piece by piece until it is flushed."""

import asyncio
import time
from collections.abc import Callable, Sized
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from torch import Tensor

from vocoder.synthesis.input_stream import InputStream

from ..service.listener import Listener

Item = TypeVar("Item")

TEXT_PIECE = 500
"""Characters that are put into a feed at a time: what is not needed yet is not read."""


class CountedFeed(InputStream[Item], Generic[Item]):
    """A feed that knows how much in it waits to be read."""

    def __init__(self, size: Callable[[Item], int]) -> None:
        """Count items by their ``size``."""
        super().__init__()
        self._size = size
        # Two numbers, as each has one writer: who puts and who takes are different threads.
        self._put = self._taken = 0

    def put(self, item: Item) -> None:
        """See :class:`InputStream`."""
        self._put += self._size(item)
        super().put(item)

    def take(self) -> Item | None:
        """See :class:`InputStream`."""
        item = super().take()
        if item is not None:
            self._taken += self._size(item)
        return item

    @property
    def waiting(self) -> int:
        """What was put and not taken."""
        return self._put - self._taken

    @property
    def given(self) -> int:
        """All that was put."""
        return self._put


@dataclass(eq=False)
class Utterance:
    """All that is spoken between two flushes.

    Attributes:
        text, frames: what it is fed with; one of them.
        wordy: whether any of its text was more than white space.
        began: when it was first fed.
        first_audio_s: from then to its first audio.
        failed: whether it broke off; what is still added to it is dropped.
        listener: of its audio, once that is made.
    """

    text: CountedFeed[str] | None = None
    frames: CountedFeed[Tensor] | None = None
    wordy: bool = False
    began: float = field(default_factory=time.perf_counter)
    first_audio_s: float | None = None
    failed: bool = False
    listener: Listener | None = None
    _flushed: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of_text(cls) -> "Utterance":
        """A turn that is to be fed with text."""
        return cls(text=CountedFeed(_length))

    @classmethod
    def of_frames(cls) -> "Utterance":
        """A turn that is to be fed with frames of features (n_mels, F)."""
        return cls(frames=CountedFeed(_frames))

    def add_text(self, text: str) -> None:
        """Take text."""
        assert self.text is not None
        if self.failed:
            return
        self.wordy = self.wordy or not text.isspace()
        for start in range(0, len(text), TEXT_PIECE):
            self.text.put(text[start : start + TEXT_PIECE])

    def add_frames(self, mel: Tensor) -> None:
        """Take frames (n_mels, F)."""
        assert self.frames is not None
        if not self.failed:
            self.frames.put(mel)

    def flush(self) -> None:
        """Say that all of it is there."""
        self._flushed.set()
        for feed in (self.text, self.frames):
            if feed is not None:
                feed.close()

    @property
    def flushed(self) -> bool:
        """Whether all of it is there."""
        return self._flushed.is_set()

    async def until_flushed(self) -> None:
        """Wait until all of it is there."""
        await self._flushed.wait()

    @property
    def age_s(self) -> float:
        """Time since it was first fed."""
        return time.perf_counter() - self.began

    @property
    def empty(self) -> bool:
        """Whether nothing was put into it."""
        return not any(feed.given for feed in (self.text, self.frames) if feed is not None)

    @property
    def starved(self) -> bool:
        """Whether it waits for the client."""
        return not self.flushed and (self.failed or not self.waiting)

    @property
    def waiting(self) -> int:
        """Characters or frames that are not yet read."""
        return sum(feed.waiting for feed in (self.text, self.frames) if feed is not None)


def _length(text: Sized) -> int:
    return len(text)


def _frames(mel: Tensor) -> int:
    return mel.shape[1]
