"""The last thread of a running batch: what was generated is finished, and delivered."""

import logging
import queue
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from vocoder.audio import Samples
from vocoder.generation.streams import Chunk, End, Stream, Taken

STEPS_AHEAD = 4
"""Steps that generation may be ahead of finishing."""

logger = logging.getLogger(__name__)


class Made(NamedTuple):
    """What a row generated in a step: samples (T,), and what they were conditioned on."""

    stream: Stream
    taken: Taken
    samples: Tensor


class Finishing:
    """A queue of what was generated, and what is done with it in a thread of its own.

    Finishing a step goes on beside the generation of the next one.
    """

    def __init__(
        self,
        deliver: Callable[[Stream, Samples, bool], Chunk | None],
        cancel: Callable[[Stream], None],
    ) -> None:
        """Finish streams.

        Args:
            deliver: counts samples that go out now, and whether an utterance ends with them.
            cancel: ends a stream that cannot go on.
        """
        self._deliver, self._cancel = deliver, cancel
        self._queue: queue.Queue[Sequence[Made | Stream] | None] = queue.Queue(STEPS_AHEAD)

    def put(self, work: Sequence[Made | Stream] | None) -> None:
        """Add what a step made, and streams that are over; None ends the thread."""
        self._queue.put(work)

    def run(self) -> None:
        """Work until the end is put."""
        while (work := self._queue.get()) is not None:
            for item in work:
                stream = item.stream if isinstance(item, Made) else item
                try:
                    event = self._finished(item) if isinstance(item, Made) else End(stream.failure)
                    if event is not None and not stream.cancelled:
                        stream.sink(event)
                except Exception as error:
                    logger.exception("a stream's audio could not be finished")
                    if not stream.cancelled:
                        self._cancel(stream)
                        stream.sink(End(error))

    def _finished(self, made: Made) -> Chunk | None:
        stream = made.stream
        for piece in made.taken.begun:
            if piece.beginning is not None:
                stream.finisher, stream.label = piece.beginning.finisher, piece.beginning.label
            assert stream.finisher is not None, "an utterance without a beginning"
            stream.finisher.extend(piece.mel)
        assert stream.finisher is not None
        samples = stream.finisher.push(made.samples.numpy())
        if made.taken.last:
            samples = np.concatenate((samples, stream.finisher.flush()))
        chunk = self._deliver(stream, samples, made.taken.last)
        if chunk is not None:
            stream.label = None
        return chunk
