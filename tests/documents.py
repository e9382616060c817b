"""The documentation as its tests read it: pages, code blocks and shell commands."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
GENERATED = {"benchmarks.md", "benchmarks-amd.md"}
"""Pages that a command writes."""

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name not in GENERATED),
]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A fenced block of code."""

    page: str
    language: str
    text: str


def blocks(language: str | None = None, *names: str) -> list[Block]:
    """Code blocks in one language, or all; of the pages named, or all."""
    found = [
        Block(path.name, *match.groups())
        for path in PAGES
        for match in _BLOCK.finditer(path.read_text(encoding="utf-8"))
        if not names or path.name in names
    ]
    return [block for block in found if language in (None, block.language)]


def commands() -> dict[str, str]:
    """Every distinct shell command of the documentation without its comment, and its page."""
    found: dict[str, str] = {}
    for block in blocks("sh"):
        for line in block.text.replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                found.setdefault(shlex.join(words), block.page)
    return found
