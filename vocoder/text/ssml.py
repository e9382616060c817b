"""SSML."""

from vocoder.errors import TextError
from vocoder.text.marked import MarkedText


def read_ssml(text: str, marked: MarkedText) -> None:
    """Placeholder."""
    raise TextError("ssml: not read yet")
