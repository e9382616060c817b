"""Whether the engine on a GPU is right, at the presets' real shapes."""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.bench.subject import Subject, device_of, on, random_conditioning
from vocoder.errors import UserError
from vocoder.generation import dispatch
from vocoder.generation.dispatch import Engine
from vocoder.generation.noise import uniforms
from vocoder.wavenet.model import Signal

ENGINE = "triton"

TOLERANCE = {"fp32": 1e-3, "bf16": 2e-1, "fp16": 3e-2}
"""Largest difference of a parameter of random weights, whose outputs spread over about 4."""

JOINED_STEPS = 24
"""Samples between two changes of the rows that advance."""

Row = dict[str, Any]


def equality(names: tuple[str, ...], device: torch.device, formats: tuple[str, ...]) -> list[Row]:
    """Every shape and format beside float64; whether each is within its tolerance."""
    rows: list[Row] = []
    for name in names:
        subject = Subject.of(name)
        exact = _exact(subject)
        for weights in formats:
            try:
                engine = engine_on(subject, device, weights)
            except UserError as refusal:
                rows.append({"preset": name, "weights": weights, "refused": str(refusal)})
                continue
            found = _traced(subject, engine)
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
    local, speaker, prediction, first = subject.conditioning
    if prediction is not None:
        prediction = type(prediction)(*(part.double() for part in prediction))
    conditioning = type(subject.conditioning)(local.double(), speaker.double(), prediction, first)
    samples, codes, *rest = subject.signal
    # Whole blocks, as the network wants them; what follows a sample does not change it.
    more = (0, conditioning.blocks * model.config.hold - samples.shape[1])
    signal = Signal(
        F.pad(samples.double(), more),
        None if codes is None else F.pad(codes, more),
        *(F.pad(part.double(), more, value=1.0) for part in rest),
    )
    return model.network(model.inputs(signal), conditioning)[:, : samples.shape[1]]


def engine_on(subject: Subject, device: torch.device, weights: str | None) -> Engine:
    """The engine with a subject's weights on a device."""
    model = copy.deepcopy(subject.model).to(device)
    return dispatch.create(model, ENGINE, weights=weights)


def _traced(subject: Subject, engine: Engine) -> Tensor:
    device = device_of(engine)
    codes = None if subject.signal.codes is None else subject.signal.codes.to(device)
    samples, _, *rest = subject.signal
    signal = Signal(samples.to(device), codes, *(part.to(device) for part in rest))
    noise = noise_of(1, samples.shape[1]).to(device)
    conditioning = on(device, subject.conditioning)
    return engine.trace(engine.start(1), conditioning, signal, noise).parameters.cpu()


def noise_of(rows: int, steps: int) -> Tensor:
    """Uniforms (rows, steps, 2) of rows that begin."""
    return uniforms(torch.arange(rows), torch.zeros(rows, dtype=torch.int64), steps)


@torch.no_grad()
def _rows_differ(subject: Subject, engine: Engine, rows: int = 19) -> float:
    """Largest difference between rows that join one after another and the same rows alone."""
    steps = JOINED_STEPS
    device, hop_length = device_of(engine), subject.model.config.features.hop_length
    conditioning = on(device, random_conditioning(subject.model, rows, hop_length))
    noise = noise_of(rows, 2 * steps).to(device)
    together, audio = engine.start(rows), torch.zeros(rows, 2 * steps, device=device)

    def advance(members: Tensor) -> None:
        start = together.position[members]
        index = start[:, None] + torch.arange(steps, device=device)
        window = type(conditioning)(
            conditioning.local[members],
            conditioning.speaker[members],
            _rows_of(conditioning.prediction, members),
            conditioning.first[members],
        )
        draws = noise[members[:, None], index]
        audio[members[:, None], index] = engine.generate(together, window, draws, members)

    everyone = torch.arange(rows, device=device)
    advance(everyone[::2])  # These are ahead of the others from now on.
    advance(everyone)
    advance(everyone[1::2])
    worst = 0.0
    for row in (0, 1, rows - 1):
        member = everyone[row : row + 1]
        window = type(conditioning)(
            conditioning.local[member],
            conditioning.speaker[member],
            _rows_of(conditioning.prediction, member),
            conditioning.first[member],
        )
        alone = engine.generate(engine.start(1), window, noise[member])
        worst = max(worst, float((alone - audio[member]).abs().max()))
    return worst


def _rows_of(prediction: Any, members: Tensor) -> Any:
    return None if prediction is None else type(prediction)(*(part[members] for part in prediction))
