"""Recording and synthesis from text side by side: spectrograms with their F0."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from vocoder.acoustic.rendering import Rendering


def side_by_side(mel: Tensor, f0: Tensor, timed: Rendering, free: Rendering, title: str) -> Figure:
    """A recording, and its sentence synthesised with its durations and without.

    Args:
        mel: of the recording (n_mels, F).
        f0: of the recording in Hz, 0 where unvoiced (F,).
        timed: with the recording's durations.
        free: from words alone.
        title: one line over the picture.
    """
    figure = Figure(figsize=(15, 8))
    axes = figure.subplots(4, 1)
    panels = (
        ("recording", mel, axes[0]),
        ("synthesis, durations of the recording", timed.mel, axes[1]),
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
    _melody(axes[3], f0, "recording", "#222222")
    _melody(axes[3], timed.f0, "synthesis, durations of the recording", "#4477aa")
    axes[3].set_xlim(axes[0].get_xlim())
    axes[3].set_xlabel("frame")
    axes[3].set_ylabel("F0, Hz")
    axes[3].legend(frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10, x=0.01, ha="left", parse_math=False)
    figure.tight_layout()
    return figure


def _melody(axis: Axes, f0: Tensor, name: str, colour: str) -> None:
    values = f0.numpy().astype(np.float64)
    axis.plot(np.where(values > 0, values, np.nan), label=name, color=colour)
