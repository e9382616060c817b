"""The history of a run from its log; steps repeated after a resume count once."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from vocoder.errors import TrainingError
from vocoder.training.log import LOG_FILE

EVALUATION_FILE = "evaluation.json"


class Point(NamedTuple):
    """A metric at one step of a run; ``hours`` is the training time up to it."""

    step: int
    hours: float
    value: float


class History(NamedTuple):
    """One run.

    Attributes:
        name: name of its folder.
        metric: the first metric that validation logs, such as bits.
        training, validation: values of the metric in order.
        steps, hours: done so far.
        settings: settings at the last start, with flat keys such as ``model.pre_emphasis``.
        environment: environment at the last start.
        scores: metrics from ``evaluation.json`` in its folder, if there.
    """

    name: str
    metric: str
    training: list[Point]
    validation: list[Point]
    steps: int
    hours: float
    settings: dict[str, Any]
    environment: dict[str, Any]
    scores: dict[str, float]

    @property
    def best(self) -> Point | None:
        """The validation with the lowest value."""
        return min(self.validation, key=lambda point: point.value, default=None)


def read(folder: Path) -> History:
    """Read the folder of a run.

    Raises:
        TrainingError: the folder is not a run's, or nothing was logged yet.
    """
    path = folder / LOG_FILE
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise TrainingError(
            f"{path}: {error.strerror}; give the output folder of a training run"
        ) from None
    except ValueError as error:
        raise TrainingError(f"{path}: not JSON lines: {error}") from None
    records: list[dict[str, Any]] = []
    hours, before, start = 0.0, 0.0, {}
    for line in lines:
        if line["event"] == "start":
            # Steps after the checkpoint are repeated: they and their hours do not count.
            start = line
            records = [one for one in records if one["step"] <= line["step"]]
            hours = records[-1]["hours"] if records else 0.0
        else:
            hours += (line["time"] - before) / 3600
            records.append(line | {"hours": hours})
        before = line["time"]
    validations = [one for one in records if one["event"] == "validation"]
    trainings = [one for one in records if one["event"] == "training"]
    if not trainings:
        raise TrainingError(f"{path}: no training step has been logged yet")
    first = validations[0] if validations else trainings[0]
    metric = next(key for key in first if key not in ("time", "event", "step", "hours"))
    return History(
        name=folder.resolve().name,
        metric=metric,
        training=_points(trainings, metric),
        validation=_points(validations, metric),
        steps=records[-1]["step"],
        hours=records[-1]["hours"],
        settings=_flat(start.get("config", {})),
        environment=start.get("environment", {}),
        scores=_scores(folder / EVALUATION_FILE),
    )


def _points(records: list[dict[str, Any]], metric: str) -> list[Point]:
    return [Point(one["step"], one["hours"], one[metric]) for one in records if metric in one]


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _scores(path: Path) -> dict[str, float]:
    """Metrics of the WaveNet over all speakers; empty if the run was not evaluated."""
    try:
        overall = json.loads(path.read_text(encoding="utf-8"))["overall"]
    except OSError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path}: not written by vocoder evaluate --json ({error})") from None
    scores = {"bits_per_sample": overall.get("bits_per_sample")}
    scores |= overall.get("metrics", {}).get("wavenet", {})
    return {key: value for key, value in scores.items() if isinstance(value, int | float)}
