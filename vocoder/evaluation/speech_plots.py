"""Plot of a recording next to its synthesis from text: mel spectrograms and F0."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from vocoder.acoustic.rendering import Rendering


def side_by_side(mel: Tensor, f0: Tensor, timed: Rendering, free: Rendering, title: str) -> Figure:
    """Draw a recording and two syntheses of its sentence.

    Args:
        mel: log-mel of the recording (n_mels, F).
        f0: F0 of the recording in Hz, 0 where unvoiced (F,).
        timed: synthesis with the recording's durations.
        free: synthesis from text alone.
        title: title of the figure.
    """
    figure = Figure(figsize=(15, 8))
    axes = figure.subplots(4, 1)
    panels = (
        ("recording", mel, axes[0]),
        ("synthesis with the recording's durations", timed.mel, axes[1]),
        ("synthesis from text", free.mel, axes[2]),
    )
    low, high = float(mel.quantile(0.01)), float(mel.max())
    for name, shown, axis in panels:
        axis.imshow(
            shown.numpy(),
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=low,
            vmax=high,
            interpolation="nearest",
        )
        axis.set_ylabel("mel band")
        axis.set_title(name, fontsize=9, loc="left")
        axis.set_xlim(-0.5, max(mel.shape[1], free.mel.shape[1]) - 0.5)
    _plot_f0(axes[3], f0, "recording", "#222222")
    _plot_f0(axes[3], timed.f0, "synthesis with the recording's durations", "#4477aa")
    axes[3].set_xlim(axes[0].get_xlim())
    axes[3].set_xlabel("frame")
    axes[3].set_ylabel("F0, Hz")
    axes[3].legend(frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10, x=0.01, ha="left", parse_math=False)
    figure.tight_layout()
    return figure


def _plot_f0(axis: Axes, f0: Tensor, name: str, colour: str) -> None:
    values = f0.numpy().astype(np.float64)
    axis.plot(np.where(values > 0, values, np.nan), label=name, color=colour)
