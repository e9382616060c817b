"""The processes of a run: one, or those started by torchrun on one or more machines."""

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

SYNC_TIMEOUT = timedelta(hours=2)
"""How long processes wait for the main one's samples; torchrun notices a dead process itself."""

JOIN_TIMEOUT = timedelta(minutes=10)
"""How long processes wait for each other at the start."""


class Process(NamedTuple):
    """This process and its place in the run."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and logs."""
        return self.rank == 0

    def micro_batches(self, rows: int, count: int) -> list[range]:
        """This process's rows of a batch, in ``count`` micro-batches of equal size.

        Raises:
            TrainingError: the rows cannot be divided evenly.
        """
        parts = self.world_size * count
        if rows % parts:
            below, above = rows // parts * parts, -(-rows // parts) * parts
            fitting = f"{below} or {above}" if below else f"{above}"
            raise TrainingError(
                f"batch_size {rows}, over all processes, is not divisible by {self.world_size} "
                f"processes x accumulate {count} = {parts}: make it {fitting}"
            )
        size = rows // parts
        return [range(i * size, (i + 1) * size) for i in range(self.rank * count, parts)][:count]

    def sum(self, values: Tensor) -> Tensor:
        """Elementwise sum over all processes; all of them must call it."""
        if self.world_size > 1:
            values = values.detach().clone()
            dist.all_reduce(values)
        return values


def under_torchrun() -> bool:
    """Whether torchrun started this process, possibly as a restart."""
    return "TORCHELASTIC_RUN_ID" in os.environ


@contextlib.contextmanager
def process_group() -> Iterator[Process]:
    """Join the process group of torchrun, if any."""
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
        "nccl" if cuda else "gloo", timeout=SYNC_TIMEOUT, store=store, rank=rank, world_size=count
    )
    try:
        yield Process(dist.get_rank(), count, device)
    finally:
        dist.destroy_process_group()


def _store(count: int) -> Store:
    """A store for this attempt, in which the processes exchange addresses.

    torchrun's agent keeps one store across restarts, so new processes would find the addresses of
    dead ones (pytorch issue 135712), and its restart count differs between machines. So the main
    process picks a name for the attempt and sends it to each other process in reply to a token that
    the other has just generated.
    """
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    shared = TCPStore(address, port, count, is_master=False, timeout=JOIN_TIMEOUT)
    rank = int(os.environ["RANK"])
    if rank:
        token = uuid.uuid4().hex
        shared.set(f"token/{rank}", token)
        attempt = shared.get(f"reply/{token}").decode()
        shared.set(f"{attempt}/{rank}", "joined")
        return PrefixStore(attempt, shared)
    attempt, deadline = uuid.uuid4().hex, time.monotonic() + JOIN_TIMEOUT.total_seconds()
    missing = set(range(1, count))
    while missing:
        if time.monotonic() > deadline:
            raise TrainingError(f"process {min(missing)} of {count} did not join in time")
        for other in sorted(missing):
            if shared.check([f"token/{other}"]):  # possibly left from an earlier attempt
                shared.set(f"reply/{shared.get(f'token/{other}').decode()}", attempt)
            if shared.check([f"{attempt}/{other}"]):
                missing.discard(other)
        time.sleep(0.02)
    return PrefixStore(attempt, shared)
