"""Written American English to words: the text a newsreader would say.

The outcome holds words of Latin letters and the punctuation ``, . ? !``. A single capital letter is
a letter to be spelled; the article is ``a``.
"""

import re

from vocoder.text.characters import SIGN_MARK, WORD_MARK
from vocoder.text.normalisation import abbreviations, addresses, dates, numbers, quantities, symbols
from vocoder.text.normalisation.acronyms import articles, read_tokens
from vocoder.text.normalisation.rules import apply

_BEFORE_TOKENS = (
    *addresses.RULES,
    *symbols.BEFORE_NUMBERS,
    *dates.RULES,
    *quantities.MONEY_RULES,
    *numbers.PLURALS,
    *quantities.UNIT_RULES,
    *abbreviations.RULES,
    *numbers.RULES,
    *symbols.AFTER_NUMBERS,
)
_TOKEN = re.compile(
    rf"[^\W\d_]+(?:'[^\W\d_]+)*|[{WORD_MARK}{SIGN_MARK}]|[^\w\s{WORD_MARK}{SIGN_MARK}]+"
)
_HYPHEN = re.compile(r"(?<=\w)-(?=\w)")
STRENGTH = {"": 0, ",": 1, ".": 2, "!": 3, "?": 4}
"""Of two signs of punctuation in one place the stronger is heard."""

_COMMAS = frozenset(",;:—–()[]{}|·…")


def normalise(text: str) -> str:
    """Words and punctuation of a sentence.

    Args:
        text: clean (see ``characters.clean``); its marks keep their order.
    """
    text = apply(_BEFORE_TOKENS, articles(text))
    text = read_tokens(_HYPHEN.sub(" ", text))
    out: list[str] = []
    pause = ""
    for token in _TOKEN.findall(text):
        if token[0].isalpha() or token == WORD_MARK:
            if pause and out:
                out.append(pause)
            out.append(f" {token}")
            pause = ""
        elif token == SIGN_MARK:
            out.append(pause + token)
            pause = ""
        else:
            pause = max(pause, _pause(token), key=STRENGTH.__getitem__)
    return "".join([*out, pause]).strip() if out else ""


def _pause(signs: str) -> str:
    """The punctuation that is heard where ``signs`` are written."""
    for pause in "?!":
        if pause in signs:
            return pause
    if "..." in signs:
        return ","
    if "." in signs:
        return "."
    return "," if not _COMMAS.isdisjoint(signs) or "--" in signs or signs == "-" else ""
