"""Gather the site's pages in one folder: ``python tools/documentation/pages.py build/docs``.

The README is the home page; changelog, contributing guide, model cards and examples become pages
too, and the HTTP reference is generated. Links are written as paths in the repository, so that
they also work where the files are read without the site, and are rewritten here. Any generator
that takes a folder of Markdown can then build the site.
"""

import posixpath
import re
import shutil
import sys
from pathlib import Path

from http_reference import http_reference

ROOT = Path(__file__).resolve().parents[2]
DOCS = "docs"
MARKER = "<!-- openapi -->"
EXAMPLES = "examples.md"
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "checkpoints/arctic/MODEL_CARD.md": "cards/arctic.md",
    "checkpoints/arctic-light/MODEL_CARD.md": "cards/arctic-light.md",
}
"""Pages of the site that are files of the repository outside ``docs/``."""

LINKS = PAGES | {DOCS: "index.md", "examples": EXAMPLES, "LICENSE": "LICENSE.txt"}
_LINK = re.compile(r"(\]\(|^\[[^\]]+\]:\s+)(?![a-z]+:|#)([^)\s#]+)", flags=re.MULTILINE)


def write(folder: Path) -> None:
    """Write every page and picture of the site into a folder, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / DOCS, folder)
    sources = {
        f"{DOCS}/{path.relative_to(folder).as_posix()}": path for path in folder.rglob("*.md")
    }
    for source, page in (sources | {name: folder / page for name, page in PAGES.items()}).items():
        text = (ROOT / source).read_text(encoding="utf-8")
        if MARKER in text:
            text = text.replace(MARKER, http_reference())
        page.parent.mkdir(exist_ok=True)
        page.write_text(_relinked(text, source, page.relative_to(folder)), encoding="utf-8")
    (folder / EXAMPLES).write_text(examples(), encoding="utf-8")
    shutil.copy(ROOT / "LICENSE", folder / LINKS["LICENSE"])


def _relinked(text: str, source: str, page: Path) -> str:
    """Links between files of the repository as links between pages of the site."""

    def site_link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))
        if target not in LINKS and not target.startswith(f"{DOCS}/"):
            return match[0]  # A dead link, which the generator reports.
        site = LINKS.get(target, target.removeprefix(f"{DOCS}/"))
        return match[1] + posixpath.relpath(site, page.parent.as_posix())

    return _LINK.sub(site_link, text)


def examples() -> str:
    """A page of the programs in ``examples/``."""
    parts = ["# Examples\n\nThe programs in `examples/`. Tests run each of them.\n"]
    for path in sorted((ROOT / "examples").glob("*.py")):
        code = path.read_text(encoding="utf-8").rstrip()
        parts.append(f"## {path.stem}\n\n```python\n{code}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
