"""Rewrite rules: a pattern, and the words that replace each match."""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple


class Rule(NamedTuple):
    """A pattern, and a function from a match to its words; None leaves the match unchanged."""

    pattern: re.Pattern[str]
    words: Callable[[re.Match[str]], str | None]


def rule(pattern: str, words: str | Callable[[re.Match[str]], str | None]) -> Rule:
    """Make a rule from a pattern and its words, in which ``\\1`` is the first group."""
    if callable(words):
        return Rule(re.compile(pattern), words)
    template = words
    return Rule(re.compile(pattern), lambda match: match.expand(template))


def apply(rules: Iterable[Rule], text: str) -> str:
    """The text after applying each rule in turn."""
    for pattern, words in rules:
        text = pattern.sub(lambda match, words=words: _or_same(words(match), match), text)  # type: ignore[misc]
    return text


def _or_same(words: str | None, match: re.Match[str]) -> str:
    return match[0] if words is None else words


def final_stop(match: re.Match[str]) -> str:
    """A full stop if the abbreviation's own also ends the text, otherwise nothing."""
    ends = match[0].endswith(".") and not match.string[match.end() :].strip("\"') ")
    return "." if ends else ""
