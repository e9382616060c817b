"""Homographs whose pronunciation the words around them decide, where the tagger often errs."""

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vocoder.text.characters import word_set

_BEFORE, _AFTER = 6, 4
"""Words before and after that are looked at."""

_START = "<start>"
_LISTS = {
    "modal": "to will would can could should must may might shall do don't didn't doesn't does did "
    "can't couldn't won't wouldn't shouldn't let's please not never i'll you'll we'll they'll "
    "he'll she'll it'll i'd we'd you'd",
    "pronoun": "i we you they who",
    "subject": "i we you they who he she it",
    "have": "have has had having i've we've you've they've he's she's it's haven't hasn't hadn't",
    "be": "is are was were be been being am get got gets",
    "the": "the a an this that my his her our their your its every each some any no",
    "object": "the a an this that my his her our their your its it them him me us all any every "
    "these",
}
_NAME = re.compile(r"<(\w+)>")


class _Context(NamedTuple):
    """A pronunciation, and what must stand before and after the word; None is anything."""

    ipa: str
    before: re.Pattern[str] | None
    after: re.Pattern[str] | None


_NOUN_OR_VERB = frozenset({"NN", "VB"})
_TO_VERB = word_set(
    "to will would can could should must may might shall don't didn't doesn't can't couldn't won't "
    "let's please i we they you i'll you'll we'll they'll who"
)
_TO_NOUN = word_set("the a an this that my his her our their your its no every each some any")
_OBJECTS = word_set(
    "the a an this that my his her our their your its it them all any these those to"
)


def by_context(spellings: Sequence[str], index: int) -> str:
    """The pronunciation that the words around decide; empty if they do not."""
    contexts = _contexts().get(spellings[index])
    if contexts is None:
        return ""
    before = " ".join(spellings[max(0, index - _BEFORE) : index]) + " "
    after = " ".join(spellings[index + 1 : index + 1 + _AFTER])
    if not index:
        before = f"{_START} "
    for ipa, preceding, following in contexts:
        if (preceding is None or preceding.match(before)) and (
            following is None or following.match(after)
        ):
            return ipa
    return ""


def tag_by_context(spellings: Sequence[str], index: int, tags: frozenset[str]) -> str:
    """NN or VB for a word that can be either, where a neighbour leaves no doubt; or nothing."""
    if tags != _NOUN_OR_VERB:
        return ""
    before = spellings[index - 1] if index else ""
    after = spellings[index + 1] if index + 1 < len(spellings) else ""
    if before in _TO_VERB or (not index and after in _OBJECTS):
        return "VB"
    return "NN" if before in _TO_NOUN else ""


@functools.cache
def _contexts() -> dict[str, list[_Context]]:
    """The contexts of ``homographs.tsv`` by word."""
    found: dict[str, list[_Context]] = {}
    lines = Path(__file__).with_name("homographs.tsv").read_text("utf-8").splitlines()
    for line in lines:
        if line and not line.startswith("#"):
            word, ipa, before, after = [*line.split("\t"), "", ""][:4]
            found.setdefault(word, []).append(
                _Context(
                    ipa,
                    re.compile(rf"(?:^|.* )(?:{_expanded(before)}) $") if before else None,
                    re.compile(rf"(?:{_expanded(after)})(?: |$)") if after else None,
                )
            )
    return found


def _expanded(pattern: str) -> str:
    return _NAME.sub(
        lambda name: "|".join(_LISTS[name[1]].split()) if name[1] in _LISTS else name[0], pattern
    )
