"""Rewrite rules: a pattern, and the words that replace each match."""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple


class Rule(NamedTuple):
    """A pattern, and a function from a match to its words; None leaves the match unchanged."""

    pattern: re.Pattern[str]
    words: Callable[[re.Match[str]], str | None]


class RuleSet(NamedTuple):
    """Rules that are tried only on a text that contains the characters they need."""

    needs: re.Pattern[str]
    rules: tuple[Rule, ...]


def rule(pattern: str, words: str | Callable[[re.Match[str]], str | None]) -> Rule:
    """Make a rule from a pattern and its words, in which ``\\1`` is the first group."""
    if callable(words):
        return Rule(re.compile(pattern), words)
    template = words
    return Rule(re.compile(pattern), lambda match: match.expand(template))


def rule_set(needs: str, *rules: Rule) -> RuleSet:
    """Make a set of rules from the pattern that a text must contain."""
    return RuleSet(re.compile(needs), rules)


def apply(sets: Iterable[RuleSet], text: str) -> str:
    """The text after applying each rule in turn."""
    for needs, rules in sets:
        if needs.search(text):
            for pattern, words in rules:
                text = pattern.sub(_Replacement(words), text)
    return text


class _Replacement:
    def __init__(self, words: Callable[[re.Match[str]], str | None]) -> None:
        self._words = words

    def __call__(self, match: re.Match[str]) -> str:
        words = self._words(match)
        return match[0] if words is None else words


def any_of(names: Iterable[str]) -> str:
    """A pattern for any of the names, the longest first."""
    return "|".join(re.escape(name) for name in sorted(names, key=lambda name: (-len(name), name)))


def final_stop(match: re.Match[str]) -> str:
    """A full stop if the abbreviation's own also ends the text, otherwise nothing."""
    ends = match[0].endswith(".") and not match.string[match.end() :].strip("\"') ")
    return "." if ends else ""


def spaced(match: re.Match[str], words: str) -> str:
    """The words, separated by spaces from letters and digits beside the match."""
    text, start, end = match.string, match.start(), match.end()
    before = " " if start and text[start - 1].isalnum() else ""
    after = " " if end < len(text) and text[end].isalnum() else ""
    return f"{before}{words}{after}"
