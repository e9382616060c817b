"""The rows of a running batch: an engine's state, and the conditioning of one step."""

import operator
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vocoder.generation.cuda.streams import StreamPool
from vocoder.generation.dispatch import Engine
from vocoder.generation.noise import Noise
from vocoder.scheduling.segment import UtteranceStart
from vocoder.scheduling.stream import StepInput
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.linear_prediction import LinearPrediction


class Batch:
    """A fixed number of rows, each free or assigned to a stream.

    As many threads as the engine allows may advance rows at once, as long as the rows differ. The
    host keeps its own copy of each row's position, so starting a chunk never waits for the device.
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
        """Number of free rows."""
        return len(self._free)

    def acquire(self) -> int | None:
        """Assign a free row; None if there is none."""
        return self._free.pop() if self._free else None

    def release(self, row: int) -> None:
        """Free a row."""
        self._free.append(row)

    def advance(
        self,
        rows: Sequence[int],
        utterance_starts: Sequence[UtteranceStart | None],
        inputs: Sequence[StepInput],
        blocks: int,
    ) -> Tensor:
        """Generate ``blocks`` blocks of each row.

        Args:
            rows: that advance.
            utterance_starts: set for the rows that start an utterance here.
            inputs: conditioning of each row; if shorter, the rest of its output is meaningless.
            blocks: of each row.

        Returns:
            Samples on the CPU (rows, blocks * hold).

        Raises:
            Exception: whatever the engine raises; each of the rows must then start a new utterance.
        """
        started = []
        for row, start in zip(rows, utterance_starts, strict=True):
            if start is not None:
                self._seeds[row], self._positions[row] = start.seed, 0
                started.append(row)
        index, steps = torch.tensor(rows), blocks * self._hold
        position, to_device = self._positions[index], self._streams.to_device
        with self._streams.stream():
            if started:
                silence = to_device(torch.zeros(len(started), dtype=torch.int64))
                self._state.copy_rows(to_device(torch.tensor(started)), self._silence, silence)
            audio = self._engine.generate(
                self._state,
                _gather(inputs, blocks, to_device(position // self._hold)),
                Noise(to_device(self._seeds[index]), steps),
                to_device(index),
                covered=True,
            )
            samples = self._streams.to_host(audio)
        self._positions[index] = position + steps
        return samples


def _gather(inputs: Sequence[StepInput], blocks: int, first: Tensor) -> Conditioning:
    """Conditioning of all rows; the last block of a shorter row is repeated."""

    def gather(field: Callable[[Conditioning], Tensor]) -> Tensor:
        parts = []
        for row in inputs:
            for segment, start, count in row.slices:
                parts.append(field(segment.conditioning)[0, start : start + count])
            if (missing := blocks - row.blocks) > 0:
                last = parts[-1][-1:]
                parts.append(last.expand(missing, *last.shape[1:]))
        return torch.cat(parts).unflatten(0, (len(inputs), blocks))

    example = inputs[0].slices[0][0].conditioning
    prediction = None
    if example.prediction is not None:
        fields = (operator.attrgetter(f"prediction.{name}") for name in LinearPrediction._fields)
        prediction = LinearPrediction(*map(gather, fields))
    local = gather(operator.attrgetter("local"))
    speaker = torch.cat([row.slices[0][0].conditioning.speaker for row in inputs])
    return Conditioning(local, speaker, prediction, first)
