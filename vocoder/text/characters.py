"""Character clean-up: one spelling of each character, and Latin letters without diacritics."""

import functools
import re
import unicodedata

from vocoder.text.unread import RAISED_FOOTNOTE_MARK, is_emoji

WORD_MARK = "\ue000"
"""Placeholder for a word with given phonemes; a list beside the text holds the phonemes."""

SILENT_MARK = "\ue001"
"""Placeholder for something silent, such as a break; the same list says what it is."""

PARAGRAPH = "\u2029"
"""Always ends a sentence."""

_NO_DECOMPOSITION = str.maketrans(
    {
        "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "th", "þ": "th",
        "ı": "i", "ə": "e", "ŋ": "ng", "ħ": "h", "ŧ": "t", "ĸ": "k", "ſ": "s", "ƒ": "f",
    }
)  # fmt: skip
_SUBSTITUTES = str.maketrans(
    {
        "‘": "'", "’": "'", "‛": "'", "ʼ": "'", "ʻ": "'", "′": "'", "`": "'", "´": "'", "＇": "'",
        "“": '"', "”": '"', "„": '"', "‟": '"', "«": '"', "»": '"', "″": '"', "‹": '"', "›": '"',
        "‐": "-", "‑": "-", "⁃": "-", "−": "-", "‒": "–", "―": "—", "⸺": "—", "⸻": "—",
        "º": "°", "˚": "°", "¿": " ", "¡": " ", "⁄": "/", "∕": "/", "∗": "*", "∙": "·", "•": "·",
        "‣": "·", "◦": "·",
        "，": ",", "、": ",", "。": ".", "！": "!", "？": "?", "：": ":", "；": ";", "․": ".",
        "‥": "..", "…": "...", "⟨": "<", "⟩": ">", "【": "[", "】": "]", "「": '"', "」": '"',
        "\u2028": "\n", "\x85": "\n", "\x0b": "\n", "\x0c": "\n\n", "®": " ", "™": " ", "℠": " ",
        "℃": "°C", "℉": "°F", "№": "No. ", "µ": "μ", "℗": " ", "ﬀ": "ff",
    }
)  # fmt: skip
_FRACTIONS = re.compile(r"(\d?)([¼-¾⅐-⅞])")
_FOOTNOTE_MARK = re.compile(RAISED_FOOTNOTE_MARK)
_SQUARED_UNIT = re.compile(
    r"(?:inch|inches|feet|foot|miles?|meters?|yards?|sec|min|unit|cos|sin|tan|log)$"
)
_SUPERSCRIPTS = re.compile(r"[²³¹⁰⁴-⁹⁺⁻ⁿ]+")
_SUBSCRIPT_LETTERS = re.compile(r"[ₐₑₒₓₕₖₗₘₙₚₛₜᵢⱼᵣᵤᵥ]")
_KEYCAP = re.compile("[\ufe0e\ufe0f]?\u20e3")
_GREEK = re.compile(
    r"(?<![Ͱ-Ͽἀ-῿])(?:[Α-ΛΝ-ΡΣ-Ψα-λν-ωϵϕ∆]|(?<!\w)μ(?![A-Za-z])|(?<![\dkM ])Ω(?!\w))(?![Ͱ-Ͽἀ-῿])"
)
_PLAIN = re.compile(r"[\n\t -~]*")


def word_set(text: str) -> frozenset[str]:
    """The set of words in a string that separates them by spaces."""
    return frozenset(text.split())


@functools.lru_cache(maxsize=20_000)
def fold(word: str) -> str:
    """A word reduced to the letters a-z and apostrophes: ``Zürich's`` is ``zurich's``."""
    lower = word.lower()
    if not lower.isascii():
        lower = unicodedata.normalize("NFD", lower.replace("’", "'").translate(_NO_DECOMPOSITION))
    return "".join(char for char in lower if "a" <= char <= "z" or char == "'")


def clean(text: str) -> str:
    """The text with a single spelling of each character.

    Resolves compatibility forms (NFKC), reduces quotes and dashes to a few kinds and digits to
    0-9, and removes emoji, control characters and invisible characters.
    """
    if _PLAIN.fullmatch(text):
        return text.replace("\t", " ").replace("`", "'")
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_SUBSTITUTES)
    text = _KEYCAP.sub(" ", text)
    text = _FRACTIONS.sub(_spaced_fraction, text)
    text = _FOOTNOTE_MARK.sub(_without_footnote_mark, text)
    text = _SUBSCRIPT_LETTERS.sub(lambda match: "_" + unicodedata.normalize("NFKC", match[0]), text)
    text = _SUPERSCRIPTS.sub(lambda match: "^" + unicodedata.normalize("NFKC", match[0]), text)
    text = "".join(map(_without_emoji, text))
    text = unicodedata.normalize("NFKC", text).translate(_SUBSTITUTES)
    text = "".join(map(_plain, text))
    return _GREEK.sub(_greek_name, text)


def _greek_name(match: re.Match[str]) -> str:
    name = unicodedata.name(match[0]).removesuffix(" SYMBOL").rpartition(" ")[2].lower()
    name = {"lamda": "lambda", "increment": "delta"}.get(name, name)
    return f" {name} "


def _without_footnote_mark(match: re.Match[str]) -> str:
    squared = _SQUARED_UNIT.search(match.string, max(0, match.start() - 8), match.start())
    return match[0] if squared else ""


def _spaced_fraction(match: re.Match[str]) -> str:
    fraction = unicodedata.normalize("NFKC", match[2]).replace("⁄", "/")
    return f"{match[1]} {fraction}" if match[1] else fraction


@functools.lru_cache(maxsize=5_000)
def _without_emoji(char: str) -> str:
    """The character, or a space for an emoji."""
    return " " if is_emoji(char) else char


@functools.lru_cache(maxsize=5_000)
def _plain(char: str) -> str:
    """The character, its replacement, or nothing."""
    if char == "\n":
        return char
    category = unicodedata.category(char)
    if category in ("Zs", "Zl") or char == "\t":
        return " "
    if category == "Zp":
        return "\n\n"
    if category == "Nd":
        return str(unicodedata.decimal(char))
    if category in ("No", "Nl"):
        return f" {unicodedata.numeric(char):g} "
    if category in ("Cc", "Cf", "Co", "Cn", "Cs", "Mn", "Me"):
        return ""
    return char


@functools.lru_cache(maxsize=5_000)
def is_readable(letter: str) -> bool:
    """Whether a letter is Latin, with or without diacritics, or the symbol of a unit."""
    return bool(fold(letter).strip("'")) or letter in "μΩ"


def script(letter: str) -> str:
    """Name of the script a letter belongs to, such as Cyrillic."""
    name = unicodedata.name(letter, "unknown").split()[0]
    return {"CJK": "Chinese"}.get(name, name.capitalize())
