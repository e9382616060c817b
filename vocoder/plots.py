"""Spectrogram plots: panels side by side that share the time axis and the decibel range."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure

from vocoder import files
from vocoder.audio.io import Samples

DYNAMIC_RANGE_DB = 80.0
"""Range shown below the peak of the first panel."""

WINDOW_S, HOP_S = 0.032, 0.004
COLOURS = "magma"
PANEL_WIDTH_IN, HEIGHT_IN = 4.6, 3.6
DPI = 110


def spectrograms(panels: Mapping[str, Samples], sample_rate_hz: int, title: str = "") -> Figure:
    """Draw spectrograms in a row; 0 dB is the peak of the first one in all of them.

    Args:
        panels: samples (T,) of each panel by its title; the lengths may differ.
        sample_rate_hz: of all panels.
        title: title of the figure.
    """
    decibels = {name: power_db(samples, sample_rate_hz) for name, samples in panels.items()}
    peak = float(next(iter(decibels.values())).max())
    seconds = max(len(samples) for samples in panels.values()) / sample_rate_hz
    width = 1.5 + PANEL_WIDTH_IN * len(panels)
    figure = Figure(figsize=(width, HEIGHT_IN))
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    # Fixed margins in inches: a layout engine takes longer than the drawing itself.
    top = 1 - (0.65 if title else 0.35) / HEIGHT_IN
    figure.subplots_adjust(0.6 / width, 0.5 / HEIGHT_IN, 1 - 0.95 / width, top, 0.06)
    for axis, (name, levels) in zip(axes, decibels.items(), strict=True):
        image = axis.imshow(
            levels - peak,
            origin="lower",
            aspect="auto",
            interpolation="nearest",
            extent=(0.0, levels.shape[1] * HOP_S, 0.0, sample_rate_hz / 2000),
            vmin=-DYNAMIC_RANGE_DB,
            vmax=0.0,
            cmap=COLOURS,
        )
        axis.set_xlim(0.0, seconds)
        axis.set_facecolor("black")
        # A name is plain text even if it contains dollar signs.
        axis.set_title(name, fontsize=11, loc="left", parse_math=False)
        axis.set_xlabel("time, s")
    axes[0].set_ylabel("frequency, kHz")
    last = axes[-1].get_position()
    bar = figure.add_axes((1 - 0.85 / width, last.y0, 0.14 / width, last.height))
    figure.colorbar(image, cax=bar, label="dB")
    if title:
        left = 0.6 / width
        figure.suptitle(
            title, x=left, y=1 - 0.08 / HEIGHT_IN, ha="left", va="top", parse_math=False
        )
    return figure


def comparison(
    recording: Samples, wavenet: Samples, griffin_lim: Samples, sample_rate_hz: int, title: str = ""
) -> Figure:
    """Draw a recording next to its copy synthesis by WaveNet and by Griffin-Lim."""
    panels = {"Recording": recording, "WaveNet": wavenet, "Griffin-Lim": griffin_lim}
    return spectrograms(panels, sample_rate_hz, title)


def training_sample(
    recording: Samples, generated: Samples, sample_rate_hz: int, title: str = ""
) -> Figure:
    """Draw a recording next to its free-running copy synthesis by a model in training."""
    return spectrograms({"Recording": recording, "Generated": generated}, sample_rate_hz, title)


def image_grid(images: npt.NDArray[np.float32]) -> Figure:
    """Draw images side by side in a square.

    Args:
        images: from 0 to 1 (N, H, W, C); grey with one channel, else the first three are R, G, B.
    """
    columns = int(np.ceil(np.sqrt(len(images))))
    rows = -(-len(images) // columns)
    height, width = images.shape[1:3]
    scale = HEIGHT_IN / max(rows * height, columns * width)
    figure = Figure(figsize=(scale * columns * width, scale * rows * height))
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    figure.subplots_adjust(0, 0, 1, 1, 0.05, 0.05)
    for axis in axes:
        axis.set_axis_off()
    for axis, image in zip(axes, images, strict=False):
        shown = image[..., 0] if image.shape[-1] < 3 else image[..., :3]
        axis.imshow(shown, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest", aspect="auto")
    return figure


def save(path: Path, figure: Figure) -> None:
    """Write a figure as PNG, atomically."""
    with files.replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)


def power_db(samples: Samples, sample_rate_hz: int) -> npt.NDArray[np.float32]:
    """Power in dB (bins, frames); each frame is centred in a 4 ms hop."""
    window, hop = round(WINDOW_S * sample_rate_hz), round(HOP_S * sample_rate_hz)
    side = (2 * window - hop) // 2
    spectrum = torch.stft(
        torch.nn.functional.pad(torch.tensor(samples), (side, side + hop)),
        2 * window,  # zero-padded to twice the window for a smoother picture
        hop,
        window,
        torch.hann_window(window),
        center=False,
        return_complex=True,
    )
    return np.asarray(10 * spectrum.abs().square().clamp_min(1e-12).log10().numpy())
