"""An utterance of a context: text or features that arrive in parts until they are flushed."""

import asyncio
import time
from collections.abc import Callable, Sized
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from torch import Tensor

from vocoder.synthesis.input_stream import InputStream

from ..service.listener import Listener

Item = TypeVar("Item")

TEXT_PART = 500
"""Characters per item of a text stream, so that text is not processed before it is needed."""


class CountedStream(InputStream[Item], Generic[Item]):
    """An input stream that knows how much in it is waiting to be read."""

    def __init__(self, size: Callable[[Item], int]) -> None:
        """Count items by their ``size``."""
        super().__init__()
        self._size = size
        # Two counters with one writer each: putting and taking happen in different threads.
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
        """Size of what has been put and not taken."""
        return self._put - self._taken

    @property
    def total(self) -> int:
        """Size of all that has been put."""
        return self._put


@dataclass(eq=False)
class Utterance:
    """Everything that is spoken between two flushes.

    Attributes:
        text, frames: its input; exactly one is set, or neither for an empty flush.
        has_words: whether any of its text is more than white space.
        started_at: when its first message arrived.
        first_audio_s: time from then until its first audio was sent.
        failed: whether it broke off; further input is dropped.
        listener: to its audio, once there is one.
    """

    text: CountedStream[str] | None = None
    frames: CountedStream[Tensor] | None = None
    has_words: bool = False
    started_at: float = field(default_factory=time.perf_counter)
    first_audio_s: float | None = None
    failed: bool = False
    listener: Listener | None = None
    _flushed: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of_text(cls) -> "Utterance":
        """An utterance that receives text."""
        return cls(text=CountedStream(_length))

    @classmethod
    def of_frames(cls) -> "Utterance":
        """An utterance that receives frames of features (C, F)."""
        return cls(frames=CountedStream(_frames))

    def add_text(self, text: str) -> None:
        """Append text."""
        assert self.text is not None
        if self.failed:
            return
        self.has_words = self.has_words or not text.isspace()
        for start in range(0, len(text), TEXT_PART):
            self.text.put(text[start : start + TEXT_PART])

    def add_frames(self, frames: Tensor) -> None:
        """Append frames (C, F)."""
        assert self.frames is not None
        if not self.failed:
            self.frames.put(frames)

    def flush(self) -> None:
        """End the input."""
        self._flushed.set()
        if self.input is not None:
            self.input.close()

    @property
    def input(self) -> CountedStream[str] | CountedStream[Tensor] | None:
        """Its input, of either kind."""
        return self.frames if self.text is None else self.text

    @property
    def flushed(self) -> bool:
        """Whether the input has ended."""
        return self._flushed.is_set()

    async def until_flushed(self) -> None:
        """Wait until the input has ended."""
        await self._flushed.wait()

    @property
    def age_s(self) -> float:
        """Time since its first message."""
        return time.perf_counter() - self.started_at

    @property
    def empty(self) -> bool:
        """Whether it has received nothing."""
        return self.input is None or not self.input.total

    @property
    def starved(self) -> bool:
        """Whether it is waiting for input."""
        return not self.flushed and (self.failed or not self.waiting)

    @property
    def waiting(self) -> int:
        """Characters or frames that have not been read yet."""
        return 0 if self.input is None else self.input.waiting


def _length(text: Sized) -> int:
    return len(text)


def _frames(frames: Tensor) -> int:
    return frames.shape[1]
