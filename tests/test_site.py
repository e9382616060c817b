"""`make docs`: the site builds strictly, offline, and the check for dead links finds them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documentation.links import check
from documents import ROOT

TOOLS = ROOT / "tools" / "documentation"
SITE = ROOT / "build" / "site"

PAGE = "<html><body><h1 id='top'>Top</h1>{}</body></html>"


def test_the_site_builds_without_a_dead_link() -> None:
    folder = Path(sys.executable).parent
    zensical = shutil.which("zensical", path=folder) or shutil.which("zensical")
    assert zensical, "zensical is missing: make setup installs it"
    for command in (
        [sys.executable, str(TOOLS / "pages.py"), "build/docs"],
        [zensical, "build", "--clean", "--strict"],
        [sys.executable, str(TOOLS / "links.py"), str(SITE)],
    ):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    reference = (SITE / "http.html").read_text()
    assert "POST /v1/audio/speech" in reference
    assert "response_format" in reference
    assert "LoadedVoice" in (SITE / "api.html").read_text()


@pytest.mark.parametrize(
    ("planted", "message"),
    [
        ("<a href='nowhere.html'>x</a>", "does not exist"),
        ("<audio src='nowhere.wav'></audio>", "does not exist"),
        ("<a href='#bottom'>x</a>", "no such anchor"),
        ("<a href='other.html#bottom'>x</a>", "no such anchor"),
        ("<script src='https://example.com/x.js'></script>", "another host"),
    ],
)
def test_a_dead_link_is_found(planted: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "other.html").write_text(PAGE.format(""))
    page = tmp_path / "index.html"
    page.write_text(
        PAGE.format("<a href='other.html#top'>x</a><a href='https://example.com'>y</a>")
    )
    assert not check(tmp_path)
    page.write_text(PAGE.format(planted))
    (wrong,) = check(tmp_path)
    assert message in wrong
