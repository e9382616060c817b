"""The evaluation as JSON, as a few lines of text, and as a page with pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import quote

from vocoder import files, plots
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
    """A metric as it is shown."""

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
    """Write everything that was measured, atomically."""
    files.write_text(path, evaluation.model_dump_json(indent=2) + "\n")


def summary(evaluation: Evaluation) -> str:
    """The averages as plain text, for a terminal."""
    overall = evaluation.overall
    lines = [
        f"voice {evaluation.voice}, {overall.clips} {evaluation.split} clips "
        f"({overall.seconds:.0f} s), {evaluation.engine} engine, seed {evaluation.seed}",
        f"{'bits a sample':32}{overall.bits_per_sample:21.3f}  ({_unit(evaluation)})",
        f"{'mean of the speakers':32}" + "".join(f"{LABELS[system]:>21}" for system in SYSTEMS),
    ]
    for row in _ROWS:
        numbers = (_number(row, value) for value in _values(row, overall))
        lines.append(f"{row.label:32}" + "".join(f"{number:>21}" for number in numbers))
    return "\n".join(lines)


def write_report(folder: Path, evaluation: Evaluation) -> Path:
    """Write ``report.md`` and its pictures; returns the page's path.

    Args:
        folder: where the page goes, and where ``evaluate`` wrote its audio, if it did.
        evaluation: what it returned.

    Raises:
        AudioError: audio that the evaluation names is not in the folder.
    """
    overall, generation = evaluation.overall, evaluation.generation
    parts = [
        f"# Evaluation of voice `{evaluation.voice}`",
        f"{overall.clips} clips ({overall.seconds:.0f} s) of the {evaluation.split} split, "
        f"generated free-running from their log-mels by the {evaluation.engine} engine, first seed "
        f"{evaluation.seed}; weights SHA-256 `{evaluation.digest[:16]}`, vocoder "
        f"{evaluation.code_version}. WaveNet is drawn at temperature {generation.temperature:g}, "
        f"with {generation.correction_passes} passes of spectral correction after it. Griffin-Lim "
        f"has the same log-mels and {ITERATIONS} iterations; the strong one gets its magnitudes by "
        "a better mel inversion than libraries offer. The best value is in bold.",
        f"Held-out likelihood: **{overall.bits_per_sample:.3f} bits a sample** "
        f"({_unit(evaluation)}), teacher-forced.",
        "## Mean of the speakers",
        _comparison(overall),
        "## Speakers",
        _speakers(evaluation),
        "How each metric is defined: `vocoder/evaluation/metrics.py`. Two realisations of one "
        "noise are 7.9 dB of log-spectral distance apart, so no vocoder that draws its own comes "
        "near 0.",
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
        return "of 8, mu-law codes"
    return "of 16, 16-bit samples"


def _values(row: _Row, averages: Summary | Clip) -> list[float | None]:
    """A metric's value for each system."""
    return [getattr(averages.metrics[system], row.field) for system in SYSTEMS]


def _number(row: _Row, value: float | None) -> str:
    return "none" if value is None else f"{value:.{row.digits}f}"


def _marked(row: _Row, values: Sequence[float | None]) -> list[str]:
    """The values as text, the best in bold; more than one where they read the same."""
    texts = [_number(row, value) for value in values]
    known = [float(text) for text, value in zip(texts, values, strict=True) if value is not None]
    if len(set(known)) < 2:
        return texts
    best = _number(row, max(known) if row.better == "higher" else min(known))
    return [f"**{text}**" if text == best else text for text in texts]


def _comparison(averages: Summary) -> str:
    lines = [[row.label, row.better, *_marked(row, _values(row, averages))] for row in _ROWS]
    return _table(["metric", "better", *(LABELS[system] for system in SYSTEMS)], lines, words=2)


def _speakers(evaluation: Evaluation) -> str:
    """A table for each speaker."""
    parts = []
    for speaker, own in evaluation.speakers.items():
        parts.append(
            f"**{_plain(speaker)}**: clips {own.clips} ({own.seconds:.0f} s), "
            f"{own.bits_per_sample:.3f} bits a sample"
        )
        parts.append(_comparison(own))
    return "\n\n".join(parts)


def _clips(clips: Sequence[Clip]) -> str:
    legend = "Each cell: " + " / ".join(LABELS[system] for system in SYSTEMS) + ".\n\n"
    lines = []
    for clip in clips:
        values = [" / ".join(_number(row, value) for value in _values(row, clip)) for row in _ROWS]
        lines.append([clip.speaker, clip.id, f"{clip.bits_per_sample:.3f}", *values])
    header = ["speaker", "clip", "bits a sample", *(row.label for row in _ROWS)]
    return legend + _table(header, lines, words=2)


def _pictured(folder: Path, clip: Clip, sample_rate_hz: int) -> str:
    """Draw a clip's spectrograms and return the lines that show them."""
    recording, wavenet, baseline = (
        audio.read(folder / clip.audio[sound], sample_rate_hz)[0]
        for sound in ("recording", "wavenet", "griffin_lim")
    )
    title, picture = f"{clip.speaker}, {clip.id}", f"{clip.speaker}/{clip.id}.png"
    figure = plots.comparison(recording, wavenet, baseline, sample_rate_hz, title)
    plots.save(folder / picture, figure)
    links = ", ".join(f"[{sound}]({quote(name)})" for sound, name in clip.audio.items())
    return f"![Spectrograms of {_plain(title)}]({quote(picture)})\n\nListen: {links}"


def _table(header: Sequence[str], lines: Sequence[Sequence[str]], *, words: int = 1) -> str:
    """A Markdown table whose columns after the first ``words`` are numbers."""
    rule = [":--"] * words + ["--:"] * (len(header) - words)
    cells = [header, rule, *([_plain(cell) for cell in line] for line in lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _plain(text: str) -> str:
    """Text in which a name cannot end a cell or start a tag."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[").replace("]", "\\]")
