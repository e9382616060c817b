"""Process recordings in parallel, surviving files that crash a decoder."""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

import torch

from vocoder.corpus.processing import Outcome, Refusal, Task, process
from vocoder.corpus.settings import PreparationConfig


def outcomes(
    tasks: Sequence[Task], settings: PreparationConfig, *, jobs: int
) -> Iterator[tuple[int, Outcome]]:
    """Yield the index and outcome of each task when it is done, in any order.

    A recording that kills its worker process (a decoder bug, out of memory) is rejected.
    """
    if jobs == 1 or len(tasks) < 2:
        for index, task in enumerate(tasks):
            yield index, process(task, settings)
        return
    waiting = list(range(len(tasks)))[::-1]
    while waiting:
        suspects: list[int] = []
        yield from _pool(tasks, settings, jobs, waiting, suspects)
        # One of the running tasks killed its process. Run each alone to find out which.
        for suspect in suspects:
            guilty: list[int] = []
            yield from _pool(tasks, settings, 1, [suspect], guilty)
            if guilty:
                detail = "decoding it crashed the process: damaged, or too large for memory"
                yield suspect, Outcome(None, refusal=Refusal("unreadable", detail), redone=True)


def _pool(
    tasks: Sequence[Task],
    settings: PreparationConfig,
    jobs: int,
    waiting: list[int],
    suspects: list[int],
) -> Iterator[tuple[int, Outcome]]:
    """Process ``waiting`` from its end; after a crash the running tasks are in ``suspects``."""
    running: dict[Future[Outcome], int] = {}
    context = _context()
    executor = ProcessPoolExecutor(jobs, context, torch.set_num_threads, (1,))
    try:
        while waiting or running:
            while waiting and len(running) < 2 * jobs:
                running[executor.submit(process, tasks[waiting[-1]], settings)] = waiting[-1]
                waiting.pop()
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                outcome = future.result()
                yield running.pop(future), outcome
    except BrokenProcessPool:
        suspects += sorted(running.values())
    finally:
        executor.shutdown(cancel_futures=True)


def _context() -> multiprocessing.context.BaseContext:
    """A start method other than fork, because the parent may have threads and locks of torch."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # Import once in the fork server instead of in every process.
    context.set_forkserver_preload(["vocoder.corpus.processing"])
    return context
