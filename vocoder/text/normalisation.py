"""Written text to words."""

import re

from vocoder.text.characters import SIGN_MARK, WORD_MARK


def normalise(text: str) -> str:
    """Placeholder: words and punctuation only."""
    text = re.sub(r"[;:—–()\[\]]", ",", text)
    return " ".join(re.findall(rf"[^\W\d_]+(?:'[^\W\d_]+)*|[,.?!{SIGN_MARK}{WORD_MARK}]", text))
