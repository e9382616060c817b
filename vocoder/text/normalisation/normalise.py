"""Text normalisation for American English: the words a newsreader would say.

The result contains words in Latin letters and the punctuation ``, . ? !``. A single capital letter
is to be spelled out; the article is ``a``.
"""

import re

from vocoder.text.characters import SILENT_MARK, WORD_MARK
from vocoder.text.normalisation import abbreviations, addresses, dates, numbers, quantities, symbols
from vocoder.text.normalisation.acronyms import lower_articles, read_tokens
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
    rf"[^\W\d_]+(?:'[^\W\d_]+)*|[{WORD_MARK}{SILENT_MARK}]|[^\w\s{WORD_MARK}{SILENT_MARK}]+"
)
_HYPHEN = re.compile(r"(?<=\w)-(?=\w)")
STRENGTH = {"": 0, ",": 1, ".": 2, "!": 3, "?": 4}
"""Where two punctuation marks meet, the stronger one is kept."""

_COMMAS = frozenset(",;:—–()[]{}|·…")


def normalise(text: str) -> str:
    """The words and punctuation of a sentence.

    Args:
        text: clean text (see ``characters.clean``); its placeholders keep their order.
    """
    text = apply(_BEFORE_TOKENS, lower_articles(text))
    text = read_tokens(_HYPHEN.sub(" ", text))
    out: list[str] = []
    pause = ""
    for token in _TOKEN.findall(text):
        if token[0].isalpha() or token == WORD_MARK:
            if pause and out:
                out.append(pause)
            out.append(f" {token}")
            pause = ""
        elif token == SILENT_MARK:
            out.append(pause + token)
            pause = ""
        else:
            pause = max(pause, _pause(token), key=STRENGTH.__getitem__)
    return "".join([*out, pause]).strip() if out else ""


def _pause(punctuation: str) -> str:
    """The one of ``, . ? !`` that a run of punctuation is read as, or nothing."""
    for pause in "?!":
        if pause in punctuation:
            return pause
    if "..." in punctuation:
        return ","
    if "." in punctuation:
        return "."
    comma = not _COMMAS.isdisjoint(punctuation) or "--" in punctuation or punctuation == "-"
    return "," if comma else ""
