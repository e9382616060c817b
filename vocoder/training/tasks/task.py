"""What a training run is about: a model, its data, its loss and what it makes of the weights."""

from pathlib import Path
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from vocoder.training.log import RunLog
from vocoder.training.process import Process


class Loss(NamedTuple):
    """The loss of a batch.

    Attributes:
        total: what is minimised, a scalar. Of a part of a batch: its share, so that the shares of
            all parts add up to the loss of the whole.
        parts: figures to show, each a scalar and of the same share; the first is the one that a
            line of the log begins with.
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
        """A module that holds the model and maps a batch to its :class:`Loss`.

        Its second argument are the :meth:`counts` of the whole batch, where the first is a part.
        """
        ...

    def batch(self, step: int, rows: range) -> Any:
        """Some rows of a step's batch (a named tuple of tensors); a function of these alone."""
        ...

    def counts(self, batch: Any) -> Tensor:
        """What the means of the loss are over: samples, frames or phones that count (K,)."""
        ...

    def seconds(self, batch: Any) -> float:
        """Audio in a batch, in seconds."""
        ...

    def fresh(self) -> nn.Module:
        """Another model of the same shape, for averaged weights."""
        ...

    def validate(self, model: nn.Module, process: Process) -> dict[str, float]:
        """Figures on held-out speech; the first is the one that the log shows first.

        Every process calls it with the same weights; they may share the work.
        """
        ...

    def export(self, folder: Path, model: nn.Module, step: int, log: RunLog) -> None:
        """Write what the run makes of the averaged weights."""
        ...

    def sample(self, model: nn.Module, step: int, log: RunLog) -> None:
        """Make free-running audio of held-out sentences, for TensorBoard and the ear."""
        ...
