"""Speed of a running batch with one chunk at a time, and with several chunks in flight.

It times what the scheduler does apart from scheduling itself: gather the conditioning row by row,
generate the chunk and copy its audio to the host.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from vocoder.bench.equality import Row, engine_on
from vocoder.bench.subject import Subject, device_of, on_device, random_conditioning
from vocoder.generation import dispatch
from vocoder.generation.dispatch import Engine
from vocoder.scheduling.batch import Batch
from vocoder.scheduling.segment import Segment
from vocoder.scheduling.stream import StepInput
from vocoder.wavenet.model import WaveNet


def in_flight(
    name: str,
    device: torch.device,
    weights: str,
    streams: tuple[int, ...],
    steps: int,
    chunks: int,
) -> list[Row]:
    """Time per sample of all streams, in one chunk at a time and split over chunks in flight.

    Args:
        name: name of a preset.
        device: device of the engine.
        weights: number format of the weights.
        streams: numbers of streams to measure; a single stream cannot be split.
        steps: samples per chunk, rounded down to whole blocks.
        chunks: number of chunks to time.
    """
    subject = Subject.from_preset(name)
    engine = engine_on(subject, device, weights)
    concurrency = dispatch.max_concurrency(engine, threads=max(streams))
    rows: list[Row] = []
    for count in streams:
        row: dict[str, Any] = {"preset": name, "weights": weights, "streams": count}
        one = step_s(subject.model, engine, count, steps, chunks, concurrency=1)
        row["one_after_another_us"] = 1e6 * one
        if 1 < concurrency <= count:
            several = step_s(subject.model, engine, count, steps, chunks, concurrency=concurrency)
            row |= {"in_flight": concurrency, "in_flight_us": 1e6 * several, "gain": one / several}
        rows.append(row)
    return rows


@torch.no_grad()
def step_s(
    model: WaveNet, engine: Engine, streams: int, steps: int, chunks: int, *, concurrency: int
) -> float:
    """Time per sample of all streams, split evenly over ``concurrency`` chunks in flight."""
    hold, device = model.config.hold, device_of(engine)
    blocks = max(1, steps // hold)
    conditioning = on_device(device, random_conditioning(model, 1, blocks * hold))
    segment = Segment(conditioning, np.zeros((model.config.features.n_mels, 0), dtype=np.float32))
    taken = StepInput([], [(segment, 0, blocks)], False)
    batch = Batch(engine, streams, hold)
    shares = [range(i, streams, concurrency) for i in range(concurrency)]

    def advance(rows: range, chunks: int) -> None:
        for _ in range(chunks):
            batch.advance(rows, [None] * len(rows), [taken] * len(rows), blocks)

    with ThreadPoolExecutor(concurrency) as pool:

        def together(chunks: int) -> float:
            began = time.perf_counter()
            for share in [pool.submit(advance, rows, chunks) for rows in shares]:
                share.result()
            return time.perf_counter() - began

        together(1)  # Compile the kernel and allocate memory.
        return together(chunks) / (chunks * blocks * hold)
