"""Reads web addresses, e-mail addresses and file paths."""

import re

from vocoder.text.characters import SILENT_MARK, WORD_MARK
from vocoder.text.normalisation.acronyms import read_token, spell_out
from vocoder.text.normalisation.numbers import cardinal, digits, year
from vocoder.text.normalisation.rules import Rule, rule
from vocoder.text.pronunciation.pronouncer import in_lexicon

_DOMAINS = (
    "com|org|net|edu|gov|mil|int|io|ai|app|dev|info|biz|co|me|tv|uk|us|ca|au|de|fr|eu|jp|cn|in|ch|"
    "at|nl|be|it|es|se|no|ru|br|nz|ie|xyz|online|site|tech|cloud|museum|page|blog"
)
_FILES = (
    "pdf|txt|docx?|xlsx?|pptx?|csv|json|ya?ml|toml|xml|html?|css|js|ts|py|cpp|hpp|rs|java|rb|php|"
    "sh|bat|exe|dll|so|zip|gz|tar|png|jpe?g|gif|svg|mp3|mp4|wav|flac|avi|mov|md|ini|cfg|log|db|sql"
)
_URL = re.compile(
    rf"(?:(?:https?|ftp|file)://|www\.)\S+|"
    rf"(?:[A-Za-z0-9-]{{1,63}}\.){{1,6}}(?:{_DOMAINS})(?::\d{{1,5}})?(?:[/?#]\S*)?"
)
_EMAIL = re.compile(r"(?:mailto:)?[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,6}[A-Za-z]{2,24}")
_PATH = re.compile(r"~?/[\w.@+-]{1,100}(?:/[\w.@+-]{0,100}){1,40}|[A-Za-z]:\\\S*|\.{1,2}/\S+")
_FILE = re.compile(rf"[\w-]{{1,100}}(?:\.[\w-]{{1,20}}){{0,3}}\.(?:{_FILES})")
_SCHEME = re.compile(r"^(?:https?|ftp|file)://|^mailto:")
_PART = re.compile(r"[A-Za-z]+(?:\d(?=\b))?|\d+|\S")
CHARACTER_NAMES = {
    ".": "dot", "/": "slash", "-": "dash", "_": "underscore", "?": "question mark", "=": "equals",
    "&": "and", "#": "hash", "@": "at", ":": "colon", "%": "percent", "+": "plus", "~": "tilde",
    "\\": "backslash", ",": "comma", ";": "semicolon", "*": "star", "!": "exclamation mark",
}  # fmt: skip
"""Names of punctuation marks, for text that is read character by character."""

_OPENING, _CLOSING = "\"'([{<", "\"')]}>.,;:!?…"


def read_address(written: str) -> str:
    """``www.example.com/a?q=1`` as 'W W W dot example dot com slash A question mark Q ...'."""
    written = _SCHEME.sub("", written)
    return " ".join(filter(None, map(_part, _PART.findall(written.rstrip("/")))))


def _part(part: str) -> str:
    if part in CHARACTER_NAMES:
        return CHARACTER_NAMES[part]
    if part.isdecimal():
        if len(part) == 4 and "1100" <= part <= "2099":
            return year(int(part))
        return cardinal(part) if len(part) < 3 else digits(part)
    if not part[0].isalnum():
        return ""
    if (
        part.isalpha()
        and part.islower()
        and not in_lexicon(part)
        and (len(part) < 4 or not _has_vowel(part))
    ):
        return spell_out(part)
    return read_token(part, all_caps=len(part) > 3 and in_lexicon(part))


def _has_vowel(part: str) -> bool:
    return not set(part.lower()).isdisjoint("aeiouy")


def _token(match: re.Match[str]) -> str | None:
    token = match[0]
    if not any(char in token for char in "./@\\"):
        return None
    core = token.lstrip(_OPENING)
    start = token[: len(token) - len(core)]
    core = core.rstrip(_CLOSING)
    end = token[len(start) + len(core) :]
    for pattern in (_EMAIL, _URL, _PATH, _FILE):
        if pattern.fullmatch(core):
            return start + read_address(core) + end
    return None


RULES: list[Rule] = [rule(r"\.NET\b", "dot net"), rule(rf"[^\s{WORD_MARK}{SILENT_MARK}]+", _token)]
"""Applied before all other rules."""
