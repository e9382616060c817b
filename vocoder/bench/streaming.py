"""Memory and time for preparing, sharding and streaming a corpus, by number of files.

``python -m vocoder.bench.streaming --files 1000 --files 100000 --folder DIR --results OUT.json``
writes short files of speech-like sound into the folder and runs ``vocoder prepare``, ``vocoder
shard``, one epoch of streaming and ``vocoder train`` on them. Files of an earlier run are reused.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import soundfile
import typer
from pydantic import Field

from vocoder import files
from vocoder.config import StrictModel
from vocoder.corpus.shards import ShardedCorpus, ShardSettings
from vocoder.presets import preset
from vocoder.training.data.segments import Segments
from vocoder.training.data.shard_order import StreamOrder

RATE_HZ, SECONDS, SPEAKERS, VARIANTS = 16000, 0.55, 10, 64
SKIPPED_STEPS, BATCH_SIZE, SEGMENT_FRAMES, SHUFFLE = 10, 4, 20, 4
DRAIN = "from vocoder.bench.streaming import drain; drain({!r})"

RUN = """name = "streaming"
corpus = "{corpus}"
output = "{output}"
steps = {steps}
batch_size = {batch_size}
segment_frames = {segment_frames}
warm_up_steps = 0
log_every = 1
checkpoint_every = {steps}
validate_every = {steps}
validation_clips = 4

[shards]
shuffle = {shuffle}

[model]
preset = "tiny"
"""


class Stage(StrictModel):
    """The measurement of one command on one corpus."""

    command: str = Field(description="prepare, shard, stream (one epoch) or train")
    files: int = Field(description="number of recordings in the corpus")
    seconds: float = Field(description="total time")
    peak_mb: float = Field(description="peak memory of the process, in 1,000,000 bytes")
    batch_ms: float | None = Field(None, description="median CPU time to draw a batch")
    step_ms: float | None = Field(None, description="median time of a training step")
    loader_share: float | None = Field(
        None, description="mean fraction of a step spent waiting for data"
    )

    def line(self) -> str:
        """The measurement as one line of text."""
        text = f"{self.command:<8} {self.files:>8,} files {self.seconds:>8.1f} s"
        text += f" {self.peak_mb:>8.0f} MB"
        if self.batch_ms is not None:
            text += f"  {self.batch_ms:.2f} ms per batch of {BATCH_SIZE}"
        if self.step_ms is not None and self.loader_share is not None:
            text += f"  {self.step_ms:.1f} ms per step, {self.loader_share:.1%} waiting for data"
        return text


def measure(folder: Path, count: int, *, steps: int, megabytes: int = 64) -> Iterator[Stage]:
    """Run all stages on a corpus of ``count`` files, each in its own process."""
    home = folder / str(count)
    recordings, prepared, shards, run = (home / n for n in ("wav", "corpus", "shards", "run"))
    write_recordings(recordings, count)
    shutil.rmtree(run, ignore_errors=True)
    config = home / "run.toml"
    settings = {"steps": steps, "batch_size": BATCH_SIZE, "segment_frames": SEGMENT_FRAMES}
    files.write_text(config, RUN.format(corpus=shards, output=run, shuffle=SHUFFLE, **settings))
    command = ["-m", "vocoder"]
    packing = ["shard", str(prepared), "-o", str(shards), "--mb", str(megabytes)]
    yield stage(count, [*command, "prepare", str(recordings), "-o", str(prepared), "--jobs", "1"])
    yield stage(count, [*command, *packing])
    yield stage(count, ["-c", DRAIN.format(str(shards)), "stream"])
    trained = stage(count, [*command, "train", str(config)])
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    steady = [line for line in lines if line["event"] == "training"][SKIPPED_STEPS:]
    yield trained.model_copy(
        update={
            "step_ms": statistics.median(line["step_ms"] for line in steady),
            "loader_share": statistics.fmean(line["loader_share"] for line in steady),
        }
    )


def write_recordings(folder: Path, count: int) -> None:
    """Write ``count`` files with syllables of harmonics, divided among several speakers."""
    generator = np.random.default_rng(0)
    at = np.arange(round(RATE_HZ * SECONDS)) / RATE_HZ
    sounds = []
    for variant in range(VARIANTS):
        phases = generator.uniform(0, 2 * np.pi, 12)
        voice = sum(
            np.sin(2 * np.pi * (90 + 3 * variant) * k * at + phases[k]) / k for k in range(1, 12)
        )
        sounds.append(0.1 * voice * (0.4 + 0.6 * np.abs(np.sin(5 * np.pi * at + variant))))
    for number in range(count):
        path = folder / f"s{number % SPEAKERS}" / f"u{number:06d}.wav"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = 1e-3 * np.random.default_rng(number).standard_normal(len(at))
            sound = np.roll(sounds[number % VARIANTS], number * 37) + noise
            soundfile.write(path, sound.astype(np.float32), RATE_HZ, subtype="PCM_16")


def streamed(shards: str) -> tuple[Segments, int]:
    """Segments as training draws them, and the number of steps per epoch."""
    corpus = ShardedCorpus(shards, ShardSettings(shuffle=SHUFFLE))
    order = StreamOrder(
        corpus,
        "train",
        segment_frames=SEGMENT_FRAMES,
        batch_size=BATCH_SIZE,
        seed=0,
        aligned=False,
    )
    model = preset("tiny").model_copy(update={"speakers": corpus.speakers})
    segments = Segments(corpus, "train", model, SEGMENT_FRAMES, 0, order)
    return segments, order.rows // BATCH_SIZE


def drain(shards: str) -> None:
    """Draw one epoch without a model; print the median time per batch in ms."""
    segments, steps = streamed(shards)
    times = []
    for step in range(steps):
        began = time.process_time()
        segments.batch(step, range(BATCH_SIZE))
        times.append(time.process_time() - began)
    print(1000 * statistics.median(times))


def stage(count: int, arguments: list[str]) -> Stage:
    """Run and measure a Python process; its third argument names the stage."""
    command = arguments[2]
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode:
        raise RuntimeError(f"{command} exited with status {process.returncode}:\n{output}")
    seconds = time.perf_counter() - began
    return Stage(
        command=command,
        files=count,
        seconds=round(seconds, 1),
        peak_mb=round(usage.ru_maxrss * 1024 / 1e6, 1),
        batch_ms=float(output.split()[-1]) if command == "stream" else None,
    )


def main(
    folder: Annotated[Path, typer.Option(help="Folder for the corpora.")],
    counts: Annotated[list[int], typer.Option("--files", help="Number of files; repeatable.")],
    results: Annotated[Path | None, typer.Option(metavar="OUT.json")] = None,
    steps: Annotated[int, typer.Option(min=SKIPPED_STEPS + 1)] = 60,
) -> None:
    """Measure one corpus after another."""
    stages = []
    for count in counts:
        for measured in measure(folder, count, steps=steps):
            print(measured.line(), flush=True)
            stages.append(measured)
    if results:
        dump = [measured.model_dump() for measured in stages]
        files.write_text(results, json.dumps(dump, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
