"""Check a run before it starts: corpus, memory, speed, estimated finish and advice."""

import datetime
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile

from vocoder.corpus.health import corpus_lines
from vocoder.corpus.shards import open_corpus
from vocoder.machine import processors
from vocoder.training import checkpoint, loop
from vocoder.training.config import ImageTraining, Trained, VocoderTraining
from vocoder.training.data.images import Images
from vocoder.training.data.prefetch import Prefetch
from vocoder.training.log import RunLog
from vocoder.training.process import Process, process_group
from vocoder.training.stages import STAGES, Activations

STEPS, TABLE_ROWS = 5, 20
MIN_SPEEDUP = 1.1
"""Smallest speedup worth recommending."""


class Speed(NamedTuple):
    """Measurements over a few training steps.

    Attributes:
        step_s: median time of a step in seconds.
        audio_rate: seconds of audio per second, over all processes.
        shares: fraction of a step's time in each stage.
        activations: bytes that the forward pass of one micro-batch keeps for the backward pass.
        parameters: number of parameters of the model.
        table: profile of the slowest operations, if requested.
    """

    step_s: float
    audio_rate: float
    shares: dict[str, float]
    activations: int
    parameters: int
    table: str


def check(config: Trained, *, profile: bool = False) -> Iterator[str]:
    """Yield the lines of a report. It runs a few training steps, discards them and writes nothing.

    Under torchrun all processes take part and the main process reports.

    Raises:
        UserError: anything that would stop the run at its start.
    """
    with process_group() as process:
        report = _report(config, process, profile)
        yield from (line for line in report if process.is_main)


def _report(config: Trained, process: Process, profiled: bool) -> Iterator[str]:
    if isinstance(config, ImageTraining):
        yield from Images(config, "train").lines()
    else:
        yield from corpus_lines(open_corpus(config.corpus, config.shards))
    speed = measure(config, process, profiled=profiled)
    yield from _memory(config, process, speed)
    shares = ", ".join(f"{name} {share:.0%}" for name, share in speed.shares.items())
    yield (
        f"speed: {speed.audio_rate:.2f} {config.unit} per second, {speed.step_s:.3f} s per step "
        f"({shares})"
    )
    yield _finish(config, speed)
    yield from _advice(config, process, speed)
    if speed.table:
        yield speed.table


def measure(config: Trained, process: Process, *, profiled: bool = False) -> Speed:
    """Time a few training steps after a warm-up step."""
    config = config.model_copy(update={"steps": max(config.steps, 2 * STEPS)})
    run = loop.prepare_run(config, process)
    run.log = RunLog(run.folder, is_main=False)
    parameters = list(run.task.model.parameters())
    kept = Activations(list(parameters))
    batch = run.task.batch(0, run.micro_batches[0])
    with kept.counted():
        run.task.objective(type(batch)(*(part.to(process.device) for part in batch)))
    if process.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(process.device)
    table, times = "", []
    with run.batches(0) as batches:
        run.step(0, batches)
        run.stages.seconds = dict.fromkeys(STAGES, 0.0)
        run.stages.exact = True
        for step in range(1, 1 + STEPS):
            began = time.perf_counter()
            run.step(step, batches)
            times.append(time.perf_counter() - began)
        shares = {name: spent / sum(times) for name, spent in run.stages.seconds.items()}
        if profiled:
            table = _table(run, batches)
    step_s = sorted(times)[STEPS // 2]
    return Speed(
        step_s=step_s,
        audio_rate=run.log.pace["audio_rate"] * run.log.pace["step_ms"] / 1e3 / step_s,
        shares=shares,
        activations=kept.bytes,
        parameters=sum(p.numel() for p in parameters),
        table=table,
    )


def _table(run: loop.Run, batches: Prefetch[list[Any]]) -> str:
    activities = [ProfilerActivity.CPU]
    cuda = run.process.device.type == "cuda"
    if cuda:
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities, acc_events=True) as profiler:
        for step in range(1 + STEPS, 3 + STEPS):
            run.step(step, batches)
    order = "self_device_time_total" if cuda else "self_cpu_time_total"
    table: str = profiler.key_averages().table(sort_by=order, row_limit=TABLE_ROWS)
    return table


def _memory(config: Trained, process: Process, speed: Speed) -> Iterator[str]:
    weights = 4 * speed.parameters
    batch = (
        f"of one of {config.accumulate} micro-batches" if config.accumulate > 1 else "of a batch"
    )
    # Adam keeps two moments; the moving average is one more copy.
    yield (
        f"memory: {speed.parameters:,} parameters; weights {_size(weights)}, gradients "
        f"{_size(weights)}, optimiser {_size(2 * weights)}, average {_size(weights)}, activations "
        f"{batch} {_size(speed.activations)}"
    )
    if process.device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(process.device)
        whole = torch.cuda.get_device_properties(process.device).total_memory
        yield f"memory: peak of {_size(peak)} out of the GPU's {_size(whole)}"


def _size(count: float) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _finish(config: Trained, speed: Speed) -> str:
    done = checkpoint.steps_done(Path(config.output))
    left = max(0, config.steps - done)
    seconds = left * speed.step_s
    at = datetime.datetime.now().astimezone() + datetime.timedelta(seconds=seconds)
    steps = f"{left:,} steps after the checkpoint" if done else f"{left:,} steps"
    return (
        f"finish: {steps} take {seconds / 3600:.2f} hours, not counting validation and samples; "
        f"started now, the run would end at {at:%Y-%m-%d %H:%M}"
    )


def _advice(config: Trained, process: Process, speed: Speed) -> Iterator[str]:
    """Yield the results of other settings, and suggestions."""
    trials: dict[str, dict[str, object]] = {
        f"batch_size = {2 * config.batch_size}": {"batch_size": 2 * config.batch_size}
    }
    if config.precision == "fp32":
        trials['precision = "bf16"'] = {"precision": "bf16"}
    if isinstance(config, VocoderTraining) and config.checkpoint_activations:
        trials["checkpoint_activations = false"] = {"checkpoint_activations": False}
    for name, changes in trials.items():
        rate = measure(config.model_copy(update=changes), process).audio_rate
        verdict = "" if rate >= MIN_SPEEDUP * speed.audio_rate else ": not worth it"
        yield f"tried: {name} gives {rate / speed.audio_rate:.2f} times the audio rate{verdict}"
    if isinstance(config, VocoderTraining) and not config.compile and shutil.which("c++"):
        yield "not tried: compile = true, which takes a few minutes to start"
    if speed.shares["data"] > 0.1:
        yield (
            f"advice: {speed.shares['data']:.0%} of a step is spent waiting for data; raise "
            f"loader_threads (now {config.loader_threads}) or use a faster disk for the corpus"
        )
    cores = processors()
    if process.device.type == "cpu" and torch.get_num_threads() < cores:
        yield (
            f"advice: only {torch.get_num_threads()} threads on {cores} cores; raise "
            "OMP_NUM_THREADS"
        )
