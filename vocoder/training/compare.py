"""Training runs side by side: curves as pictures, and a table, on one page."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vocoder import files
from vocoder.errors import TrainingError
from vocoder.training.history import EVALUATION_FILE, History, Point, read

PAGE = "comparison.md"
DPI = 110
# Where a run says where it is, not what it does.
NOT_COMPARED = ("name", "output", "corpus", "voice.")


def compare(runs: Sequence[Path], output: Path) -> Path:
    """Write ``comparison.md`` and its pictures into ``output``; returns the page's path.

    Raises:
        TrainingError: a folder holds no run, or the runs follow different figures.
    """
    histories = [read(run) for run in runs]
    figures = sorted({history.figure for history in histories})
    if len(figures) > 1:
        raise TrainingError(
            f"the runs follow different figures ({', '.join(figures)}): compare runs of one kind"
        )
    names = _names(runs, histories)
    pictures = {
        "steps.png": _curves(names, histories, "step"),
        "hours.png": _curves(names, histories, "hours"),
    }
    for name, figure in pictures.items():
        with files.replacing(output / name) as temporary:
            figure.savefig(temporary, dpi=DPI)
    parts = [
        "# Training runs",
        _table(names, histories),
        *(f"![{figures[0]} against {name.split('.')[0]}]({name})" for name in pictures),
        "## What differs",
        _differences(names, histories),
    ]
    page = output / PAGE
    files.write_text(page, "\n\n".join(parts) + "\n")
    return page


def _names(runs: Sequence[Path], histories: Sequence[History]) -> list[str]:
    """The runs' names, with the folder above where two are the same."""
    short = [history.name for history in histories]
    if len(set(short)) == len(short):
        return short
    return [f"{run.resolve().parent.name}/{run.resolve().name}" for run in runs]


def _table(names: Sequence[str], histories: Sequence[History]) -> str:
    scores = list(dict.fromkeys(key for history in histories for key in history.scores))
    figure = histories[0].figure
    header = ["run", "steps", "hours", f"best held-out {figure}", "at step", f"last {figure}"]
    rows = []
    for name, history in zip(names, histories, strict=True):
        best = history.best
        last = history.validation[-1] if history.validation else None
        rows.append(
            [
                name,
                f"{history.steps:,}",
                f"{history.hours:.2f}",
                f"{best.value:.4f}" if best else "",
                f"{best.step:,}" if best else "",
                f"{last.value:.4f}" if last else "",
                *(f"{history.scores[key]:.4g}" if key in history.scores else "" for key in scores),
            ]
        )
    note = (
        f"The columns after these are of `{EVALUATION_FILE}` in the run's folder." if scores else ""
    )
    return "\n\n".join(part for part in (_markdown([*header, *scores], rows), note) if part)


def _differences(names: Sequence[str], histories: Sequence[History]) -> str:
    """StrictModel and machines in which the runs are not alike."""
    described = [
        history.settings | {f"({k})": v for k, v in history.environment.items()}
        for history in histories
    ]
    keys = dict.fromkeys(key for one in described for key in one)
    rows = [
        [key, *(str(one.get(key, "")) for one in described)]
        for key in keys
        if len({str(one.get(key, "")) for one in described}) > 1
        and not key.startswith(NOT_COMPARED)
    ]
    return _markdown(["setting", *names], rows) if rows else "Nothing."


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines
    )


def _curves(names: Sequence[str], histories: Sequence[History], against: str) -> Figure:
    """Held-out and training figures against steps or hours."""
    figure = Figure(figsize=(14, 4.6))
    panels: Sequence[Axes] = figure.subplots(1, 2, sharey=True)
    for panel, kind in zip(panels, ("validation", "training"), strict=True):
        for name, history in zip(names, histories, strict=True):
            points: list[Point] = getattr(history, kind)
            panel.plot(
                [getattr(point, against) for point in points],
                [point.value for point in points],
                label=name,
                linewidth=1.4,
                marker="." if kind == "validation" else "",
            )
        panel.set_title("held-out speech" if kind == "validation" else "training batches")
        panel.set_xlabel("steps" if against == "step" else "hours of training")
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(histories[0].figure)
    _limit(panels[0], histories)
    beside = panels[1].legend(
        frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0)
    )
    for label in beside.get_texts():
        label.set_parse_math(False)
    figure.tight_layout()
    return figure


def _limit(panel: Axes, histories: Sequence[History]) -> None:
    """Leave out the first steep fall, which would flatten all that differs."""
    late = [
        point.value
        for history in histories
        for point in (*history.validation, *history.training)
        if point.step >= 0.1 * history.steps
    ]
    low, high = min(late), max(late)
    margin = 0.05 * (high - low) or 0.1
    panel.set_ylim(low - margin, high + margin)
