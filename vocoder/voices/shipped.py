"""The voices that come with this package."""

from pathlib import Path

NAME = "checkpoints"


def shipped_voices() -> Path:
    """Folder of the voices that come with this package.

    A wheel contains it. Elsewhere (an editable install, a checkout) it is the repository's.
    """
    package = Path(__file__).resolve().parents[1]
    installed = package / NAME
    return installed if installed.is_dir() else package.parent / NAME
