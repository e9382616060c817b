"""Compare training runs: a page with learning curves, a table and the differing settings."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vocoder import files, tables
from vocoder.errors import TrainingError
from vocoder.training.history import EVALUATION_FILE, History, Point, read

PAGE = "comparison.md"
DPI = 110
# Settings of names and paths, which do not affect training.
NOT_COMPARED = ("name", "output", "corpus", "voice.")


def compare(runs: Sequence[Path], output: Path) -> Path:
    """Write ``comparison.md`` and its plots into ``output``; returns the page's path.

    Raises:
        TrainingError: a folder holds no run, or the runs log different metrics.
    """
    histories = [read(run) for run in runs]
    metrics = sorted({history.metric for history in histories})
    if len(metrics) > 1:
        raise TrainingError(
            f"the runs log different metrics ({', '.join(metrics)}); compare runs of one kind of "
            "model"
        )
    names = _names(runs, histories)
    plots = {
        "steps.png": _curves(names, histories, "step"),
        "hours.png": _curves(names, histories, "hours"),
    }
    for name, figure in plots.items():
        with files.replacing(output / name) as temporary:
            figure.savefig(temporary, dpi=DPI)
    parts = [
        "# Training runs",
        _table(names, histories),
        *(f"![{metrics[0]} against {name.split('.')[0]}]({name})" for name in plots),
        "## Differences",
        _differences(names, histories),
    ]
    page = output / PAGE
    files.write_text(page, "\n\n".join(parts) + "\n")
    return page


def _names(runs: Sequence[Path], histories: Sequence[History]) -> list[str]:
    """The names of the runs, with their parent folders if two are the same."""
    short = [history.name for history in histories]
    if len(set(short)) == len(short):
        return short
    return [f"{run.resolve().parent.name}/{run.resolve().name}" for run in runs]


def _table(names: Sequence[str], histories: Sequence[History]) -> str:
    scores = list(dict.fromkeys(key for history in histories for key in history.scores))
    metric = histories[0].metric
    header = ["run", "steps", "hours", f"best held-out {metric}", "at step", f"last {metric}"]
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
    table = tables.markdown([*header, *scores], rows)
    note = f"The columns after *last {metric}* are from `{EVALUATION_FILE}` in the run's folder."
    return f"{table}\n\n{note}" if scores else table


def _differences(names: Sequence[str], histories: Sequence[History]) -> str:
    """A table of the settings and machines that differ between the runs."""
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
    if not rows:
        return "None."
    return tables.markdown(["setting", *names], rows, text_columns=1 + len(names))


def _curves(names: Sequence[str], histories: Sequence[History], against: str) -> Figure:
    """Plot the metric on held-out speech and on training batches against steps or hours."""
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
    panels[0].set_ylabel(histories[0].metric)
    _limit(panels[0], histories)
    legend = panels[1].legend(
        frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0)
    )
    for label in legend.get_texts():
        label.set_parse_math(False)
    figure.tight_layout()
    return figure


def _limit(panel: Axes, histories: Sequence[History]) -> None:
    """Cut off the steep initial fall, which would flatten the differences."""
    late = [
        point.value
        for history in histories
        for point in (*history.validation, *history.training)
        if point.step >= 0.1 * history.steps
    ]
    low, high = min(late), max(late)
    margin = 0.05 * (high - low) or 0.1
    panel.set_ylim(low - margin, high + margin)
