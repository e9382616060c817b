"""The processes of a run: one, or those that torchrun started on one machine or several."""

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from vocoder.errors import TrainingError

PATIENCE = timedelta(hours=2)
"""How long processes wait for the leader's samples. One that died torchrun notices at once."""


class Process(NamedTuple):
    """This process among those of the run."""

    rank: int
    processes: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0

    def pieces(self, rows: int, count: int) -> list[range]:
        """The rows of a batch that are this process's, in ``count`` pieces of equal size.

        Raises:
            TrainingError: the rows cannot be divided so.
        """
        parts = self.processes * count
        if rows % parts:
            below, above = rows // parts * parts, -(-rows // parts) * parts
            fitting = f"{below} or {above}" if below else f"{above}"
            raise TrainingError(
                f"batch_size {rows} is of all processes together and not divisible by "
                f"{self.processes} processes x accumulate {count} = {parts}: make it {fitting}"
            )
        size = rows // parts
        return [range(i * size, (i + 1) * size) for i in range(self.rank * count, parts)][:count]

    def sum(self, values: Tensor) -> Tensor:
        """Elementwise sum over all processes; every one of them must call it."""
        if self.processes > 1:
            values = values.detach().clone()
            dist.all_reduce(values)
        return values


def restarts() -> bool:
    """Whether torchrun started this process, so that it may be one of its restarts."""
    return "TORCHELASTIC_RUN_ID" in os.environ


@contextlib.contextmanager
def joined() -> Iterator[Process]:
    """Join torchrun's processes, if any."""
    count, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if count == 1:
        yield Process(0, 1, device)
        return
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        yield Process(dist.get_rank(), count, device)
    finally:
        dist.destroy_process_group()
