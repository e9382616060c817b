"""The log of a run: a progress bar or plain lines, TensorBoard, and JSON lines."""

import contextlib
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from vocoder import files
from vocoder.training.config import TrainingConfig

LOG_FILE, RUN_FILE = "log.jsonl", "run.json"
PACE = ("gradient_norm", "learning_rate", "audio_rate", "step_ms", "loader_share")
"""Values of a step that describe its progress rather than the loss."""


def _line(values: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in values.items())


class RunLog:
    """The log of one run, in its folder. Only the main process writes."""

    def __init__(self, folder: Path, is_main: bool) -> None:
        self.folder, self.is_main = folder, is_main
        self.latest: dict[str, float] = {}
        self.pace: dict[str, float] = {}
        """The ``PACE`` values of the last step."""
        self._sums: dict[str, float] = {}
        self._count = 0

    def __enter__(self) -> Self:
        self._stack = contextlib.ExitStack()
        if self.is_main:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.board = self._stack.enter_context(SummaryWriter(str(self.folder / "tensorboard")))
            self._lines = self._stack.enter_context(open(self.folder / LOG_FILE, "a"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def start(
        self, config: TrainingConfig, step: int, environment: Mapping[str, str | int]
    ) -> None:
        """Start or resume at ``step``; writes the current settings to ``run.json``."""
        self._config = config
        if not self.is_main:
            return
        record = {"config": config.model_dump(mode="json"), "environment": dict(environment)}
        self._record({"event": "start", "step": step, **record})
        files.write_text(self.folder / RUN_FILE, json.dumps(record, indent=2) + "\n")
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            self._bar = self._stack.enter_context(Progress(*columns))
            self._task = self._bar.add_task("training", total=config.steps, completed=step)

    def step(self, step: int, **values: float) -> None:
        """Add one step's values; logs their means every ``log_every`` steps."""
        self.pace = {key: values[key] for key in PACE}
        if not self.is_main:
            return
        for key, value in values.items():
            self._sums[key] = self._sums.get(key, 0.0) + value
        self._count += 1
        done = step + 1
        if done % self._config.log_every and done != self._config.steps:
            return
        means = {key: value / self._count for key, value in self._sums.items()}
        self._sums, self._count = {}, 0
        self._values("training", done, means)
        losses = {key: means.pop(key) for key in list(means) if key not in PACE}
        text = (
            f"step {done}/{self._config.steps}  {_line(losses)}  "
            f"gradient {means['gradient_norm']:.2f}  rate {means['learning_rate']:.2e}  "
            f"{means['audio_rate']:.1f} {self._config.unit}/s"
        )
        if self._bar is None:
            print(text, flush=True)
        else:
            self._bar.update(self._task, completed=done, description=text)

    def validation(self, done: int, metrics: dict[str, float]) -> None:
        """Log metrics on held-out speech."""
        if not self.is_main:
            return
        self._values("validation", done, metrics)
        text = f"step {done}: held-out {_line(metrics)}"
        print(text, flush=True) if self._bar is None else self._bar.console.print(text)

    def _values(self, group: str, done: int, values: dict[str, float]) -> None:
        for key, value in values.items():
            self.latest[f"{group}_{key}"] = value
            self.board.add_scalar(f"{group}/{key}", value, done)
        self._record({"event": group, "step": done, **values})

    def _record(self, record: dict[str, object]) -> None:
        self._lines.write(json.dumps({"time": round(time.time(), 2), **record}) + "\n")
        self._lines.flush()
