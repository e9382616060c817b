"""The job queue: its limits, and what happens to a job whose client is gone."""

import asyncio
import threading

import pytest

from vocoder.server.errors import Refusal
from vocoder.server.service.jobs import JobQueue, Stopped

PATIENCE_S = 10.0


class Job:
    """A job that runs until the test lets it end, or until it is stopped."""

    def __init__(self) -> None:
        self.running, self.may_end, self.stopped = (threading.Event() for _ in range(3))

    def __call__(self, stop: threading.Event) -> str:
        self.running.set()
        while not self.may_end.wait(0.002):
            if stop.is_set():
                self.stopped.set()
                raise Stopped
        return "done"


async def started(job: Job) -> None:
    assert await asyncio.to_thread(job.running.wait, PATIENCE_S)


def test_jobs_run_and_wait_up_to_the_limits() -> None:
    async def scenario() -> None:
        queue = JobQueue(concurrent=1, waiting=1, retry_after_s=7)
        jobs = [Job(), Job()]
        tasks = [asyncio.create_task(queue.run(job)) for job in jobs]
        await started(jobs[0])
        with pytest.raises(Refusal, match="2 requests are running or waiting") as refused:
            await queue.run(Job())
        assert refused.value.status_code == 503
        assert refused.value.headers == {"retry-after": "7"}
        assert not jobs[1].running.is_set()
        for job in jobs:
            job.may_end.set()
        assert await asyncio.gather(*tasks) == ["done", "done"]
        jobs[0].running.clear()
        assert await queue.run(jobs[0]) == "done"

    asyncio.run(scenario())


def test_a_cancelled_job_keeps_its_place_until_it_returns() -> None:
    async def scenario() -> None:
        queue = JobQueue(concurrent=1, waiting=0, retry_after_s=1)
        release = threading.Event()

        def deaf(stop: threading.Event) -> None:
            """Does not check the event."""
            assert release.wait(PATIENCE_S)

        task = asyncio.create_task(queue.run(deaf))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with pytest.raises(Refusal):
            await queue.run(Job())
        release.set()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                job = Job()
                job.may_end.set()
                try:
                    assert await queue.run(job) == "done"
                except Refusal:
                    await asyncio.sleep(0.002)
                else:
                    return

    asyncio.run(scenario())


def test_cancelled_jobs_are_stopped_or_never_start() -> None:
    async def scenario() -> None:
        queue = JobQueue(concurrent=1, waiting=1, retry_after_s=1)
        jobs = [Job(), Job()]
        tasks = [asyncio.create_task(queue.run(job)) for job in jobs]
        await started(jobs[0])
        tasks[1].cancel()
        await asyncio.gather(tasks[1], return_exceptions=True)
        tasks[0].cancel()
        assert await asyncio.to_thread(jobs[0].stopped.wait, PATIENCE_S)
        last = Job()
        last.may_end.set()
        assert await queue.run(last) == "done"
        assert not jobs[1].running.is_set()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(scenario())
