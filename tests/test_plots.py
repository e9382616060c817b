from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from vocoder import plots
from vocoder.audio.io import Samples

RATE = 16000


def tone(hz: float, amplitude: float = 0.3, seconds: float = 0.5) -> Samples:
    time = np.arange(round(seconds * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def test_panels_share_time_and_decibels() -> None:
    figure = plots.comparison(tone(500), tone(1000, 0.03), tone(2000, seconds=0.3), RATE, "a_$1")
    *panels, bar = figure.axes
    assert [panel.get_title(loc="left") for panel in panels] == [
        "Recording",
        "WaveNet",
        "Griffin-Lim",
    ]
    assert {panel.get_xlim() for panel in panels} == {(0.0, 0.5)}
    assert {panel.images[0].get_clim() for panel in panels} == {(-plots.DYNAMIC_RANGE_DB, 0.0)}
    peaks = [float(np.max(panel.images[0].get_array())) for panel in panels]
    assert peaks == pytest.approx([0, -20, 0], abs=0.3)
    assert bar.get_ylabel() == "dB"


def test_a_tone_appears_at_its_frequency() -> None:
    (panel, _) = plots.spectrograms({"tone": tone(3000)}, RATE).axes
    levels = panel.images[0].get_array()
    bottom, top = panel.images[0].get_extent()[2:]
    row = int(np.argmax(levels.mean(axis=1)))
    assert bottom + (row + 0.5) / levels.shape[0] * (top - bottom) == pytest.approx(3.0, abs=0.02)


def test_a_figure_is_saved_as_png(tmp_path: Path) -> None:
    figure = plots.training_sample(tone(500), tone(700), RATE, "step 1000")
    plots.save(tmp_path / "sample.png", figure)
    picture = matplotlib.image.imread(tmp_path / "sample.png")
    assert picture.shape[1] > picture.shape[0] > 200
    assert [path.name for path in tmp_path.iterdir()] == ["sample.png"]


def test_silence_and_short_audio_can_be_drawn(tmp_path: Path) -> None:
    figure = plots.training_sample(np.zeros(40, np.float32), np.zeros(40, np.float32), RATE)
    plots.save(tmp_path / "silence.png", figure)
