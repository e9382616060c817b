"""A pass over a text: where a pattern matches, words replace what is written."""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple


class Rule(NamedTuple):
    """A pattern, and the words for what it matches; None leaves the match as it is."""

    pattern: re.Pattern[str]
    words: Callable[[re.Match[str]], str | None]


def rule(pattern: str, words: str | Callable[[re.Match[str]], str | None]) -> Rule:
    """A rule from a pattern and its words, in which ``\\1`` is the first group."""
    if callable(words):
        return Rule(re.compile(pattern), words)
    template = words
    return Rule(re.compile(pattern), lambda found: found.expand(template))


def apply(rules: Iterable[Rule], text: str) -> str:
    """The text after each rule in turn."""
    for pattern, words in rules:
        text = pattern.sub(lambda found, words=words: _or_same(words(found), found), text)  # type: ignore[misc]
    return text


def _or_same(words: str | None, found: re.Match[str]) -> str:
    return found[0] if words is None else words


def final_stop(found: re.Match[str]) -> str:
    """A stop where the one of an abbreviation ends the text as well."""
    ends = found[0].endswith(".") and not found.string[found.end() :].strip("\"') ")
    return "." if ends else ""
