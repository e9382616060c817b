"""Text normalisation for American English: the words a newsreader would say.

The result contains words in Latin letters and the punctuation ``, . ? !``. A single capital letter
is to be spelled out; the article is ``a``.

Rules rewrite the text one set after the other, so their order is part of their meaning: a set whose
notation is unmistakable comes before sets whose patterns also match parts of it.

1. Tags, entities and emoticons, whose signs mean something else everywhere below.
2. Addresses and paths: within them, stops, slashes, hyphens and digits are only characters.
3. Single-number formats (``1 000 000``, ``12,5%``), so that all that follow know one format.
4. Notation of particular fields: ``John 3:16`` is no time of day, ``4/4 time`` is no fraction.
5. Codes: in ``call 555-0142``, and after ``code is``, digits are neither ranges nor quantities.
6. Dates before times (``2021-01-03T10:30``), and both before fractions and ranges (``3/4/2021``).
7. Money before units: the ``m`` in ``£5m`` is a million.
8. Versions: ``v2.0.1`` and ``Qwen2.5`` are no decimals with a unit.
9. Durations and plurals: the ``s`` in ``5m 30s`` is seconds, that in ``1990s`` is not.
10. Algebra, then operators and ranges, which leave numbers for the rules below.
11. Scaled numbers, quantities, then bare fractions: a unit changes how a fraction is read.
12. Streets before titles (``Oak Dr.``), abbreviations before Roman numerals (``pp. iv``).
13. Numbers that are left, and the signs that are left.

Then tokens that are not ordinary words are read: acronyms, names with digits, camelCase.
"""

import re

from vocoder.text.characters import SILENT_MARK, WORD_MARK
from vocoder.text.normalisation import (
    abbreviations,
    addresses,
    amounts,
    codes,
    dates,
    fields,
    mathematics,
    money,
    numbers,
    places,
    quantities,
    roman,
    symbols,
    times,
)
from vocoder.text.normalisation.acronyms import lower_articles, read_tokens
from vocoder.text.normalisation.rules import apply, rule_set

_DIGIT = r"\d"
_BEFORE_TOKENS = (
    rule_set(r"[<&:;=]", *symbols.MARKUP),
    rule_set(r"[./@\\:]", *addresses.RULES),
    rule_set(_DIGIT, *numbers.FORMATS),
    *fields.SETS,
    rule_set(r"\d", *codes.RULES),
    rule_set(r"\d|[A-Z][a-z]{2}\.?[-–]", *dates.RULES),
    rule_set(_DIGIT, *times.RULES),
    rule_set(
        r"[$£€¥¢\u20a0-\u20cf฿]|\d ?(?:p\b|[A-Z]{3}\b)|(?:Rs\.?|RM|[A-Z]{3}) ?\d", *money.RULES
    ),
    rule_set(_DIGIT, *numbers.VERSIONS),
    rule_set(_DIGIT, *quantities.DURATIONS, *numbers.PLURALS),
    rule_set(r"[-+*/=^|_√×!(]", *mathematics.RULES),
    rule_set(r"[-=<>→⇒➔➜⟶←⇐↔⇔+#♭♯@/xX×©]", *symbols.OPERATORS),
    rule_set(_DIGIT, *symbols.RANGES, *amounts.SCALED, *quantities.RULES, *amounts.FRACTIONS),
    *places.SETS,
    *abbreviations.SETS,
    rule_set(r"[IVXLivxl]{1,8}\b|WW", *roman.RULES),
    rule_set(_DIGIT, *numbers.RULES),
    rule_set(r"[^\w\s,.?!'\"()-]|_|(?<=\w)\.\w|['\"]{2}", *symbols.UNREAD_SIGNS),
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
        # A stop on its own within a sentence belongs to an abbreviation.
        if token[0].isalpha() or token == WORD_MARK:
            if pause and out:
                out.append(pause)
            out.append(f" {token}")
            pause = ""
        elif token == SILENT_MARK:
            out.append(pause + token)
            pause = ""
        else:
            pause = max(pause, "" if token == "." else _pause(token), key=STRENGTH.__getitem__)
    if not pause and text.rstrip().endswith("."):
        pause = "."
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
