"""Write an evaluation as JSON, as plain text, and as a Markdown page with spectrograms."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import quote

from vocoder import files, plots, tables
from vocoder.audio import io as audio
from vocoder.config import StrictModel
from vocoder.evaluation.evaluate import SYSTEMS, Clip, Evaluation, Summary, System
from vocoder.evaluation.griffin_lim import ITERATIONS

PAGE_FILE = "report.md"
LABELS: dict[System, str] = {
    "wavenet": "WaveNet",
    "griffin_lim": "Griffin-Lim",
    "griffin_lim_strong": "Griffin-Lim, strong",
}


class _Row(NamedTuple):
    """How a metric is displayed."""

    field: str
    label: str
    digits: int
    better: Literal["higher", "lower"]


_ROWS = (
    _Row("mcd_db", "mel-cepstral distortion, dB", 2, "lower"),
    _Row("stoi", "STOI", 3, "higher"),
    _Row("log_spectral_distance_db", "log-spectral distance, dB", 2, "lower"),
    _Row("mel_spectral_distance_db", "mel-spectral distance, dB", 2, "lower"),
    _Row("log_f0_rmse_cents", "log-F0 RMSE, cents", 1, "lower"),
    _Row("gross_pitch_error", "gross pitch error", 3, "lower"),
    _Row("voicing_error", "voicing error", 3, "lower"),
)


def write_json(path: Path, evaluation: StrictModel) -> None:
    """Write the full evaluation as JSON, atomically."""
    files.write_text(path, evaluation.model_dump_json(indent=2) + "\n")


def summary(evaluation: Evaluation) -> str:
    """The averages as plain text for a terminal."""
    overall = evaluation.overall
    header = ["mean over speakers", *(LABELS[system] for system in SYSTEMS)]
    rows = [[row.label, *(_number(row, value) for value in _values(row, overall))] for row in _ROWS]
    return (
        f"voice {evaluation.voice}, {overall.clips} {evaluation.split} clips "
        f"({overall.seconds:.0f} s), {evaluation.engine} engine, seed {evaluation.seed}\n"
        f"held-out likelihood: {overall.bits_per_sample:.3f} bits per sample "
        f"({_unit(evaluation)})\n{tables.plain(header, rows)}"
    )


def write_report(folder: Path, evaluation: Evaluation) -> Path:
    """Write ``report.md`` and its spectrograms; returns the page's path.

    Args:
        folder: where to write the page, and where ``evaluate`` wrote its audio, if any.
        evaluation: the result of ``evaluate``.

    Raises:
        AudioError: audio that the evaluation refers to is not in the folder.
    """
    overall, generation = evaluation.overall, evaluation.generation
    parts = [
        f"# Evaluation of voice `{evaluation.voice}`",
        f"{overall.clips} clips ({overall.seconds:.0f} s) of the {evaluation.split} split, "
        f"generated free-running from their log-mels by the {evaluation.engine} engine, first seed "
        f"{evaluation.seed}; weights SHA-256 `{evaluation.digest[:16]}`, vocoder "
        f"{evaluation.code_version}. WaveNet is sampled at temperature "
        f"{generation.temperature:g}, followed by {generation.correction_passes} passes of "
        f"spectral correction. Griffin-Lim runs {ITERATIONS} iterations on the same log-mels; "
        "the strong variant uses a better mel inversion than libraries offer. The best value in "
        "each row is bold.",
        f"Held-out likelihood: **{overall.bits_per_sample:.3f} bits per sample** "
        f"({_unit(evaluation)}), teacher-forced.",
        "## Mean over speakers",
        _comparison(overall),
        "## Speakers",
        _speakers(evaluation),
        "The metrics are defined in `vocoder/evaluation/metrics.py`. Two realisations of the same "
        "noise are 7.9 dB of log-spectral distance apart, so no vocoder that draws its own noise "
        "can come close to 0.",
    ]
    pictured = [clip for clip in evaluation.clips if clip.audio]
    if pictured:
        parts.append("## Spectrograms")
        parts += [_pictured(folder, clip, evaluation.sample_rate_hz) for clip in pictured]
    parts += ["## Clips", _clips(evaluation.clips)]
    page = folder / PAGE_FILE
    files.write_text(page, "\n\n".join(parts) + "\n")
    return page


def _unit(evaluation: Evaluation) -> str:
    if evaluation.distribution == "mu_law":
        return "of 8, for mu-law codes"
    return "of 16, for 16-bit samples"


def _values(row: _Row, averages: Summary | Clip) -> list[float | None]:
    """A metric's value for each system."""
    return [getattr(averages.metrics[system], row.field) for system in SYSTEMS]


def _number(row: _Row, value: float | None) -> str:
    return "none" if value is None else f"{value:.{row.digits}f}"


def _marked(row: _Row, values: Sequence[float | None]) -> list[str]:
    """The values as text with the best in bold, or several if they round to the same text."""
    texts = [_number(row, value) for value in values]
    known = [float(text) for text, value in zip(texts, values, strict=True) if value is not None]
    if len(set(known)) < 2:
        return texts
    best = _number(row, max(known) if row.better == "higher" else min(known))
    return [f"**{text}**" if text == best else text for text in texts]


def _comparison(averages: Summary) -> str:
    lines = [[row.label, row.better, *_marked(row, _values(row, averages))] for row in _ROWS]
    header = ["metric", "better", *(LABELS[system] for system in SYSTEMS)]
    return tables.markdown(header, lines, text_columns=2)


def _speakers(evaluation: Evaluation) -> str:
    """One table per speaker."""
    parts = []
    for speaker, own in evaluation.speakers.items():
        parts.append(
            f"**{tables.escape_markdown(speaker)}**: {own.clips} clips ({own.seconds:.0f} s), "
            f"{own.bits_per_sample:.3f} bits per sample"
        )
        parts.append(_comparison(own))
    return "\n\n".join(parts)


def _clips(clips: Sequence[Clip]) -> str:
    legend = "Each cell: " + " / ".join(LABELS[system] for system in SYSTEMS) + ".\n\n"
    lines = []
    for clip in clips:
        values = [" / ".join(_number(row, value) for value in _values(row, clip)) for row in _ROWS]
        lines.append([clip.speaker, clip.id, f"{clip.bits_per_sample:.3f}", *values])
    header = ["speaker", "clip", "bits per sample", *(row.label for row in _ROWS)]
    return legend + tables.markdown(header, lines, text_columns=2)


def _pictured(folder: Path, clip: Clip, sample_rate_hz: int) -> str:
    """Draw a clip's spectrograms; returns the Markdown that shows them."""
    recording, wavenet, baseline = (
        audio.read(folder / clip.audio[sound], sample_rate_hz)[0]
        for sound in ("recording", "wavenet", "griffin_lim")
    )
    title, picture = f"{clip.speaker}, {clip.id}", f"{clip.speaker}/{clip.id}.png"
    figure = plots.comparison(recording, wavenet, baseline, sample_rate_hz, title)
    plots.save(folder / picture, figure)
    links = ", ".join(f"[{sound}]({quote(name)})" for sound, name in clip.audio.items())
    alternative = f"Spectrograms of {tables.escape_markdown(title)}"
    return f"![{alternative}]({quote(picture)})\n\nListen: {links}"
