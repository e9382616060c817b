"""Reads web addresses, e-mail addresses and file paths."""

import re

from vocoder.text.characters import SILENT_MARK, WORD_MARK, word_set
from vocoder.text.normalisation.acronyms import read_token, spell_out
from vocoder.text.normalisation.numbers import cardinal, digits, year
from vocoder.text.normalisation.rules import Rule, rule, spaced
from vocoder.text.pronunciation.pronouncer import in_lexicon
from vocoder.text.unread import ADDRESS_SCHEME

_DOMAINS = (
    "com|org|net|edu|gov|mil|int|io|ai|app|dev|info|biz|co|me|tv|uk|us|ca|au|de|fr|eu|jp|cn|in|ch|"
    "at|nl|be|it|es|se|no|ru|br|nz|ie|xyz|online|site|tech|cloud|museum|page|blog|st|ly|gg|fm|to|"
    "store|shop|news|wiki|link|local|live|world|gov|pl|pt|fi|dk|gr|hk|sg|kr|za|mx|cz|il|ph|vn|my|"
    "ar|cl|pe|tr|ua|ro|hu|sk|is|lu|su|eco|art|design|club|pro|name|jobs|mobi|arpa|example|invalid"
)
_FILES = (
    "pdf|txt|docx?|xlsx?|pptx?|csv|json|ya?ml|toml|xml|html?|css|js|ts|py|cpp|hpp|rs|java|rb|php|"
    "sh|bat|exe|dll|so|zip|gz|tar|png|jpe?g|gif|svg|mp3|mp4|wav|flac|avi|mov|md|ini|cfg|log|db|sql|"
    "conf|env|lock|tsx|jsx|go|kt|swift|ipynb|rst|tex|bib|iso|dmg|apk|deb|rpm|webp|ico|ttf|woff2?|c|h|"
    "cc|mkv|ogg|m4a|heic|bak|tmp|bin|dat|pem|key|crt|vue|scss|less|gradle|proto|parquet|onnx"
)
_FOLDERS = (
    "src|docs?|usr|etc|lib|bin|app|apps|tests?|home|var|tmp|opt|dist|build|public|config|api|users?|"
    "data|packages|include|scripts|tools|models?|checkpoints|assets|static|components|vendor|mnt|"
    "dev|root|origin|feature|node_modules"
)
_URL = re.compile(
    rf"(?i:(?:https?|ftp|file)://|www\.)\S+|"
    rf"(?i:(?:[a-z0-9-]{{1,63}}\.){{1,6}}(?:{_DOMAINS}))(?::\d{{1,5}})?(?:[/?#]\S*)?|"
    r"localhost(?::\d{1,5})?(?:/\S*)?"
)
_CAPITALISED_SENTENCE = re.compile(r"[A-Za-z]?[a-z]+\.[A-Z][a-z]*")
_EMAIL = re.compile(r"(?:mailto:)?[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,6}[A-Za-z]{2,24}")
_PATH = re.compile(
    r"~?/[A-Za-z_.][\w.@+-]{0,100}(?:/[\w.@+-]{0,100}){0,40}|[A-Za-z]:\\\S*|\.{1,2}/\S+|~/|"
    rf"[\w.@+-]{{1,100}}(?:/[\w.@+-]{{1,100}}){{0,20}}/[\w-]{{1,100}}(?:\.[\w-]{{1,20}}){{0,2}}\.(?:{_FILES})|"
    rf"(?:{_FOLDERS})(?:/[\w.@+-]{{1,100}}){{1,20}}/?"
)
_FILE = re.compile(rf"[\w-]{{1,100}}(?:\.[\w-]{{1,20}}){{0,3}}\.(?:{_FILES})(?:[#?]\S{{1,200}})?")
_HANDLE = re.compile(r"@(?=\w{0,30}[_\d])\w{2,30}")
_SCHEME = re.compile(ADDRESS_SCHEME)
_PART = re.compile(r"[A-Za-z]+(?:\d(?=\b))?|\d+|\S")
CHARACTER_NAMES = {
    ".": "dot", "/": "slash", "-": "dash", "_": "underscore", "?": "question mark", "=": "equals",
    "&": "and", "#": "hash", "@": "at", ":": "colon", "%": "percent", "+": "plus", "~": "tilde",
    "\\": "backslash", ",": "comma", ";": "semicolon", "*": "star", "!": "exclamation mark",
}  # fmt: skip
"""Names of punctuation marks, for text that is read character by character."""

_SPELLED = word_set(
    "etc src usr tmp lib cfg io uk www tv us ca id ai py rb js ts md rs gg ly fm st"
)
"""Parts that are spelled in an address, although elsewhere they are words or abbreviations."""

_OPENING, _CLOSING = "\"'([{<", "\"')]}>.,;:!?…"


def read_address(written: str) -> str:
    """``www.example.com/a?q=1`` as 'W W W dot example dot com slash A question mark Q ...'."""
    written = _SCHEME.sub("", written)
    if written.isupper():
        written = written.lower()
    return " ".join(filter(None, map(_part, _PART.findall(written.rstrip("/")))))


def _part(part: str) -> str:
    if part in CHARACTER_NAMES:
        return CHARACTER_NAMES[part]
    if part.isdecimal():
        if len(part) == 4 and "1100" <= part <= "2099":
            return year(int(part))
        return cardinal(part) if len(part) < 3 else digits(part)
    if not part[0].isalnum():
        return f" {part} "
    if part in _SPELLED:
        return spell_out(part)
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
    if core.lower() in _NOT_ADDRESSES or _CAPITALISED_SENTENCE.fullmatch(core):
        return None
    for pattern in (_EMAIL, _URL, _PATH, _FILE, _HANDLE):
        if pattern.fullmatch(core):
            # A space keeps the last part and the full stop from being read as an abbreviation.
            return (
                f"{start}{read_address(core)} {end}"
                if end[:1] == "."
                else start + read_address(core) + end
            )
    return None


_NOT_ADDRESSES = word_set("and/or he/she she/he n/a w/o c/o a.m p.m i.e e.g vs.")

RULES: tuple[Rule, ...] = (
    rule(r"\.NET\b", lambda match: spaced(match, "dot net")),
    rule(r"(?<!\d )(?<!\d)\bkm/h\b", "kilometers per hour"),
    rule(rf"[^\s{WORD_MARK}{SILENT_MARK}]+", _token),
)
"""Applied before all other rules but those for markup."""
