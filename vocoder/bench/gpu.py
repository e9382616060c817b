"""Correctness and speed of the GPU engine, in one run of a few minutes.

    python -m vocoder.bench.gpu --results docs/gpu.json
    python -m vocoder.bench.gpu --peer ./nv_wavenet_perf    compare with NVIDIA's nv-wavenet

Correctness: distribution parameters at the presets' real shapes against the parallel forward in
float64, with uninitialised memory filled with NaN; rows that join and leave a batch against the
same rows alone. Speed: many streams at once, as a fraction of a lower bound, the time in which the
same number of programs only read the same weights; the time to first audio from features; and a
running batch with one chunk at a time against two in flight.

``TRITON_INTERPRET=1 --device cpu --quick`` runs everything on a small shape without a GPU; the
times are then meaningless.
"""

import argparse
import copy
import json
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from vocoder import tables
from vocoder.bench import machine
from vocoder.bench.equality import Row, engine_on, equality
from vocoder.bench.flight import in_flight
from vocoder.bench.subject import Subject, device_of, noise_of, on_device, random_conditioning
from vocoder.config import ModelConfig
from vocoder.errors import EngineError, UserError
from vocoder.generation.dispatch import Engine
from vocoder.machine import resolve
from vocoder.presets import preset

PRESETS: tuple[str, ...] = ("tiny", "small", "standard", "standard-context", "large")
STREAMS: tuple[int, ...] = (1, 16, 128, 1024)
FORMATS: tuple[str, ...] = ("fp32", "bf16", "fp16")
FIRST_FRAMES = 16
"""Frames of conditioning for the first audio."""

MOST_STEPS = 800
"""Samples per timed chunk."""

CHUNKS = 6
"""Chunks timed for a running batch."""


def speeds(
    name: str, device: torch.device, weights: str, streams: tuple[int, ...], steps: int
) -> list[Row]:
    """Samples per second of several numbers of streams, and the fraction of the lower bound."""
    subject = Subject.from_preset(name)
    engine = engine_on(subject, device, weights)
    rows: list[Row] = []
    for count in streams:
        step_s = _step_s(subject, engine, count, steps)
        floor_s = _floor_s(engine, count, steps)
        rows.append(
            {
                "preset": name,
                "weights": weights,
                "streams": count,
                "us_a_step": 1e6 * step_s,
                "samples_a_second": count / step_s,
                "real_time_streams": count / step_s / subject.model.config.features.sample_rate_hz,
                "real_time_24_khz": 1 / step_s / 24000,
                "floor_us": 1e6 * floor_s,
                "share_of_floor": floor_s / step_s,
            }
        )
    return rows


@torch.no_grad()
def _step_s(subject: Subject, engine: Engine, streams: int, steps: int) -> float:
    """Time per sample of all streams: the median over chunks copied to the host."""
    conditioning = on_device(
        device_of(engine), random_conditioning(subject.model, streams, MOST_STEPS)
    )
    noise = noise_of(streams, steps, device_of(engine))
    state, hold = engine.start(streams), subject.model.config.hold

    def once() -> float:
        window = conditioning._replace(first=state.position // hold)
        began = time.perf_counter()
        engine.generate(state, window, noise).cpu()
        return time.perf_counter() - began

    once()  # Compile the kernel.
    return sorted(once() for _ in range(5))[2] / steps


def _floor_s(engine: Engine, streams: int, steps: int) -> float:
    """Time in which the kernel's programs only read the weights once, as they do for each sample.

    The weights of context stacks, read once per window, are not counted.
    """
    from vocoder.generation.cuda import roofline
    from vocoder.generation.cuda.engine import TritonEngine

    assert isinstance(engine, TritonEngine)
    return roofline.seconds_per_step(engine.packed.weights, streams, steps)


@torch.inference_mode()
def first_audio(name: str, device: torch.device, steps: int) -> Row:
    """Time from features to the first samples on the host, for one stream."""
    subject = Subject.from_preset(name)
    engine, config = engine_on(subject, device, None), subject.model.config
    model = copy.deepcopy(subject.model).to(device)
    margin = config.conditioning.margin
    mel = torch.randn(1, config.features.n_mels, FIRST_FRAMES + 2 * margin) - 13
    speaker = torch.eye(len(config.speakers))[:1]
    noise = noise_of(1, steps, device)

    def once() -> float:
        began = time.perf_counter()
        conditioning = model.condition_margined(mel.to(device), speaker.to(device))
        engine.generate(engine.start(1), conditioning, noise).cpu()
        return time.perf_counter() - began

    once()
    times = sorted(once() for _ in range(9))
    return {"preset": name, "first_audio_ms": 1e3 * times[4], "worst_ms": 1e3 * times[-1]}


def peers(program: Path, config: ModelConfig, streams: tuple[int, ...]) -> Iterator[Row]:
    """Samples per second of nv-wavenet's own benchmark at the same shape, in its fastest mode."""
    stack = config.stack
    shape = {"l": stack.layers, "r": stack.residual_channels, "s": stack.skip_channels}
    shape |= {"a": 256, "d": max(stack.dilations), "n": 16384, "p": 16, "m": 0}
    options = [text for flag, value in shape.items() for text in (f"-{flag}", str(value))]
    for count in streams:
        best = 0.0
        for per_block in (1, 2, 4, 8, 16):
            if count % per_block:
                continue
            command = [str(program), *options, "-b", str(count), "-c", str(per_block)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            found = re.search(r"Sample rate: ([\d.]+) kHz", done.stdout)
            if found:
                best = max(best, 1e3 * float(found.group(1)))
        yield {"streams": count, "peer_samples_a_second": best * count, "peer_rate_hz": best}


def print_table(title: str, rows: list[Row]) -> None:
    """Print rows with the names of their columns."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_text(row.get(name, "")) for name in names] for row in rows]
    print(f"\n{title}\n{tables.plain(names, cells)}")


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main(arguments: list[str] | None = None) -> int:
    """Run all benchmarks; returns 0 if the engine is correct."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--device", default="cuda", help="cuda, or cpu with Triton's interpreter")
    parser.add_argument("--quick", action="store_true", help="measure a small shape only")
    parser.add_argument("--peer", type=Path, help="path of nv-wavenet's nv_wavenet_perf")
    parser.add_argument(
        "--results", type=Path, metavar="OUT.json", help="write all results to this file"
    )
    options = parser.parse_args(arguments)
    try:
        device = resolve(options.device)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    names, formats, streams, subject, steps = PRESETS, FORMATS, STREAMS, "standard", MOST_STEPS
    chunks = CHUNKS
    if options.quick:
        names, formats, streams, subject, steps = ("tiny",), ("bf16",), (1,), "tiny", 4
        chunks = 1
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
    fast = [weights for weights in formats if weights != "fp32"]
    results: dict[str, Any] = {"machine": _machine(device), "command": sys.argv}
    print(json.dumps(results["machine"], indent=1))
    parts: list[tuple[str, Callable[[], list[Row]]]] = [
        ("equality", lambda: equality(names, device, formats)),
        (
            "speed",
            lambda: [r for w in fast for r in speeds(subject, device, w, streams, steps)],
        ),
        (
            "in flight",
            lambda: [
                r for w in fast for r in in_flight(subject, device, w, streams, steps, chunks)
            ],
        ),
        ("first audio", lambda: [first_audio(subject, device, steps)]),
    ]
    if options.peer:
        parts.append(("peer", lambda: list(peers(options.peer, preset(subject), streams))))
    for title, part in parts:
        began = time.perf_counter()
        if title == "speed":
            torch.use_deterministic_algorithms(False)
        results[title] = part()
        print_table(f"{title} ({time.perf_counter() - began:.0f} s)", results[title])
        if options.results:
            options.results.write_text(json.dumps(results, indent=1) + "\n")
    return 0 if all(row.get("right", True) for row in results["equality"]) else 1


def _machine(device: torch.device) -> dict[str, str]:
    try:
        found = machine.describe()
    except EngineError:  # The native library is not needed here and may be missing.
        found = {"system": platform.platform(), "torch": torch.__version__}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found["GPU"] = (
            f"{properties.name}, {properties.multi_processor_count} multiprocessors, "
            f"{properties.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
        )
    return found


if __name__ == "__main__":
    sys.exit(main())
