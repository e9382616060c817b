"""What a run's log says happened, with steps that were done twice counted once."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from vocoder.errors import TrainingError
from vocoder.training.log import LOG_FILE

EVALUATION_FILE = "evaluation.json"


class Point(NamedTuple):
    """A figure at a moment of a run; ``hours`` are those spent training up to it."""

    step: int
    hours: float
    value: float


class History(NamedTuple):
    """One run.

    Attributes:
        name: of its folder.
        figure: what is followed: the first that validation tells, such as bits.
        training, validation: its values in order.
        steps, hours: done so far.
        settings: the last start's, flat, as ``model.pre_emphasis``.
        environment: the last start's.
        scores: figures of its ``evaluation.json``, where it lies in the folder.
    """

    name: str
    figure: str
    training: list[Point]
    validation: list[Point]
    steps: int
    hours: float
    settings: dict[str, Any]
    environment: dict[str, Any]
    scores: dict[str, float]

    @property
    def best(self) -> Point | None:
        """The validation with the lowest figure."""
        return min(self.validation, key=lambda point: point.value, default=None)


def read(folder: Path) -> History:
    """Read a run's folder.

    Raises:
        TrainingError: it is not one, or nothing was logged yet.
    """
    path = folder / LOG_FILE
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise TrainingError(
            f"{path}: {error.strerror}; name the output folder of a training run"
        ) from None
    except ValueError as error:
        raise TrainingError(f"{path}: not JSON lines: {error}") from None
    records: list[dict[str, Any]] = []
    hours, before, start = 0.0, 0.0, {}
    for line in lines:
        if line["event"] == "start":
            # What came after the checkpoint was done again: its steps and hours do not count.
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
        raise TrainingError(f"{path}: no step was logged yet")
    first = validations[0] if validations else trainings[0]
    figure = next(key for key in first if key not in ("time", "event", "step", "hours"))
    return History(
        name=folder.resolve().name,
        figure=figure,
        training=_points(trainings, figure),
        validation=_points(validations, figure),
        steps=records[-1]["step"],
        hours=records[-1]["hours"],
        settings=_flat(start.get("config", {})),
        environment=start.get("environment", {}),
        scores=_scores(folder / EVALUATION_FILE),
    )


def _points(records: list[dict[str, Any]], figure: str) -> list[Point]:
    return [Point(one["step"], one["hours"], one[figure]) for one in records if figure in one]


def _flat(settings: dict[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = value
    return found


def _scores(path: Path) -> dict[str, float]:
    """Figures of the WaveNet over all speakers; none where nothing was evaluated."""
    try:
        overall = json.loads(path.read_text(encoding="utf-8"))["overall"]
    except OSError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path}: not what vocoder evaluate --json writes ({error})") from None
    figures = {"bits_per_sample": overall.get("bits_per_sample")}
    figures |= overall.get("metrics", {}).get("wavenet", {})
    return {key: value for key, value in figures.items() if isinstance(value, int | float)}
