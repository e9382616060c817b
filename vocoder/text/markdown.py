"""Markdown to plain text: removes markup that is not spoken and keeps sentence ends."""

import re

from vocoder.text.characters import PARAGRAPH

_RULES = [
    (re.compile(r"[ \t]+"), " "),
    (re.compile(r" ?\n ?"), "\n"),
    (re.compile(r"(?m)^['~]{3,}[^\n]*$"), "\n"),  # code fences
    (re.compile(r"(?m)^(?:[-*_=] ?){3,}$"), "\n"),  # horizontal rules
    (re.compile(r"(?m)^(?:> ?)+"), ""),
    (re.compile(r"(?m)(?<=\w) #+$"), ""),
    (re.compile(r"(?m)^#{1,6} ([^\n]*)$"), rf"{PARAGRAPH}\1{PARAGRAPH}"),
    (re.compile(r"(?m)^[-*+·] (?:\[[ xX]\] )?"), PARAGRAPH),
    (re.compile(r"(?m)^(\d{1,3})[.)] "), rf"{PARAGRAPH}\1, "),
    (re.compile(r"!?\[([^\[\]\n]{0,500})\]\([^()\s]{0,2000}\)"), r"\1"),
    (re.compile(r"(?<![\w*])\*{1,3}(?=[^\s*])"), ""),
    (re.compile(r"(?<=[^\s*])\*{1,3}(?![\w*])"), ""),
    (re.compile(r"(?<![\w_])_{1,3}(?=[^\W_])"), ""),
    (re.compile(r"(?<=[^\W_])_{1,3}(?![\w_])"), ""),
    (re.compile(r"~~"), ""),
    (re.compile(r"\n{2,}"), PARAGRAPH),
    (re.compile(r"\n"), " "),
]


def without_markdown(text: str) -> str:
    """Plain text from clean text (see ``characters.clean``) that may contain Markdown.

    Headings, list items and paragraphs end a sentence; a single line break becomes a space.
    """
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
