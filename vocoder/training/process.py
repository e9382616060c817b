"""The processes of a run: one, or those that torchrun started on one machine or several."""

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

from vocoder.errors import TrainingError

PATIENCE = timedelta(hours=2)
"""How long processes wait for the leader's samples. One that died torchrun notices at once."""

JOINING = timedelta(minutes=10)
"""How long processes wait for each other at the start."""


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
    store = _store(count) if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True" else None
    rank = int(os.environ["RANK"])
    dist.init_process_group(
        "nccl" if cuda else "gloo", timeout=PATIENCE, store=store, rank=rank, world_size=count
    )
    try:
        yield Process(dist.get_rank(), count, device)
    finally:
        dist.destroy_process_group()


def _store(count: int) -> Store:
    """Where the processes exchange addresses, empty of those of an earlier attempt.

    torchrun's agent keeps one store over all restarts, in which new processes would find the
    addresses of dead ones (pytorch issue 135712); its count of restarts differs between machines.
    So the leader names the attempt, and tells each of the others in answer to a word it just made
    up.
    """
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    shared = TCPStore(address, port, count, is_master=False, timeout=JOINING)
    rank = int(os.environ["RANK"])
    if rank:
        word = uuid.uuid4().hex
        shared.set(f"word/{rank}", word)
        attempt = shared.get(f"answer/{word}").decode()
        shared.set(f"{attempt}/{rank}", "heard")
        return PrefixStore(attempt, shared)
    attempt, deadline = uuid.uuid4().hex, time.monotonic() + JOINING.total_seconds()
    missing = set(range(1, count))
    while missing:
        if time.monotonic() > deadline:
            raise TrainingError(f"process {min(missing)} of {count} did not come")
        for other in sorted(missing):
            if shared.check([f"word/{other}"]):  # perhaps still that of an earlier attempt
                shared.set(f"answer/{shared.get(f'word/{other}').decode()}", attempt)
            if shared.check([f"{attempt}/{other}"]):
                missing.discard(other)
        time.sleep(0.02)
    return PrefixStore(attempt, shared)
