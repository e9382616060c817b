"""Write an evaluation of speech from text as plain text, and as a Markdown page with plots."""

from pathlib import Path

from vocoder import files, tables
from vocoder.evaluation.speech import SpeechEvaluation

PAGE_FILE = "report.md"

_ROWS = (
    ("duration_error_ms", "duration error per phoneme, ms", 1),
    ("pause_error_ms", "duration error per pause, ms", 1),
    ("log_f0_correlation", "log-F0 correlation", 3),
    ("log_f0_rmse_cents", "log-F0 RMSE, cents", 0),
    ("voicing_error", "voicing error", 3),
    ("mcd_db", "MCD with recorded durations, dB", 2),
    ("mcd_dtw_db", "MCD from text, time-warped, dB", 2),
    ("copy_mcd_db", "MCD of copy synthesis, dB", 2),
    ("word_error_rate", "word error rate, synthesis from text", 3),
    ("recording_word_error_rate", "word error rate, recordings", 3),
)


def _rows(evaluation: SpeechEvaluation) -> list[list[str]]:
    """Label and values, one per speaker, of each metric that was measured."""
    rows = []
    for field, label, digits in _ROWS:
        values = [getattr(own, field) for own in evaluation.speakers.values()]
        if any(value is not None for value in values):
            texts = ["-" if value is None else f"{value:.{digits}f}" for value in values]
            rows.append([label, *texts])
    return rows


def _title(evaluation: SpeechEvaluation) -> str:
    count = ", ".join(f"{own.sentences} {name}" for name, own in evaluation.speakers.items())
    return (
        f"voice {evaluation.voice}, held-out sentences: {count}; {evaluation.engine} engine, "
        f"seed {evaluation.seed}"
    )


def summary(evaluation: SpeechEvaluation) -> str:
    """The metrics as plain text, one column per speaker."""
    return f"{_title(evaluation)}\n{tables.plain(['', *evaluation.speakers], _rows(evaluation))}"


def write_page(folder: Path, evaluation: SpeechEvaluation) -> Path:
    """Write a page of the metrics and of the plots in ``folder``; returns its path."""
    title = _title(evaluation)
    parts = [
        "# Speech from text compared with recordings",
        f"{title[0].upper()}{title[1:]}.",
        tables.markdown(["", *evaluation.speakers], _rows(evaluation)),
        "Each plot shows the recording, the synthesis with the recording's durations and the "
        "synthesis from text; below, the F0 of the first two. The audio is in the same folder.",
        *(f"![{plot.stem}]({plot.name})" for plot in sorted(folder.glob("*.png"))),
    ]
    page = folder / PAGE_FILE
    files.write_text(page, "\n\n".join(parts) + "\n")
    return page
