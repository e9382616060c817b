"""The corpus report: an HTML page with plots, for inspection before training."""

import html
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from vocoder import files, tables
from vocoder.corpus.manifest import Rejection, Source
from vocoder.corpus.processing import Measurements
from vocoder.corpus.settings import PreparationConfig
from vocoder.corpus.utterances import SPLITS, Utterance

Row = tuple[Utterance, Measurements]

PAGE_FILE = "report.html"
SPEAKERS_PER_PLOT = 6
BINS = 40
BAR, MEDIAN = "#4477aa", "#222222"

_PANELS: tuple[tuple[str, Callable[[Measurements], float]], ...] = (
    ("duration after trimming, s", lambda m: m.kept_s),
    ("speech level before, dBFS", lambda m: m.level_dbfs),
    ("noise floor before, dBFS", lambda m: m.floor_dbfs),
    ("remaining silence, % of frames", lambda m: 100 * m.silence),
)

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{style}</style></head>
<body>
<h1>{title}</h1>
{body}
</body></html>
"""

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 0.5rem 0 1.5rem; }
th, td { border-bottom: 1px solid #ccc; padding: 0.2rem 0.8rem; text-align: left;
         vertical-align: top; overflow-wrap: anywhere; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
img { max-width: 100%; height: auto; }
"""


def write(
    folder: Path,
    rows: Sequence[Row],
    rejections: Sequence[Rejection],
    sources: Sequence[Source],
    settings: PreparationConfig,
) -> Path:
    """Write ``report.html`` and its plots into the corpus folder; returns the page's path."""
    by_speaker: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_speaker[row[0].speaker].append(row)
    plots = _plots(folder, {name: [m for _, m in own] for name, own in by_speaker.items()})
    rate = settings.features.sample_rate_hz
    parts = [
        f"<p>{len(rows)} utterances, {_hours(rows, rate):.2f} hours, {len(by_speaker)} speakers, "
        f"{len({u.prompt for u, _ in rows})} prompts; {len(rejections)} recordings rejected.</p>",
        "<h2>Hours and utterances</h2>",
        _hours_table(by_speaker, rate),
        _low_rates(by_speaker, rate),
        "<h2>Levels, silence and durations</h2>",
        "<p>One row per speaker; the line marks the median. Levels are RMS before levelling; the "
        "noise floor is the 5th percentile over 20 ms frames.</p>",
        *(
            f'<p><img src="{name}" alt="Histograms for {html.escape(", ".join(speakers))}"></p>'
            for name, speakers in plots
        ),
        "<h2>Rejected</h2>",
        _rejected(rejections),
        "<h2>Sources</h2>",
        tables.html(
            ["folder", "layout", "speakers", "licence"],
            [(s.path, s.layout, ", ".join(s.speakers), s.licence or "not found") for s in sources],
            text_columns=4,
        ),
        "<h2>Settings</h2>",
        tables.html(["setting", "value"], _settings(settings), text_columns=2),
    ]
    page = folder / PAGE_FILE
    files.write_text(page, page_of("Corpus report", parts))
    return page


def page_of(title: str, parts: Iterable[str]) -> str:
    """An HTML page with a title and the given parts of its body."""
    return _PAGE.format(title=title, style=_STYLE, body="\n".join(parts))


def _hours(rows: Iterable[Row], rate_hz: int) -> float:
    return sum(utterance.samples for utterance, _ in rows) / rate_hz / 3600


def _hours_table(by_speaker: dict[str, list[Row]], rate_hz: int) -> str:
    def cells(name: str, rows: Sequence[Row]) -> list[str]:
        line = [name]
        for split in SPLITS:
            own = [row for row in rows if row[0].split == split]
            line += [f"{_hours(own, rate_hz):.3f}", str(len(own))]
        return [*line, f"{_hours(rows, rate_hz):.3f}", str(len(rows))]

    lines = [cells(name, rows) for name, rows in by_speaker.items()]
    if len(lines) > 1:
        lines.append(cells("all", [row for rows in by_speaker.values() for row in rows]))
    header = ["speaker"]
    for name in (*SPLITS, "all"):
        header += [f"{name}, hours", "files"]
    return tables.html(header, lines)


def _low_rates(by_speaker: dict[str, list[Row]], rate_hz: int) -> str:
    counts = {
        name: sum(measurements.rate_hz < rate_hz for _, measurements in rows)
        for name, rows in by_speaker.items()
    }
    low = ", ".join(f"{html.escape(name)} {count}" for name, count in counts.items() if count)
    if not low:
        return ""
    return (
        f"<p><strong>Recorded below {rate_hz} Hz</strong>, so the upper band is empty: {low}.</p>"
    )


def _rejected(rejections: Sequence[Rejection]) -> str:
    if not rejections:
        return "<p>None.</p>"
    counts = Counter((r.reason, r.speaker) for r in rejections)
    by_reason = sorted((reason, speaker, str(n)) for (reason, speaker), n in counts.items())
    counted = tables.html(["reason", "speaker", "recordings"], by_reason, text_columns=2)
    listed = tables.html(
        ["speaker", "id", "reason", "detail", "source"],
        [(r.speaker, r.id, r.reason, r.detail, r.source) for r in rejections],
        text_columns=5,
    )
    return f"{counted}\n{listed}"


def _settings(settings: PreparationConfig) -> list[tuple[str, str]]:
    dump = settings.model_dump()
    features = dump.pop("features")
    return [(f"features.{k}", str(v)) for k, v in features.items()] + [
        (k, str(v)) for k, v in dump.items()
    ]


def _plots(folder: Path, by_speaker: dict[str, list[Measurements]]) -> list[tuple[str, list[str]]]:
    """Draw histograms, several speakers per plot; returns each file's name and its speakers."""
    for old in folder.glob("report-*.png"):
        old.unlink()
    speakers = list(by_speaker)
    # One range per column over all speakers, so that rows can be compared.
    everyone = [measurements for own in by_speaker.values() for measurements in own]
    ranges = [_range([value(m) for m in everyone]) for _, value in _PANELS]
    plots = []
    for first in range(0, len(speakers), SPEAKERS_PER_PLOT):
        shown = speakers[first : first + SPEAKERS_PER_PLOT]
        name = f"report-{first // SPEAKERS_PER_PLOT + 1}.png"
        figure = _figure({speaker: by_speaker[speaker] for speaker in shown}, ranges)
        with files.replacing(folder / name) as temporary:
            figure.savefig(temporary, dpi=110)
        plots.append((name, shown))
    return plots


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.02 * (high - low) or 1.0
    return low - margin, high + margin


def _figure(
    by_speaker: dict[str, list[Measurements]], ranges: Sequence[tuple[float, float]]
) -> Figure:
    height = 0.8 + 1.9 * len(by_speaker)
    figure = Figure(figsize=(13, height))
    axes = figure.subplots(len(by_speaker), len(_PANELS), squeeze=False, sharex="col")
    # Fixed margins in inches: a layout engine takes longer than the drawing itself.
    figure.subplots_adjust(0.065, 0.5 / height, 0.985, 1 - 0.3 / height, 0.2, 0.25)
    for line, (speaker, own) in zip(axes, by_speaker.items(), strict=True):
        # A name is plain text even if it contains dollar signs.
        line[0].set_ylabel(f"{speaker}\nrecordings", parse_math=False)
        for panel, (_, value), limits in zip(line, _PANELS, ranges, strict=True):
            values = np.array([value(measurements) for measurements in own])
            counts, edges = np.histogram(values, BINS, limits)
            panel.stairs(counts, edges, fill=True, color=BAR)
            middle = float(np.median(values))
            panel.axvline(middle, color=MEDIAN, linewidth=1)
            panel.set_xlim(limits)
            panel.set_title(f"median {middle:.3g}", fontsize=9, loc="right")
            panel.spines[["top", "right"]].set_visible(False)
    for panel, (label, _) in zip(axes[-1], _PANELS, strict=True):
        panel.set_xlabel(label)
    return figure
