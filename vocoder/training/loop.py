"""The training loop for every kind of model: step, log, validate, checkpoint, export.

It runs in one process or under torchrun (DDP). The loss of a step is that of the whole batch, so
the number of processes and of micro-batches does not change the result.
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
from vocoder.training.config import (
    AnyTraining,
    ImageTraining,
    RecogniserTraining,
    SpectrogramTraining,
    Trained,
    VocoderTraining,
)
from vocoder.training.data.prefetch import Prefetch
from vocoder.training.log import RunLog
from vocoder.training.optimisation import MovingAverage, clip_gradients
from vocoder.training.process import Process, process_group, under_torchrun
from vocoder.training.stages import Stages
from vocoder.training.tasks.acoustic import AcousticTask
from vocoder.training.tasks.pixel import ImageTask, SpectrogramTask
from vocoder.training.tasks.recogniser import RecogniserTask
from vocoder.training.tasks.task import Loss, Task
from vocoder.training.tasks.vocoder import VocoderTask
from vocoder.voices import pixel_model

logger = logging.getLogger(__name__)


def train(config: Trained, *, resume: bool = False) -> Path:
    """Train a model and write its voice, a recogniser, or a model of images.

    Args:
        config: settings of the run.
        resume: resume exactly from the checkpoint in the output folder. Under torchrun, which may
            restart a run before its first checkpoint, start over if there is none.

    Returns:
        The folder of what was trained.

    Raises:
        TrainingError: the corpus, checkpoint or output folder does not fit the settings, or the
            loss is not finite.
    """
    with process_group() as process:
        folder = prepare_run(config, process).run(resume=resume)
    if isinstance(config, RecogniserTraining):
        return folder.parent / recogniser.FOLDER
    if isinstance(config, ImageTraining | SpectrogramTraining):
        return folder.parent / pixel_model.FOLDER
    return folder


def prepare_run(config: Trained, process: Process) -> "Run":
    """Set up a run.

    Raises:
        TrainingError: as :func:`train`.
    """
    torch.manual_seed(config.seed)
    if isinstance(config, ImageTraining):
        return Run(config, ImageTask(config, process.device), process)
    corpus = open_corpus(config.corpus, config.shards)
    if isinstance(config, VocoderTraining):
        task = VocoderTask(config, corpus, process.device)
        return Run(task.config, task, process)
    if isinstance(config, RecogniserTraining):
        recogniser_task = RecogniserTask(config, corpus, process.device)
        return Run(recogniser_task.config, recogniser_task, process)
    if isinstance(config, SpectrogramTraining):
        return Run(config, SpectrogramTask(config, corpus, process.device), process)
    return Run(config, AcousticTask(config, corpus, process.device), process)


class Run:
    """One run of one task."""

    def __init__(self, config: AnyTraining, task: Task, process: Process) -> None:
        """Set up the optimiser and the micro-batches.

        Raises:
            TrainingError: the batch cannot be divided among the processes.
        """
        self.config, self.task, self.process = config, task, process
        self.folder = Path(config.output)
        self.micro_batches = process.micro_batches(config.batch_size, config.accumulate)
        self.average = MovingAverage(task.model, config.ema_decay)
        self.optimiser = torch.optim.Adam(task.model.parameters(), lr=config.learning_rate)
        self.objective: nn.Module = task.objective
        self.stages = Stages(process.device)
        if process.world_size > 1:
            self.objective = nn.parallel.DistributedDataParallel(
                task.objective, broadcast_buffers=False
            )

    def run(self, *, resume: bool) -> Path:
        """Train to the end; returns the folder that the task exports to."""
        start = self._restore() if resume else 0
        if not resume and (self.folder / checkpoint.NAME).exists():
            raise TrainingError(
                f"{self.folder}: already has a checkpoint; add --resume to continue from it"
            )
        self._check_same_start(start)
        with contextlib.ExitStack() as stack:
            self.log = stack.enter_context(RunLog(self.folder, self.process.is_main))
            self.log.start(self.config, start, environment.describe(self.process))
            batches = stack.enter_context(self.batches(start))
            for step in range(start, self.config.steps):
                self.step(step, batches)
                self._after_step(step + 1)
            if start == self.config.steps:
                self._after_step(start)  # nothing to train: export with the current settings
        return self.folder / "voice"

    def _restore(self) -> int:
        """Restore the checkpoint; returns the steps done."""
        if under_torchrun() and not (self.folder / checkpoint.NAME).exists():
            return 0
        start, changes = checkpoint.restore(
            self.folder, self.config, self.task.model, self.average, self.optimiser
        )
        for change in changes if self.process.is_main else ():
            logger.info("resumed with a changed setting: %s", change)
        return start

    def _check_same_start(self, start: int) -> None:
        """Refuse to start if the processes found different checkpoints."""
        starts = torch.zeros(self.process.world_size, device=self.process.device)
        starts[self.process.rank] = start
        starts = self.process.sum(starts)
        if len(set(starts.tolist())) > 1:
            raise TrainingError(
                f"{self.folder}: the processes found checkpoints at different steps "
                f"({', '.join(f'{int(step)}' for step in starts)}); "
                "output must be a folder shared by all machines"
            )

    def batches(self, start: int) -> Prefetch[list[Any]]:
        """This process's micro-batches of each step, from ``start`` on."""
        return Prefetch(
            lambda step: [self.task.batch(step, rows) for rows in self.micro_batches],
            start,
            self.config.steps,
            threads=self.config.loader_threads,
        )

    def step(self, step: int, batches: Prefetch[list[Any]]) -> None:
        """Advance the weights by one step."""
        began = time.perf_counter()
        device, waited = self.process.device, self.stages.seconds["data"]
        with self.stages("data"):
            micro_batches = [
                type(batch)(*(part.to(device, non_blocking=True) for part in batch))
                for batch in batches.take()
            ]
        waited = self.stages.seconds["data"] - waited
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.rate(step)
        # Dropout too depends only on the step, so that a resumed run equals an uninterrupted one.
        torch.manual_seed(hash((self.config.seed, step, self.micro_batches[0].start)))
        self.optimiser.zero_grad(set_to_none=True)
        losses = self._backward(micro_batches)
        with self.stages("optimiser"):
            norm = clip_gradients(self.task.model, self.config.gradient_clip)
            total = losses.pop("total")
            self._check_finite(step, total, float(norm))
            self.optimiser.step()
            self.average.update(self.task.model, step)
        seconds = sum(map(self.task.seconds, micro_batches)) * self.process.world_size
        spent = time.perf_counter() - began
        self.log.step(
            step,
            **losses,
            gradient_norm=float(norm),
            learning_rate=self.config.rate(step),
            audio_rate=seconds / spent,
            step_ms=1000 * spent,
            loader_share=waited / spent,
        )

    def _backward(self, micro_batches: list[Any]) -> dict[str, float]:
        """Accumulate the gradients of the batch; returns its loss ``total`` and the parts."""
        counts = self.process.sum(torch.stack([self.task.counts(b) for b in micro_batches]).sum(0))
        names: list[str] = []
        sums: list[Tensor] = []
        for number, batch in enumerate(micro_batches, start=1):
            with contextlib.ExitStack() as stack:
                parallel = self.objective
                last = number == len(micro_batches)
                if isinstance(parallel, nn.parallel.DistributedDataParallel) and not last:
                    stack.enter_context(parallel.no_sync())
                with self.stages("forward"):
                    loss: Loss = self.objective(batch, counts)
                with self.stages("backward"):
                    # DDP averages over the processes; scale to get the sum.
                    (loss.total * self.process.world_size).backward()
            names = ["total", *loss.parts]
            sums.append(torch.stack([loss.total, *loss.parts.values()]).detach())
        losses = self.process.sum(torch.stack(sums).sum(0))
        return dict(zip(names, losses.tolist(), strict=True))

    def _check_finite(self, step: int, loss: float, norm: float) -> None:
        """Stop the run before a non-finite loss or gradient reaches the weights."""
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
        if self.process.is_main:
            files.write_text(path, json.dumps(report, indent=2))
        raise TrainingError(
            f"step {step}: loss {loss}, gradient norm {norm}; weights unchanged, see {path}; "
            "resume from the last checkpoint with a lower learning_rate"
        )

    def _after_step(self, done: int) -> None:
        last = done == self.config.steps
        if done % self.config.validate_every == 0 or last:
            with torch.no_grad():
                metrics = self.task.validate(self.averaged(), self.process)
            self.log.validation(done, metrics)
        # The other processes continue and wait in their next step.
        if not self.process.is_main:
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
        model = self.task.new_model().to(self.process.device)
        self.average.copy_to(model)
        return model.eval()
