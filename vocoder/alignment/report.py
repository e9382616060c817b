"""The alignment report: a page with pictures of alignments, to be looked at before training."""

import html
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from vocoder import files
from vocoder.corpus.alignment import REPORT_FILE, AlignedUtterance, Unaligned
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.report import HEAD, table
from vocoder.text.linguistic import SILENCES, SYMBOLS

PICTURES_A_SPEAKER = 2
BAR = "#4477aa"


def write(
    corpus: Corpus, aligned: Sequence[AlignedUtterance], left_out: Sequence[Unaligned]
) -> Path:
    """Write ``alignment.html`` and its pictures into the corpus folder; returns its path."""
    for old in corpus.folder.glob("alignment-*.png"):
        old.unlink()
    pictures = []
    for name, figure in (
        ("alignment-scores.png", _scores(aligned)),
        ("alignment-durations.png", _durations(aligned, corpus.features.frame_rate_hz)),
        *_examples(corpus, aligned),
    ):
        with files.replacing(corpus.folder / name) as temporary:
            figure.savefig(temporary, dpi=100)
        pictures.append(name)
    reasons = Counter(item.reason for item in left_out)
    parts = [
        "<h1>Alignment report</h1>",
        f"<p>{len(aligned)} utterances aligned, {len(left_out)} left out; "
        f"{sum(word.paused for u in aligned for word in u.words)} pauses found that the texts do "
        "not have.</p>",
        *(f'<p><img src="{name}" alt="{name}"></p>' for name in pictures),
        "<h2>Left out</h2>",
        table(["reason", "utterances"], [(k, str(v)) for k, v in reasons.items()], numbers_from=1),
        table(
            ["speaker", "id", "reason", "detail"],
            [(item.speaker, item.id, item.reason, item.detail) for item in left_out],
        ),
        "<h2>Lowest scores</h2>",
        table(
            ["speaker", "id", "nats a frame", "text"],
            [
                (u.speaker, u.id, f"{u.score:.3f}", html.unescape(u.sentence.text))
                for u in sorted(aligned, key=lambda u: u.score)[:20]
            ],
        ),
    ]
    page = corpus.folder / REPORT_FILE
    body = "\n".join(parts)
    title = HEAD.replace("Corpus report", "Alignment report")
    files.write_text(page, f"{title}<body>\n{body}\n</body></html>\n")
    return page


def _scores(aligned: Sequence[AlignedUtterance]) -> Figure:
    figure = Figure(figsize=(11, 3))
    axes = figure.subplots()
    for speaker in sorted({u.speaker for u in aligned}):
        scores = [u.score for u in aligned if u.speaker == speaker]
        axes.hist(scores, 60, histtype="step", label=f"{speaker} ({len(scores)})")
    axes.set_xlabel("score of an utterance: mean log-probability of its phones, nats a frame")
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
    axes.set_ylabel("duration, ms (5 to 95 %)")
    figure.tight_layout()
    return figure


def _examples(corpus: Corpus, aligned: Sequence[AlignedUtterance]) -> list[tuple[str, Figure]]:
    utterances = {(u.speaker, u.id): u for u in corpus.utterances}
    figures: list[tuple[str, Figure]] = []
    for speaker in sorted({u.speaker for u in aligned}):
        own = sorted((u for u in aligned if u.speaker == speaker), key=lambda u: u.score)
        # The median and one of the worst.
        for place in (0.5, 0.02)[:PICTURES_A_SPEAKER]:
            chosen = own[int(place * len(own))]
            mel = corpus.read(utterances[chosen.speaker, chosen.id])[1]
            name = f"alignment-{len(figures) + 1}.png"
            title = f"{speaker}, {chosen.id}, score {chosen.score:.2f}: {chosen.sentence.text}"
            figures.append((name, picture(mel, chosen, title)))
    return figures


def picture(mel: Tensor, aligned: AlignedUtterance, title: str) -> Figure:
    """Log-mel (n_mels, F) with the phones of its alignment."""
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
