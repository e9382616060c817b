"""The interface of a training task: a model, its data, its loss and its outputs."""

from pathlib import Path
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from vocoder.training.log import RunLog
from vocoder.training.process import Process


class Loss(NamedTuple):
    """The loss of a batch.

    Attributes:
        total: the loss to minimise, a scalar. For a micro-batch it is its share: the shares of all
            micro-batches add up to the loss of the batch.
        parts: metrics to log, scalars that add up in the same way; the first one starts the log
            line.
    """

    total: Tensor
    parts: dict[str, Tensor]


class Task(Protocol):
    """A kind of model to train."""

    @property
    def model(self) -> nn.Module:
        """The model to optimise."""
        ...

    @property
    def objective(self) -> nn.Module:
        """A module that contains the model and maps a batch to its :class:`Loss`.

        For a micro-batch its second argument is the :meth:`counts` of the whole batch.
        """
        ...

    def batch(self, step: int, rows: range) -> Any:
        """Some rows of a step's batch, a named tuple of tensors; depends only on the arguments."""
        ...

    def counts(self, batch: Any) -> Tensor:
        """The denominators of the loss: number of samples, frames or phones that count (K,)."""
        ...

    def seconds(self, batch: Any) -> float:
        """Seconds of audio in a batch, or its images: what the configuration's ``unit`` counts."""
        ...

    def new_model(self) -> nn.Module:
        """A new model of the same shape, to hold the averaged weights."""
        ...

    def validate(self, model: nn.Module, process: Process) -> dict[str, float]:
        """Metrics on held-out data; the log shows the first one first.

        Every process calls it with the same weights, so they may divide the work.
        """
        ...

    def export(self, folder: Path, model: nn.Module, step: int, log: RunLog) -> None:
        """Export the model with averaged weights."""
        ...

    def sample(self, model: nn.Module, step: int, log: RunLog) -> None:
        """Generate free-running audio or images, as files and for TensorBoard."""
        ...
