"""Which engine runs a model here, and why another cannot."""

import logging
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from vocoder.config import ModelConfig
from vocoder.errors import EngineError
from vocoder.generation.reference import ReferenceEngine
from vocoder.generation.state import GenerationState
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.model import WaveNet

logger = logging.getLogger(__name__)


class Engine(Protocol):
    """What advances rows of a generation state. See :class:`ReferenceEngine` for the contract."""

    name: str

    def __init__(self, model: WaveNet, *, temperature: float = 1.0) -> None: ...

    @staticmethod
    def supports(config: ModelConfig, device: torch.device) -> tuple[bool, str]:
        """Whether the engine can run such a model on that device, and the reason."""

    def start(self, rows: int) -> GenerationState:
        """State of rows that have generated nothing yet."""

    def generate(
        self,
        state: GenerationState,
        conditioning: Conditioning,
        noise: Tensor,
        rows: Tensor | None = None,
    ) -> Tensor:
        """Advance rows, updating the state in place; returns audio (n, T)."""


ENGINES: tuple[type[Engine], ...] = (ReferenceEngine,)
"""Every engine, the fastest first."""

AUTO = "auto"


class Choice(NamedTuple):
    """The engine chosen, and in one line why."""

    engine: type[Engine]
    reason: str


def names() -> list[str]:
    """What an engine may be asked for by."""
    return [AUTO, *(engine.name for engine in ENGINES)]


def choose(config: ModelConfig, device: torch.device, name: str = AUTO) -> Choice:
    """The engine for a model on a device.

    Args:
        config: the model's.
        device: where its weights are.
        name: of an engine, or ``auto`` for the fastest that can.

    Raises:
        EngineError: no such engine, or it cannot run this model here; the message says why.
    """
    if name not in names():
        raise EngineError(
            f"engine {name!r} is unknown: choose one of {', '.join(names())}", param="engine"
        )
    passed_over: list[str] = []
    for engine in ENGINES:
        if name not in (AUTO, engine.name):
            continue
        able, reason = engine.supports(config, device)
        if able:
            text = f"engine {engine.name} on {device}: {reason}"
            return Choice(engine, "; ".join([text, *passed_over]))
        passed_over.append(f"{engine.name} passed over: {reason}")
    raise EngineError("; ".join(passed_over), param="engine")


def create(model: WaveNet, name: str = AUTO, *, temperature: float = 1.0) -> Engine:
    """Choose an engine for ``model``, say so in one log line, and give it the weights."""
    choice = choose(model.config, model.device, name)
    logger.info("%s", choice.reason)
    return choice.engine(model, temperature=temperature)
