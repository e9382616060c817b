"""The page of benchmarks: every preset, engine and format, error beside speed, and the machine."""

import contextlib
import datetime
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from vocoder import files
from vocoder.bench import machine, peer
from vocoder.bench.speed import Speed, measure_engine, torch_threads
from vocoder.bench.subject import CHECKED_SAMPLES, Subject
from vocoder.config import ModelConfig
from vocoder.generation import dispatch
from vocoder.generation.cpu import CpuEngine
from vocoder.generation.reference import ReferenceEngine
from vocoder.native.library import INSTRUCTIONS_VARIABLE
from vocoder.presets import PRESETS, preset
from vocoder.progress import track
from vocoder.synthesis.synthesizer import CHUNK_FRAMES

CPU, REFERENCE = CpuEngine.name, ReferenceEngine.name
FORMAT_BYTES = {"fp32": 4, "bf16": 2, "int8": 1}


class Case(NamedTuple):
    """One thing to measure; ``instructions`` is the best set where None."""

    preset: str
    engine: str = CPU
    weights: str = "fp32"
    streams: int = 1
    threads: int = 1
    instructions: str | None = None
    beside_peer: bool = False


class Table(NamedTuple):
    """Cases that are read side by side."""

    title: str
    text: str
    cases: tuple[Case, ...]


def default_tables() -> list[Table]:
    """What the page has on this machine.

    Raises:
        EngineError: the native library is missing.
    """
    cores, sets = machine.cores(), machine.instruction_sets()
    formats = [(REFERENCE, "fp32"), *((CPU, name) for name in FORMAT_BYTES)]
    many = [(1, streams) for streams in (1, 4, 8, 16)]
    if cores > 1:
        many += [(cores, 2 * streams) for _, streams in many]
    tables = [
        Table(
            "One stream, one thread",
            "",
            tuple(Case(name, *chosen) for name in PRESETS for chosen in formats),
        ),
        Table(
            "Instruction sets",
            f"The {CPU} engine where `{INSTRUCTIONS_VARIABLE}` names the instruction set.",
            tuple(
                Case("standard", CPU, weights, instructions=name)
                for name in sets
                for weights in ("fp32", "bf16")
            ),
        ),
        Table(
            "Many streams",
            "Up to 16 rows share each read of the weights; the threads share out the rows.",
            tuple(
                Case(name, CPU, weights, streams, threads)
                for name in ("standard", "small")
                for weights in ("bf16", "int8")
                for threads, streams in many
            ),
        ),
    ]
    if peer.installed():
        tables.append(
            Table(
                "Beside a peer",
                f"The PyPI package {peer.PEER}, `incremental_forward` at the same shape in fp32, "
                "in turn with the engine: a chunk of one, a chunk of the other. The last column "
                "is the median ratio of their speeds.",
                tuple(
                    Case(name, CPU, weights, beside_peer=True)
                    for name in ("small", "standard")
                    for weights in ("fp32", "bf16")
                ),
            )
        )
    return tables


def write_page(
    path: Path, *, seconds: float, command: str, tables: Sequence[Table] | None = None
) -> None:
    """Measure every case and write the page, in Markdown, atomically.

    Args:
        path: of the page.
        seconds: least time of each measurement.
        command: that makes the page, to stand on it.
        tables: what to measure; :func:`default_tables` where None.

    Raises:
        UserError: an engine, format or peer that a case needs is not to be had.
    """
    tables = default_tables() if tables is None else tables
    about = machine.describe()
    subjects: dict[str, Subject] = {}
    results: dict[Case, list[Speed]] = {}
    # A case of two tables is measured once.
    cases = dict.fromkeys(case for table in tables for case in table.cases)
    for case in track(cases, "measuring", len(cases)):
        if case.preset not in subjects:
            subjects[case.preset] = Subject.of(case.preset)
        results[case] = _measure(case, subjects[case.preset], seconds)
    parts = [
        "# Benchmarks",
        f"Made by `{command}` on {datetime.date.today().isoformat()}.",
        _markdown(["machine", ""], [[name, text] for name, text in about.items()]),
        _reading(seconds),
        "## Limits",
        _limits(list(subjects)),
    ]
    for table in tables:
        speeds = [speed for case in table.cases for speed in results[case]]
        parts += [f"## {table.title}", *([table.text] if table.text else []), _speeds(speeds)]
    if not peer.installed():
        parts += ["## Beside a peer", f"Not measured: `pip install {peer.PEER}` adds it."]
    files.write_text(path, "\n\n".join(parts) + "\n")


def multiply_adds(config: ModelConfig) -> int:
    """Multiply-adds of one sample: every matrix of the step.

    A one-hot input is looked up, conditioning is projected once a hold, and context stacks take
    their step once a window: none of it is counted.
    """
    stack, outputs = config.stack, config.distribution.parameters
    gated = stack.gate_channels // 2
    layer = stack.gate_channels * stack.kernel_size * stack.residual_channels
    layers = stack.layers * (layer + gated * stack.skip_channels)
    residual = (stack.layers - 1) * gated * stack.residual_channels
    output = stack.skip_channels * (stack.skip_channels + outputs)
    if config.distribution.kind == "mu_law":
        return layers + residual + output
    channels = 3 if config.linear_prediction else 1
    return layers + residual + output + stack.kernel_size * channels * stack.residual_channels


def _measure(case: Case, subject: Subject, seconds: float) -> list[Speed]:
    # Not dispatch.create: a log line for each case would run through the progress.
    with _instructions(case.instructions), torch_threads(case.threads):
        chosen = dispatch.choose(subject.model.config, torch.device("cpu"), case.engine).engine
        engine = chosen(subject.model, weights=case.weights, threads=case.threads)
    if case.beside_peer:
        measured = peer.measure_beside_peer(subject, engine, threads=case.threads, seconds=seconds)
        return list(measured)
    return [
        measure_engine(subject, engine, streams=case.streams, threads=case.threads, seconds=seconds)
    ]


@contextlib.contextmanager
def _instructions(name: str | None) -> Iterator[None]:
    """Have engines made meanwhile use that instruction set; the best, or the user's, where None."""
    before = os.environ.get(INSTRUCTIONS_VARIABLE)
    if name is not None:
        os.environ[INSTRUCTIONS_VARIABLE] = name
    try:
        yield
    finally:
        if before is not None:
            os.environ[INSTRUCTIONS_VARIABLE] = before
        else:
            os.environ.pop(INSTRUCTIONS_VARIABLE, None)


def _reading(seconds: float) -> str:
    return (
        f"Each row is at least {seconds:g} s of generation with random weights, in chunks of "
        f"{CHUNK_FRAMES} frames (the {REFERENCE} engine: one) after one that does not count; "
        "conditioning is made beforehand, noise is drawn. A step is one sample of every stream. "
        "*Best* is the fastest chunk: what the engine does where nothing else runs. *Error* is the "
        f"largest difference of a distribution parameter from the {REFERENCE} engine's over the "
        f"same {CHECKED_SAMPLES} samples of one stream; the {REFERENCE}'s own is from the parallel "
        "forward. "
        "GMAC/s are the multiply-adds below at the mean speed. *Weights read* is what "
        "reading each of those weights once a step for all streams comes to; the engine reads less "
        "where it works on the past of several samples at once, and more where threads or more "
        "than 16 rows make it read them again. *Packed* is all that the engine keeps: also the "
        "input's table and the conditioning's matrix, both fp32."
    )


def _limits(names: Sequence[str]) -> str:
    rows = []
    for name in names:
        config = preset(name)
        macs, rate = multiply_adds(config), config.features.sample_rate_hz
        sizes = (f"{macs * size / 1e6:.2f}" for size in FORMAT_BYTES.values())
        rows.append(
            [name, f"{macs / 1e6:.3f}", *sizes, f"{1e6 / rate:.1f}", f"{macs * rate / 1e9:.2f}"]
        )
    header = ["preset", "M multiply-adds a sample", *(f"{name}, MB" for name in FORMAT_BYTES)]
    return _markdown([*header, "µs a sample in real time", "GMAC/s in real time"], rows)


def _speeds(speeds: Sequence[Speed]) -> str:
    header = ["preset", "engine", "weights", "instructions", "streams", "threads", "samples/s"]
    header += ["µs/step, mean", "best", "x real time", "error", "GMAC/s", "weights read, GB/s"]
    header.append("packed, MB")
    beside_peer = any(speed.speedup_over_peer for speed in speeds)
    if beside_peer:
        header.append("x the peer")
    rows = []
    for speed in speeds:
        macs, error = multiply_adds(preset(speed.preset)), speed.max_error_against_reference
        steps_per_second = speed.samples_per_second / speed.streams
        read = macs * FORMAT_BYTES[speed.weights] * steps_per_second
        row = [speed.preset, speed.engine, speed.weights, speed.instructions]
        row += [str(speed.streams), str(speed.threads), f"{speed.samples_per_second:,.0f}"]
        row += [f"{speed.microseconds_per_step:.2f}", f"{speed.best_microseconds_per_step:.2f}"]
        row += [f"{speed.real_time_streams:.3f}", "" if error is None else f"{error:.1e}"]
        row += [f"{macs * speed.samples_per_second / 1e9:.2f}", f"{read / 1e9:.2f}"]
        row.append("" if speed.weight_bytes is None else f"{speed.weight_bytes / 1e6:.2f}")
        if beside_peer:
            ratio = speed.speedup_over_peer
            row.append("" if ratio is None else f"{ratio:.1f}")
        rows.append(row)
    return _markdown(header, rows)


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
