"""Correctness of the GPU engine at the presets' real shapes."""

import copy
import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.bench.subject import (
    Subject,
    device_of,
    map_tensors,
    noise_of,
    on_device,
    random_conditioning,
    trace_parameters,
)
from vocoder.errors import UserError
from vocoder.generation import dispatch
from vocoder.generation.dispatch import Engine
from vocoder.generation.noise import Noise
from vocoder.wavenet.model import Signal

ENGINE = "triton"

TOLERANCE = {"fp32": 1e-3, "bf16": 2e-1, "fp16": 3e-2}
"""Largest error of a distribution parameter; with random weights they spread over about 4."""

JOINED_STEPS = 24
"""Samples generated between changes of the set of active rows."""

Row = dict[str, Any]


def equality(names: tuple[str, ...], device: torch.device, formats: tuple[str, ...]) -> list[Row]:
    """Compare every shape and format with float64 and with its tolerance."""
    rows: list[Row] = []
    for name in names:
        subject = Subject.from_preset(name)
        exact = _exact(subject)
        for weights in formats:
            try:
                engine = engine_on(subject, device, weights)
            except UserError as refusal:
                rows.append({"preset": name, "weights": weights, "refused": str(refusal)})
                continue
            found = trace_parameters(engine, subject.conditioning, subject.signal)
            error = float((found - exact).abs().max())
            alone = _rows_differ(subject, engine)
            rows.append(
                {
                    "preset": name,
                    "weights": weights,
                    "error": error,
                    "rows": alone,
                    "right": error < TOLERANCE[weights] and alone == 0.0,
                }
            )
    return rows


@torch.no_grad()
def _exact(subject: Subject) -> Tensor:
    """Parameters of the parallel forward in float64."""
    model = copy.deepcopy(subject.model).double()
    conditioning = map_tensors(
        subject.conditioning, lambda part: part.double() if part.is_floating_point() else part
    )
    samples, codes, *rest = subject.signal
    # Pad to whole blocks, as the network requires; later samples do not affect earlier ones.
    padding = (0, conditioning.blocks * model.config.hold - samples.shape[1])
    context = model.context(F.pad(subject.audio, padding))
    signal = Signal(
        F.pad(samples.double(), padding),
        None if codes is None else F.pad(codes, padding),
        *(F.pad(part.double(), padding, value=1.0) for part in rest),
    )
    return model.network(model.inputs(signal), conditioning, context)[:, : samples.shape[1]]


def engine_on(subject: Subject, device: torch.device, weights: str | None) -> Engine:
    """The GPU engine with the weights of a subject."""
    model = copy.deepcopy(subject.model).to(device)
    return dispatch.create(model, ENGINE, weights=weights)


@torch.no_grad()
def _rows_differ(subject: Subject, engine: Engine, rows: int = 19) -> float:
    """Largest difference between rows in a batch, joined at different times, and rows alone."""
    steps = JOINED_STEPS
    device, hop_length = device_of(engine), subject.model.config.features.hop_length
    conditioning = on_device(device, random_conditioning(subject.model, rows, hop_length))
    noise = noise_of(rows, steps, device)
    together, audio = engine.start(rows), torch.zeros(rows, 2 * steps, device=device)

    def advance(members: Tensor) -> None:
        start = together.position[members]
        index = start[:, None] + torch.arange(steps, device=device)
        window = map_tensors(conditioning, operator.itemgetter(members))
        draws = noise._replace(seeds=noise.seeds[members])
        audio[members[:, None], index] = engine.generate(together, window, draws, members)

    every_row = torch.arange(rows, device=device)
    advance(every_row[::2])  # From now on these are ahead of the others.
    advance(every_row)
    advance(every_row[1::2])
    worst = 0.0
    for row in (0, 1, rows - 1):
        member = every_row[row : row + 1]
        window = map_tensors(conditioning, operator.itemgetter(member))
        whole = Noise(noise.seeds[member], 2 * steps)
        alone = engine.generate(engine.start(1), window, whole)
        worst = max(worst, float((alone - audio[member]).abs().max()))
    return worst
