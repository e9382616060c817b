"""What a training run is about: a model, its data, its loss and what it makes of the weights."""

from pathlib import Path
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from vocoder.training.log import RunLog


class Loss(NamedTuple):
    """The loss of a batch.

    Attributes:
        total: what is minimised, a scalar.
        parts: figures to show, each a scalar; the first is the one that a line of the log begins
            with.
    """

    total: Tensor
    parts: dict[str, Tensor]


class Task(Protocol):
    """One kind of model to be trained."""

    @property
    def model(self) -> nn.Module:
        """What is optimised."""
        ...

    @property
    def objective(self) -> nn.Module:
        """A module that holds the model and maps a batch to its :class:`Loss`."""
        ...

    def batch(self, step: int, rows: range) -> Any:
        """Some rows of a step's batch (a named tuple of tensors); a function of these alone."""
        ...

    def seconds(self, batch: Any) -> float:
        """Audio in a batch, in seconds."""
        ...

    def fresh(self) -> nn.Module:
        """Another model of the same shape, for averaged weights."""
        ...

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Figures on held-out speech; the first is the one that the log shows first."""
        ...

    def export(self, folder: Path, model: nn.Module, step: int, log: RunLog) -> None:
        """Write what the run makes of the averaged weights."""
        ...

    def sample(self, model: nn.Module, step: int, log: RunLog) -> None:
        """Make free-running audio of held-out sentences, for TensorBoard and the ear."""
        ...
