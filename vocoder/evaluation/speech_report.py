"""The evaluation of speech from text as a few lines for a terminal, and as a page with pictures."""

from pathlib import Path

from vocoder import files
from vocoder.evaluation.speech import SpeechEvaluation

PAGE_FILE = "report.md"

_ROWS = (
    ("duration_error_ms", "duration error, ms a phoneme", 1),
    ("pause_error_ms", "duration error, ms a pause", 1),
    ("log_f0_correlation", "log-F0 correlation", 3),
    ("log_f0_rmse_cents", "log-F0 RMSE, cents", 0),
    ("voicing_error", "voicing error", 3),
    ("mcd_db", "MCD, dB, the recording's durations", 2),
    ("mcd_dtw_db", "MCD, dB, from words, warped in time", 2),
    ("copy_mcd_db", "MCD, dB, copy synthesis", 2),
    ("word_error_rate", "word error rate, from words", 3),
    ("recording_word_error_rate", "word error rate, recordings", 3),
)


def _table(evaluation: SpeechEvaluation) -> list[tuple[str, list[str]]]:
    """Label and shown values of each figure that was measured, a value a speaker."""
    rows = []
    for field, label, digits in _ROWS:
        values = [getattr(figures, field) for figures in evaluation.speakers.values()]
        if any(value is not None for value in values):
            shown = ["-" if value is None else f"{value:.{digits}f}" for value in values]
            rows.append((label, shown))
    return rows


def _title(evaluation: SpeechEvaluation) -> str:
    count = ", ".join(str(figures.sentences) for figures in evaluation.speakers.values())
    return (
        f"voice {evaluation.voice}, {count} held-out sentences, {evaluation.engine} engine, "
        f"seed {evaluation.seed}"
    )


def summary(evaluation: SpeechEvaluation) -> str:
    """The figures as plain text, a column a speaker."""
    names = "".join(f"{name:>12}" for name in evaluation.speakers)
    lines = [_title(evaluation), f"{'':40}{names}"]
    lines += [
        f"{label:40}" + "".join(f"{value:>12}" for value in shown)
        for label, shown in _table(evaluation)
    ]
    return "\n".join(lines)


def write_page(folder: Path, evaluation: SpeechEvaluation) -> Path:
    """Write the figures and the pictures that lie in ``folder`` as a page; returns its path."""
    names = list(evaluation.speakers)
    lines = [
        "# Speech from text beside recordings",
        "",
        _title(evaluation)[0].upper() + _title(evaluation)[1:] + ".",
        "",
        "| | " + " | ".join(names) + " |",
        "|---|" + "---|" * len(names),
        *(f"| {label} | " + " | ".join(shown) + " |" for label, shown in _table(evaluation)),
        "",
        "Each picture: the recording, the synthesis with the recording's durations, the synthesis "
        "from text; below, F0 of the first two. Sounds lie beside the pictures.",
        "",
    ]
    for picture in sorted(folder.glob("*.png")):
        lines += [f"![{picture.stem}]({picture.name})", ""]
    page = folder / PAGE_FILE
    files.write_text(page, "\n".join(lines))
    return page
