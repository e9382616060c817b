"""Markdown to plain text: removes markup that is not spoken and keeps sentence ends."""

import re
from collections.abc import Callable

from vocoder.text import unread
from vocoder.text.characters import PARAGRAPH
from vocoder.text.latex import without_latex
from vocoder.text.sentences import STARTERS

_LONGEST_VERSE = 60
"""A line with more characters is taken for a line of wrapped prose, which goes on in the next."""

_STARTS = "|".join(sorted(word.capitalize() for word in STARTERS if word.isalpha()))
_TITLE_STOP = r"\b(?:Dr|Mr|Mrs|Ms|St|Prof|No|Ave|Apt|Ste|Rd|Blvd|[A-Z])\. "

_RULES: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (re.compile(r"[ \t]+"), " "),
    (re.compile(r" ?\n ?"), "\n"),
    (re.compile(unread.FENCE), "\n"),
    (re.compile(unread.RULE), "\n"),
    (re.compile(unread.TABLE_RULE), ""),
    (
        re.compile(r"(?m)^\|(?P<row>[^\n|]{1,500}\|[^\n]{1,1000})\|$"),
        rf"{PARAGRAPH}\g<row>{PARAGRAPH}",
    ),
    (re.compile(r"(?m)^(?:> ?)+(?![\d.=])"), ""),
    (re.compile(r"(?m)^#{1,6} ([^\n]*?)(?: #+)?$"), rf"{PARAGRAPH}\1{PARAGRAPH}"),
    (re.compile(r"(?m)^[-*+·] (?:\[[ xX]\] )?(?!\d+(?:\.\d+)? ?[°a-z])"), PARAGRAPH),
    (re.compile(r"(?m)^(\d{1,3})[.)] "), rf"{PARAGRAPH}\1, "),
    (re.compile(r"(?m)^\(?([a-z])\) "), lambda match: f"{PARAGRAPH}{match[1].upper()}, "),
    (re.compile(unread.LINK_TARGET), r"\1"),
    (re.compile(unread.FOOTNOTE_MARK), ""),
    (re.compile(r"(?<![\w*])\*{1,3}(?=[^\s*\d])"), ""),
    (re.compile(r"(?<=[^\s*])\*{1,3}(?![\w*])"), ""),
    (re.compile(r"(?<![\w_])_{1,3}(?=[^\W_])"), ""),
    (re.compile(r"(?<=[^\W_])_{1,3}(?![\w_])"), ""),
    (re.compile(r"~~"), ""),
    (re.compile(rf"\.(?=[A-Z])(?:(?<=[a-z]{{2}}\.)(?=(?:{_STARTS})\b)|(?<=\d[ap]m\.))"), ". "),
    (re.compile(r"([!?])(?<=[a-z]{2}.)(?=[A-Z][a-z'])"), r"\1 "),
    (re.compile(r"\n{2,}"), PARAGRAPH),
    (
        re.compile(
            rf"(?m)^(?=\S)((?:{_TITLE_STOP}|(?![.!?…]\s)[^\n]){{1,{_LONGEST_VERSE}}}[\w)\"'])\n"
            r"(?=[\"'(]?[A-Z\d])"
        ),
        r"\1, ",
    ),
    (re.compile(r"\n"), " "),
]


def without_markdown(text: str) -> str:
    """Plain text from clean text (see ``characters.clean``) that may contain Markdown.

    Headings, list items, rows of a table and paragraphs end a sentence; the end of a short line,
    as of verse or an address, is a pause.
    """
    text = without_latex(text)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
