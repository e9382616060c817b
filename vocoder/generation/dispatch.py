"""Chooses the engine that runs a model, with the reasons for those passed over."""

import logging
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from vocoder.config import ModelConfig
from vocoder.errors import EngineError
from vocoder.generation.cpu import CpuEngine
from vocoder.generation.cuda.engine import TritonEngine
from vocoder.generation.cuda.graph import GraphEngine
from vocoder.generation.noise import Noise
from vocoder.generation.reference import ReferenceEngine
from vocoder.generation.state import GenerationState, Trace
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.model import Signal, WaveNet

logger = logging.getLogger(__name__)


class Engine(Protocol):
    """Advances rows of a generation state. :class:`ReferenceEngine` documents the contract."""

    name: str

    def __init__(
        self,
        model: WaveNet,
        *,
        temperature: float = 1.0,
        weights: str | None = None,
        threads: int | None = None,
    ) -> None: ...

    @property
    def weights(self) -> str:
        """Number format of the weights."""

    @property
    def max_concurrency(self) -> int | None:
        """Threads that may advance different rows of one state at once; None: any number."""

    @property
    def batch_rows(self) -> int:
        """Best number of rows to advance together: more slow each other down, fewer waste time."""

    @staticmethod
    def supports(config: ModelConfig, device: torch.device) -> tuple[bool, str]:
        """Whether the engine can run the model on the device, and the reason."""

    def start(self, rows: int) -> GenerationState:
        """State of ``rows`` streams that have generated nothing yet."""

    def generate(
        self,
        state: GenerationState,
        conditioning: Conditioning,
        noise: Tensor | Noise,
        rows: Tensor | None = None,
        *,
        covered: bool = False,
    ) -> Tensor:
        """Advance rows, updating the state in place; returns audio (n, T)."""

    def trace(
        self,
        state: GenerationState,
        conditioning: Conditioning,
        signal: Signal,
        noise: Tensor | Noise,
        rows: Tensor | None = None,
    ) -> Trace:
        """Advance rows along a known signal; returns the engine's predictions and draws."""


ENGINES: tuple[type[Engine], ...] = (TritonEngine, GraphEngine, CpuEngine, ReferenceEngine)
"""All engines, the fastest first."""


def max_concurrency(engine: Engine, threads: int) -> int:
    """How many of ``threads`` may advance rows of one state at once."""
    return threads if engine.max_concurrency is None else min(threads, engine.max_concurrency)


AUTO = "auto"


class Choice(NamedTuple):
    """The chosen engine, and the reason in one line."""

    engine: type[Engine]
    reason: str


def names() -> list[str]:
    """The names by which an engine can be requested."""
    return [AUTO, *(engine.name for engine in ENGINES)]


def choose(config: ModelConfig, device: torch.device, name: str = AUTO) -> Choice:
    """The engine for a model on a device.

    Args:
        config: the model's.
        device: the device of its weights.
        name: an engine's name, or ``auto`` for the fastest that can run the model.

    Raises:
        EngineError: unknown engine, or it cannot run this model here; the message says why.
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
        if name == AUTO and device.type == "cpu" and engine is TritonEngine:
            # On the CPU it runs in Triton's interpreter, which is for tests only.
            able, reason = False, f"the model is on {device.type}"
        if able:
            text = f"engine {engine.name} on {device}: {reason}"
            return Choice(engine, "; ".join([text, *passed_over]))
        passed_over.append(f"{engine.name} passed over: {reason}")
    raise EngineError("; ".join(passed_over), param="engine")


def create(
    model: WaveNet,
    name: str = AUTO,
    *,
    temperature: float = 1.0,
    weights: str | None = None,
    threads: int | None = None,
) -> Engine:
    """Choose an engine, log the choice in one line, and build it for ``model``.

    Args:
        model: supplies the weights.
        name: an engine's name, or ``auto``.
        temperature: scale of the sampling spread.
        weights: number format; the engine's default if None.
        threads: threads that share the rows; the engine's default if None.

    Raises:
        EngineError: as in :func:`choose`, or the engine does not support the number format.
    """
    choice = choose(model.config, model.device, name)
    engine = choice.engine(model, temperature=temperature, weights=weights, threads=threads)
    logger.info("%s; weights in %s", choice.reason, engine.weights)
    return engine
