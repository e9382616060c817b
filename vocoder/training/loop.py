"""The training loop, one for every kind of model: step, log, validate, checkpoint, export.

Run alone or under torchrun; each process then takes its own batches (DDP).
"""

import contextlib
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import nn

from vocoder import files, recogniser
from vocoder.corpus.manifest import Corpus
from vocoder.errors import TrainingError
from vocoder.training import checkpoint
from vocoder.training.acoustic import AcousticTask
from vocoder.training.config import AnyTraining, RecogniserTraining, Trained, VocoderTraining
from vocoder.training.log import RunLog
from vocoder.training.optimisation import MovingAverage, clip_gradients
from vocoder.training.recogniser import RecogniserTask
from vocoder.training.task import Loss, Task
from vocoder.training.vocoder import VocoderTask

logger = logging.getLogger(__name__)


class Process(NamedTuple):
    """This process among those that torchrun started."""

    rank: int
    processes: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0

    def share(self, rows: int) -> range:
        """The rows of a batch that are this process's."""
        return range(rows * self.rank // self.processes, rows * (self.rank + 1) // self.processes)


@contextlib.contextmanager
def joined() -> Iterator[Process]:
    """Join torchrun's processes, if any."""
    count, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if count == 1:
        yield Process(0, 1, device)
        return
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Process(dist.get_rank(), count, device)
    finally:
        dist.destroy_process_group()


def train(config: Trained, *, resume: bool = False) -> Path:
    """Train a model and write its voice, or a recogniser.

    Args:
        config: the run.
        resume: go on from the checkpoint in the output folder, as if never stopped.

    Returns:
        The folder of the voice or the recogniser.

    Raises:
        TrainingError: corpus, checkpoint or output folder do not fit, or the loss is not finite.
    """
    corpus = Corpus.load(Path(config.corpus))
    with joined() as process:
        torch.manual_seed(config.seed)
        if isinstance(config, VocoderTraining):
            task = VocoderTask(config, corpus, process.device)
            return Run(task.config, task, process).run(resume=resume)
        if isinstance(config, RecogniserTraining):
            hears = RecogniserTask(config, corpus, process.device)
            return Run(hears.config, hears, process).run(resume=resume).parent / recogniser.FOLDER
        return Run(config, AcousticTask(config, corpus, process.device), process).run(resume=resume)


class Run:
    """One run of one task."""

    def __init__(self, config: AnyTraining, task: Task, process: Process) -> None:
        self.config, self.task, self.process = config, task, process
        self.folder = Path(config.output)
        self.average = MovingAverage(task.model, config.ema_decay)
        self.optimiser = torch.optim.Adam(task.model.parameters(), lr=config.learning_rate)
        self.objective: nn.Module = task.objective
        if process.processes > 1:
            self.objective = nn.parallel.DistributedDataParallel(task.objective)

    def run(self, *, resume: bool) -> Path:
        """Train to the end; returns the folder of what the task exports."""
        if not resume and (self.folder / checkpoint.NAME).exists():
            raise TrainingError(f"{self.folder}: holds a checkpoint; add --resume to go on from it")
        start = 0
        if resume:
            start, changes = checkpoint.restore(
                self.folder, self.config, self.task.model, self.average, self.optimiser
            )
            for change in changes:
                logger.info("resumed with a changed setting: %s", change)
        with contextlib.ExitStack() as stack:
            self.log = stack.enter_context(RunLog(self.folder, self.process.leads))
            self.log.start(self.config, start)
            for step in range(start, self.config.steps):
                self._step(step)
                self._after(step + 1)
            if start == self.config.steps:
                self._after(start)  # nothing to train: write the voice with the settings of now
        return self.folder / "voice"

    def _step(self, step: int) -> None:
        began = time.perf_counter()
        batch = self.task.batch(step, self.process.share(self.config.batch_size))
        batch = type(batch)(*(part.to(self.process.device, non_blocking=True) for part in batch))
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.rate(step)
        # Dropout too is a function of the step, so that a resumed run equals an unbroken one.
        torch.manual_seed(hash((self.config.seed, step, self.process.rank)))
        self.optimiser.zero_grad(set_to_none=True)
        loss: Loss = self.objective(batch)
        loss.total.backward()
        norm = clip_gradients(self.task.model, self.config.gradient_clip)
        self._guard(step, float(loss.total.detach()), float(norm))
        self.optimiser.step()
        self.average.update(self.task.model, step)
        seconds = self.task.seconds(batch) * self.process.processes
        self.log.step(
            step,
            **{name: float(part.detach()) for name, part in loss.parts.items()},
            gradient_norm=float(norm),
            learning_rate=self.config.rate(step),
            audio_rate=seconds / (time.perf_counter() - began),
        )

    def _guard(self, step: int, loss: float, norm: float) -> None:
        """Stop before a loss or gradient that is not finite reaches the weights."""
        if torch.isfinite(torch.tensor([loss, norm])).all():
            return
        parameters = dict(self.task.model.named_parameters())
        report = {
            "step": step,
            "loss": str(loss),
            "gradient_norm": str(norm),
            "learning_rate": self.config.rate(step),
            "gradients_not_finite": [
                name
                for name, p in parameters.items()
                if p.grad is not None and not p.grad.isfinite().all()
            ],
            "largest_weight": max(float(p.detach().abs().max()) for p in parameters.values()),
        }
        path = self.folder / "not-finite.json"
        if self.process.leads:
            files.write_text(path, json.dumps(report, indent=2))
        raise TrainingError(
            f"step {step}: loss {loss}, gradient norm {norm}; weights untouched, see {path}; "
            "resume from the last checkpoint with a lower learning_rate"
        )

    def _after(self, done: int) -> None:
        last = done == self.config.steps
        if not self.process.leads:
            return
        if done % self.config.validate_every == 0 or last:
            with torch.no_grad():
                self.log.validation(done, self.task.validate(self.averaged()))
        if done % self.config.checkpoint_every == 0 or last:
            checkpoint.save(
                self.folder, done, self.config, self.task.model, self.average, self.optimiser
            )
            self.task.export(self.folder / "voice", self.averaged(), done, self.log)
        if self.config.sample_every and (done % self.config.sample_every == 0 or last):
            with torch.inference_mode():
                self.task.sample(self.averaged(), done, self.log)

    def averaged(self) -> nn.Module:
        """A copy of the model with the averaged weights, in evaluation mode."""
        model = self.task.fresh().to(self.process.device)
        self.average.copy_to(model)
        return model.eval()
