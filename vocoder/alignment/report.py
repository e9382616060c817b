"""The alignment report: a page with plots of alignments, for inspection before training."""

import html
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from vocoder import files, tables
from vocoder.corpus.alignment import REPORT_FILE, AlignedUtterance, Unaligned
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.report import page_of
from vocoder.text.linguistic import SILENCES, SYMBOLS

PLOTS_PER_SPEAKER = 2
BAR = "#4477aa"


def write(
    corpus: Corpus, aligned: Sequence[AlignedUtterance], unaligned: Sequence[Unaligned]
) -> Path:
    """Write ``alignment.html`` and its plots into the corpus folder; returns the page's path."""
    for old in corpus.folder.glob("alignment-*.png"):
        old.unlink()
    plots = []
    for name, figure in (
        ("alignment-scores.png", _scores(aligned)),
        ("alignment-durations.png", _durations(aligned, corpus.features.frame_rate_hz)),
        *_examples(corpus, aligned),
    ):
        with files.replacing(corpus.folder / name) as temporary:
            figure.savefig(temporary, dpi=100)
        plots.append(name)
    reasons = Counter(item.reason for item in unaligned)
    parts = [
        f"<p>{len(aligned)} utterances aligned, {len(unaligned)} skipped; "
        f"{sum(word.paused for u in aligned for word in u.words)} pauses found where the text has "
        "no punctuation.</p>",
        *(f'<p><img src="{name}" alt="{name}"></p>' for name in plots),
        "<h2>Skipped</h2>",
        tables.html(["reason", "utterances"], [(k, str(v)) for k, v in reasons.items()]),
        tables.html(
            ["speaker", "id", "reason", "detail"],
            [(item.speaker, item.id, item.reason, item.detail) for item in unaligned],
            text_columns=4,
        ),
        "<h2>Lowest scores</h2>",
        tables.html(
            ["speaker", "id", "text", "nats per frame"],
            [
                (u.speaker, u.id, html.unescape(u.sentence.text), f"{u.score:.3f}")
                for u in sorted(aligned, key=lambda u: u.score)[:20]
            ],
            text_columns=3,
        ),
    ]
    page = corpus.folder / REPORT_FILE
    files.write_text(page, page_of("Alignment report", parts))
    return page


def _scores(aligned: Sequence[AlignedUtterance]) -> Figure:
    figure = Figure(figsize=(11, 3))
    axes = figure.subplots()
    for speaker in sorted({u.speaker for u in aligned}):
        scores = [u.score for u in aligned if u.speaker == speaker]
        axes.hist(scores, 60, histtype="step", label=f"{speaker} ({len(scores)})")
    axes.set_xlabel("utterance score: mean log-probability of its phones, nats per frame")
    axes.legend(frameon=False)
    figure.tight_layout()
    return figure


def _durations(aligned: Sequence[AlignedUtterance], rate_hz: float) -> Figure:
    seconds: dict[int, list[float]] = {}
    for utterance in aligned:
        symbols = utterance.phones.symbols.tolist()
        for symbol, duration in zip(symbols, utterance.durations, strict=True):
            seconds.setdefault(symbol, []).append(1000 * duration / rate_hz)
    present = sorted(seconds)
    figure = Figure(figsize=(13, 3.4))
    axes = figure.subplots()
    axes.boxplot([seconds[s] for s in present], sym="", whis=(5, 95), medianprops={"color": BAR})
    axes.set_xticks(range(1, len(present) + 1), [SYMBOLS[s] for s in present])
    axes.set_ylabel("duration, ms (5th to 95th percentile)")
    figure.tight_layout()
    return figure


def _examples(corpus: Corpus, aligned: Sequence[AlignedUtterance]) -> list[tuple[str, Figure]]:
    utterances = {(u.speaker, u.id): u for u in corpus.utterances}
    figures: list[tuple[str, Figure]] = []
    for speaker in sorted({u.speaker for u in aligned}):
        own = sorted((u for u in aligned if u.speaker == speaker), key=lambda u: u.score)
        # The median utterance and one of the worst.
        for quantile in (0.5, 0.02)[:PLOTS_PER_SPEAKER]:
            chosen = own[int(quantile * len(own))]
            mel = corpus.read(utterances[chosen.speaker, chosen.id])[1]
            name = f"alignment-{len(figures) + 1}.png"
            title = f"{speaker}, {chosen.id}, score {chosen.score:.2f}: {chosen.sentence.text}"
            figures.append((name, plot(mel, chosen, title)))
    return figures


def plot(mel: Tensor, aligned: AlignedUtterance, title: str) -> Figure:
    """Draw a log-mel (n_mels, F) with the phones of its alignment."""
    figure = Figure(figsize=(15, 3.6))
    axes = figure.subplots()
    axes.imshow(mel.numpy(), origin="lower", aspect="auto", cmap="magma", interpolation="nearest")
    durations = torch.tensor(aligned.durations)
    ends = durations.cumsum(0).numpy()
    symbols = aligned.phones.symbols.numpy()
    for symbol, end, duration in zip(symbols, ends, aligned.durations, strict=True):
        axes.axvline(end - 0.5, color="white", linewidth=0.6)
        label = SYMBOLS[symbol] if symbol >= SILENCES else "·"
        height = mel.shape[0] + 1 + 4 * (np.flatnonzero(ends == end)[0] % 2)
        axes.text(end - duration / 2 - 0.5, height, label, ha="center", va="bottom", fontsize=9)
    axes.set_title(title, fontsize=9, pad=24, loc="left", parse_math=False)
    axes.set_xlabel("frame")
    figure.tight_layout()
    return figure
