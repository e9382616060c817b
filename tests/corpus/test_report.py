from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
import soundfile

from vocoder.corpus import report
from vocoder.corpus.prepare import prepare
from vocoder.corpus.settings import PreparationConfig

from .conftest import Speech


class _Page(HTMLParser):
    """Pictures, tags and cells of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[str] = []
        self.tags: set[str] = set()
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "img":
            self.pictures.append(dict(attrs)["src"] or "")

    def handle_data(self, data: str) -> None:
        self.cells.append(data)


def test_report_shows_speakers_rejections_and_escapes(
    tmp_path: Path, ljspeech: Callable[..., Path], settings: PreparationConfig
) -> None:
    folder = ljspeech("ann & $co", {"a": "one", "b": "two", "c": "three"})
    (folder / "LICENSE").write_text("<b>Free</b>\n")
    with open(folder / "metadata.csv", "a") as metadata:
        metadata.write("<script>alert(1)</script>|x|x\n")
    summary = prepare([folder], tmp_path / "out", settings)
    page = _Page()
    page.feed(summary.report.read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert {"ann & $co", "<b>Free</b>", "unsafe_name"} <= set(page.cells)
    assert page.pictures == ["report-1.png"]
    picture = (tmp_path / "out" / "report-1.png").read_bytes()
    assert picture.startswith(b"\x89PNG")


def test_many_speakers_take_several_plots_and_low_rates_are_listed(
    tmp_path: Path, speech: Speech, settings: PreparationConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "SPEAKERS_PER_PLOT", 2)
    root = tmp_path / "many"
    for number in range(3):
        (root / f"s{number}").mkdir(parents=True)
        rate = 4000 if number == 1 else 8000
        soundfile.write(root / f"s{number}" / "a.wav", speech(0.6, rate, seed=number), rate)
    out = tmp_path / "out"
    text = prepare([root], out, settings).report.read_text(encoding="utf-8")
    assert sorted(path.name for path in out.glob("*.png")) == ["report-1.png", "report-2.png"]
    assert "Recorded below 8000 Hz" in text
    assert "s1 1" in text
    (root / "s2" / "a.wav").unlink()
    prepare([root], out, settings)
    assert [path.name for path in out.glob("*.png")] == ["report-1.png"]
