"""Plot of a recogniser's posteriors below the spectrogram, on the same time axis."""

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from vocoder.audio.io import Samples
from vocoder.plots import COLOURS, DYNAMIC_RANGE_DB, HOP_S, power_db
from vocoder.recognition.model import RecogniserConfig
from vocoder.recognition.recogniser import Phone

INCHES_PER_SECOND, NARROWEST_IN, WIDEST_IN = 4.0, 6.0, 40.0
HEIGHT_IN = 9.5


def posteriorgram(
    samples: Samples,
    posteriors: Tensor,
    phones: list[Phone],
    config: RecogniserConfig,
    title: str = "",
) -> Figure:
    """Draw a spectrogram with the recognised phones, and the posterior of each label below.

    Args:
        samples: (T,).
        posteriors: (F, K); each row sums to 1.
        phones: the recognised phones.
        config: configuration of the recogniser.
        title: title of the figure.
    """
    seconds = len(samples) / config.sample_rate_hz
    width = float(np.clip(INCHES_PER_SECOND * seconds, NARROWEST_IN, WIDEST_IN))
    figure = Figure(figsize=(width, HEIGHT_IN))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    levels = power_db(samples, config.sample_rate_hz)
    upper.imshow(
        levels - levels.max(),
        origin="lower",
        aspect="auto",
        extent=(0.0, levels.shape[1] * HOP_S, 0.0, config.sample_rate_hz / 2000),
        vmin=-DYNAMIC_RANGE_DB,
        vmax=0.0,
        cmap=COLOURS,
    )
    top = config.sample_rate_hz / 2000
    for phone in phones:
        upper.axvline(phone.end_s, color="white", linewidth=0.6)
        middle = (phone.start_s + phone.end_s) / 2
        upper.text(middle, 1.01 * top, phone.label, ha="center", va="bottom", fontsize=9)
    upper.set_ylabel("frequency, kHz")
    lower.imshow(
        posteriors.T.numpy(),
        aspect="auto",
        interpolation="nearest",
        extent=(0.0, len(posteriors) / config.frame_rate_hz, len(config.labels) - 0.5, -0.5),
        vmin=0.0,
        vmax=1.0,
        cmap="Greys",
    )
    lower.set_yticks(range(len(config.labels)), config.labels, fontsize=7)
    lower.set_xlabel("time, s")
    lower.set_xlim(0.0, seconds)
    figure.suptitle(title, fontsize=10, x=0.01, ha="left", parse_math=False)
    figure.tight_layout()
    return figure
