"""Process recordings in several processes, past files that crash a decoder."""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

import torch

from vocoder.corpus.processing import Outcome, PreparationConfig, Refusal, Task, process


def outcomes(
    tasks: Sequence[Task], settings: PreparationConfig, *, jobs: int
) -> Iterator[tuple[int, Outcome]]:
    """Yield the index and outcome of each task as it is done, in any order.

    A recording that kills its process (a fault in a decoder, no memory left) is refused.
    """
    if jobs == 1 or len(tasks) < 2:
        for index, task in enumerate(tasks):
            yield index, process(task, settings)
        return
    waiting = list(range(len(tasks)))[::-1]
    while waiting:
        suspects: list[int] = []
        yield from _pool(tasks, settings, jobs, waiting, suspects)
        # One of those under way killed its process: each by itself shows which.
        for suspect in suspects:
            guilty: list[int] = []
            yield from _pool(tasks, settings, 1, [suspect], guilty)
            if guilty:
                detail = "reading it ended the process: damaged, or too large for the memory"
                yield suspect, Outcome(None, refusal=Refusal("unreadable", detail), redone=True)


def _pool(
    tasks: Sequence[Task],
    settings: PreparationConfig,
    jobs: int,
    waiting: list[int],
    suspects: list[int],
) -> Iterator[tuple[int, Outcome]]:
    """Do ``waiting`` from its end; a crash leaves what was under way in ``suspects``."""
    under_way: dict[Future[Outcome], int] = {}
    context = _context()
    executor = ProcessPoolExecutor(jobs, context, torch.set_num_threads, (1,))
    try:
        while waiting or under_way:
            while waiting and len(under_way) < 2 * jobs:
                under_way[executor.submit(process, tasks[waiting[-1]], settings)] = waiting[-1]
                waiting.pop()
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                outcome = future.result()
                yield under_way.pop(future), outcome
    except BrokenProcessPool:
        suspects += sorted(under_way.values())
    finally:
        executor.shutdown(cancel_futures=True)


def _context() -> multiprocessing.context.BaseContext:
    """Never a plain fork: the parent may hold threads and locks of torch."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # Imported once in the fork server rather than in each process.
    context.set_forkserver_preload(["vocoder.corpus.processing"])
    return context
