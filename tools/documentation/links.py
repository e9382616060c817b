"""Check a built site: no dead link, no missing anchor, nothing loaded from another host.

``python tools/documentation/links.py build/site`` prints what is wrong and then exits with 1. The
generator checks the links written in Markdown; this also covers HTML, references and media.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script", "img", "audio", "video", "source", "iframe", "link"}
"""Elements whose address a browser fetches by itself."""


class _Page(HTMLParser):
    """Anchors and addresses of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.addresses: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag names and where it points."""
        given = dict(attrs)
        self.anchors |= {name for key in ("id", "name") if (name := given.get(key))}
        self.addresses += [(tag, url) for key in ("href", "src") if (url := given.get(key))]


def check(site: Path) -> list[str]:
    """What is wrong with a site, a line each."""
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    wrong = []
    for path, page in pages.items():
        if path.name == "404.html":
            continue  # Its links begin at the root of wherever the site is put.
        for tag, address in page.addresses:
            parts = urlsplit(address)
            where = f"{path.relative_to(site)}: {address}"
            if parts.scheme or parts.netloc:
                if tag in LOADED and parts.scheme != "data":
                    wrong.append(f"{where} is loaded from another host")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                wrong.append(f"{where} does not exist")
            elif parts.fragment and target.suffix == ".html":
                found = next(p for other, p in pages.items() if other.resolve() == target)
                if unquote(parts.fragment) not in found.anchors:
                    wrong.append(f"{where} has no such anchor")
    return wrong


def main() -> None:
    """Check the site that the command line names."""
    wrong = check(Path(sys.argv[1]))
    print("\n".join(wrong) or "no dead links")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
