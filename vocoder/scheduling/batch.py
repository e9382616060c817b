"""The rows of a running batch: an engine's state, and a step's conditioning gathered for it."""

import operator
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vocoder.generation.cuda.streams import StreamPool
from vocoder.generation.dispatch import Engine
from vocoder.generation.noise import Noise
from vocoder.scheduling.segment import UtteranceStart
from vocoder.scheduling.stream import Taken
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.linear_prediction import LinearPrediction


class Batch:
    """So many rows, each free or held by a stream.

    As many threads as the engine allows may advance rows at once, each different ones. Where each
    row is the host knows too, so that it never waits for a device to begin a chunk.
    """

    def __init__(self, engine: Engine, rows: int, hold: int) -> None:
        self._engine, self._hold = engine, hold
        self._state = engine.start(rows)
        self._silence = engine.start(1)
        self._streams = StreamPool(self._state.position.device, engine.max_concurrency or 1)
        self._seeds = torch.zeros(rows, dtype=torch.int64)
        self._positions = torch.zeros(rows, dtype=torch.int64)
        self._free = list(reversed(range(rows)))

    @property
    def free(self) -> int:
        """Rows that nobody holds."""
        return len(self._free)

    def acquire(self) -> int | None:
        """A free row; None where there is none."""
        return self._free.pop() if self._free else None

    def release(self, row: int) -> None:
        """Give a row back."""
        self._free.append(row)

    def advance(
        self,
        rows: Sequence[int],
        beginnings: Sequence[UtteranceStart | None],
        taken: Sequence[Taken],
        blocks: int,
    ) -> Tensor:
        """Generate ``blocks`` blocks of each row.

        Args:
            rows: that advance.
            beginnings: of the rows that begin an utterance here.
            taken: what each is conditioned on; where that is shorter, the rest is not to be used.
            blocks: of each row.

        Returns:
            Samples on the CPU (rows, blocks * hold).

        Raises:
            Exception: whatever the engine raises; each of the rows has to begin anew then.
        """
        begun = []
        for row, beginning in zip(rows, beginnings, strict=True):
            if beginning is not None:
                self._seeds[row], self._positions[row] = beginning.seed, 0
                begun.append(row)
        index, steps = torch.tensor(rows), blocks * self._hold
        position, to_device = self._positions[index], self._streams.to_device
        with self._streams.stream():
            if begun:
                silence = to_device(torch.zeros(len(begun), dtype=torch.int64))
                self._state.copy_rows(to_device(torch.tensor(begun)), self._silence, silence)
            audio = self._engine.generate(
                self._state,
                _gathered(taken, blocks, to_device(position // self._hold)),
                Noise(to_device(self._seeds[index]), steps),
                to_device(index),
                covered=True,
            )
            found = self._streams.to_host(audio)
        self._positions[index] = position + steps
        return found


def _gathered(taken: Sequence[Taken], blocks: int, first: Tensor) -> Conditioning:
    """Conditioning of all rows; where a row has fewer blocks, its last one is repeated."""

    def gathered(known: Callable[[Conditioning], Tensor]) -> Tensor:
        stretches = []
        for row in taken:
            for piece, start, count in row.parts:
                stretches.append(known(piece.conditioning)[0, start : start + count])
            if (missing := blocks - row.blocks) > 0:
                last = stretches[-1][-1:]
                stretches.append(last.expand(missing, *last.shape[1:]))
        return torch.cat(stretches).unflatten(0, (len(taken), blocks))

    example = taken[0].parts[0][0].conditioning
    prediction = None
    if example.prediction is not None:
        fields = (operator.attrgetter(f"prediction.{name}") for name in LinearPrediction._fields)
        prediction = LinearPrediction(*map(gathered, fields))
    local = gathered(operator.attrgetter("local"))
    speaker = torch.cat([row.parts[0][0].conditioning.speaker for row in taken])
    return Conditioning(local, speaker, prediction, first)
