"""The training loop, one for every kind of model: step, log, validate, checkpoint, export.

Run alone or under torchrun (DDP). A step's loss is that of its whole batch, over all processes and
all pieces that the batch is taken in, so that neither changes what is learned.
"""

import contextlib
import json
import logging
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vocoder import files
from vocoder.corpus.shards import open_corpus
from vocoder.errors import TrainingError
from vocoder.recognition import recogniser
from vocoder.training import checkpoint, environment
from vocoder.training.config import AnyTraining, RecogniserTraining, Trained, VocoderTraining
from vocoder.training.data.prefetch import Prefetch
from vocoder.training.log import RunLog
from vocoder.training.optimisation import MovingAverage, clip_gradients
from vocoder.training.process import Process, joined, restarts
from vocoder.training.stages import Stages
from vocoder.training.tasks.acoustic import AcousticTask
from vocoder.training.tasks.recogniser import RecogniserTask
from vocoder.training.tasks.task import Loss, Task
from vocoder.training.tasks.vocoder import VocoderTask

logger = logging.getLogger(__name__)


def train(config: Trained, *, resume: bool = False) -> Path:
    """Train a model and write its voice, or a recogniser.

    Args:
        config: the run.
        resume: go on from the checkpoint in the output folder, as if never stopped. Under torchrun,
            which may restart a run before its first checkpoint, start anew where there is none.

    Returns:
        The folder of the voice or the recogniser.

    Raises:
        TrainingError: corpus, checkpoint or output folder do not fit, or the loss is not finite.
    """
    with joined() as process:
        folder = prepared(config, process).run(resume=resume)
    return folder.parent / recogniser.FOLDER if config.kind == "recogniser" else folder


def prepared(config: Trained, process: Process) -> "Run":
    """A run that is ready to start.

    Raises:
        TrainingError: as :func:`train`.
    """
    torch.manual_seed(config.seed)
    corpus = open_corpus(config.corpus, config.shards)
    if isinstance(config, VocoderTraining):
        task = VocoderTask(config, corpus, process.device)
        return Run(task.config, task, process)
    if isinstance(config, RecogniserTraining):
        hears = RecogniserTask(config, corpus, process.device)
        return Run(hears.config, hears, process)
    return Run(config, AcousticTask(config, corpus, process.device), process)


class Run:
    """One run of one task."""

    def __init__(self, config: AnyTraining, task: Task, process: Process) -> None:
        """Prepare a run.

        Raises:
            TrainingError: the batch cannot be shared among the processes.
        """
        self.config, self.task, self.process = config, task, process
        self.folder = Path(config.output)
        self.pieces = process.pieces(config.batch_size, config.accumulate)
        self.average = MovingAverage(task.model, config.ema_decay)
        self.optimiser = torch.optim.Adam(task.model.parameters(), lr=config.learning_rate)
        self.objective: nn.Module = task.objective
        self.stages = Stages(process.device)
        if process.processes > 1:
            self.objective = nn.parallel.DistributedDataParallel(
                task.objective, broadcast_buffers=False
            )

    def run(self, *, resume: bool) -> Path:
        """Train to the end; returns the folder of what the task exports."""
        start = self._restore() if resume else 0
        if not resume and (self.folder / checkpoint.NAME).exists():
            raise TrainingError(f"{self.folder}: holds a checkpoint; add --resume to go on from it")
        self._agree(start)
        with contextlib.ExitStack() as stack:
            self.log = stack.enter_context(RunLog(self.folder, self.process.leads))
            self.log.start(self.config, start, environment.describe(self.process))
            batches = stack.enter_context(self.batches(start))
            for step in range(start, self.config.steps):
                self.step(step, batches)
                self._after(step + 1)
            if start == self.config.steps:
                self._after(start)  # nothing to train: write the voice with the settings of now
        return self.folder / "voice"

    def _restore(self) -> int:
        """Take over the checkpoint; returns the steps done."""
        if restarts() and not (self.folder / checkpoint.NAME).exists():
            return 0
        start, changes = checkpoint.restore(
            self.folder, self.config, self.task.model, self.average, self.optimiser
        )
        for change in changes if self.process.leads else ():
            logger.info("resumed with a changed setting: %s", change)
        return start

    def _agree(self, start: int) -> None:
        """Refuse to start where processes read different checkpoints."""
        starts = torch.zeros(self.process.processes, device=self.process.device)
        starts[self.process.rank] = start
        starts = self.process.sum(starts)
        if len(set(starts.tolist())) > 1:
            raise TrainingError(
                f"{self.folder}: the processes found checkpoints of different steps "
                f"({', '.join(f'{int(step)}' for step in starts)}); "
                "output must be a folder that all machines share"
            )

    def batches(self, start: int) -> Prefetch[list[Any]]:
        """This process's pieces of each step's batch, from ``start`` on."""
        return Prefetch(
            lambda step: [self.task.batch(step, rows) for rows in self.pieces],
            start,
            self.config.steps,
            threads=self.config.loader_threads,
        )

    def step(self, step: int, batches: Prefetch[list[Any]]) -> None:
        """Advance the weights by one step."""
        began = time.perf_counter()
        device, waited = self.process.device, self.stages.seconds["data"]
        with self.stages("data"):
            pieces = [
                type(piece)(*(part.to(device, non_blocking=True) for part in piece))
                for piece in batches.take()
            ]
        waited = self.stages.seconds["data"] - waited
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.rate(step)
        # Dropout too is a function of the step, so that a resumed run equals an unbroken one.
        torch.manual_seed(hash((self.config.seed, step, self.pieces[0].start)))
        self.optimiser.zero_grad(set_to_none=True)
        figures = self._backward(pieces)
        with self.stages("optimiser"):
            norm = clip_gradients(self.task.model, self.config.gradient_clip)
            total = figures.pop("total")
            self._guard(step, total, float(norm))
            self.optimiser.step()
            self.average.update(self.task.model, step)
        seconds = sum(self.task.seconds(piece) for piece in pieces) * self.process.processes
        spent = time.perf_counter() - began
        self.log.step(
            step,
            **figures,
            gradient_norm=float(norm),
            learning_rate=self.config.rate(step),
            audio_rate=seconds / spent,
            step_ms=1000 * spent,
            loader_share=waited / spent,
        )

    def _backward(self, pieces: list[Any]) -> dict[str, float]:
        """Add up the gradients of the whole batch; returns its loss, ``total``, and its parts."""
        counts = self.process.sum(torch.stack([self.task.counts(p) for p in pieces]).sum(0))
        names: list[str] = []
        sums: list[Tensor] = []
        for number, piece in enumerate(pieces, start=1):
            with contextlib.ExitStack() as stack:
                parallel = self.objective
                last = number == len(pieces)
                if isinstance(parallel, nn.parallel.DistributedDataParallel) and not last:
                    stack.enter_context(parallel.no_sync())
                with self.stages("forward"):
                    loss: Loss = self.objective(piece, counts)
                with self.stages("backward"):
                    # DDP takes the mean over the processes; what is wanted is the sum.
                    (loss.total * self.process.processes).backward()
            names = ["total", *loss.parts]
            sums.append(torch.stack([loss.total, *loss.parts.values()]).detach())
        figures = self.process.sum(torch.stack(sums).sum(0))
        return dict(zip(names, figures.tolist(), strict=True))

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
        if done % self.config.validate_every == 0 or last:
            with torch.no_grad():
                figures = self.task.validate(self.averaged(), self.process)
            self.log.validation(done, figures)
        # From here on the others go ahead, and wait in their next step.
        if not self.process.leads:
            return
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
