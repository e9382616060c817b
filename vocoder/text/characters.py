"""Characters: one way to write each, and Latin letters without their marks."""

import functools
import re
import unicodedata

WORD_MARK = "\ue000"
"""Stands in a text for a word with given phonemes; a list kept beside the text says which."""

SIGN_MARK = "\ue001"
"""Stands in a text for something silent, such as a break; the same list says what."""

PARAGRAPH = "\u2029"
"""Ends a sentence wherever it stands."""

_KEPT_SYMBOLS = "°©®™℃℉№℗Ω√"
_NO_DECOMPOSITION = str.maketrans(
    {
        "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "th", "þ": "th",
        "ı": "i", "ə": "e", "ŋ": "ng", "ħ": "h", "ŧ": "t", "ĸ": "k", "ſ": "s", "ƒ": "f",
    }
)  # fmt: skip
_SIGNS = str.maketrans(
    {
        "‘": "'", "’": "'", "‛": "'", "ʼ": "'", "ʻ": "'", "′": "'", "`": "'", "´": "'", "＇": "'",
        "“": '"', "”": '"', "„": '"', "‟": '"', "«": '"', "»": '"', "″": '"', "‹": '"', "›": '"',
        "‐": "-", "‑": "-", "⁃": "-", "−": "-", "‒": "–", "―": "—", "⸺": "—", "⸻": "—",
        "¿": " ", "¡": " ", "⁄": "/", "∕": "/", "∗": "*", "∙": "·", "•": "·", "‣": "·", "◦": "·",
        "，": ",", "、": ",", "。": ".", "！": "!", "？": "?", "：": ":", "；": ";", "․": ".",
        "‥": "..", "…": "...", "⟨": "<", "⟩": ">", "【": "[", "】": "]", "「": '"', "」": '"',
        "\u2028": "\n", "\x85": "\n", "\x0b": "\n", "\x0c": "\n\n", "®": " ", "™": " ", "℠": " ",
        "℃": "°C", "℉": "°F", "№": "No. ", "µ": "μ", "℗": " ", "ﬀ": "ff",
    }
)  # fmt: skip
_FRACTIONS = re.compile(r"(\d?)([¼-¾⅐-⅞])")
_SUPERSCRIPTS = re.compile(r"[²³¹⁰⁴-⁹]+")
_KEYCAP = re.compile("[\ufe0e\ufe0f]?\u20e3")
_GREEK = re.compile(r"(?<![^\W\d_])[Α-ΛΝ-ΡΣ-Ψα-λν-ω](?![^\W\d_])")
_PLAIN = re.compile(r"[\n\t -~]*")


def words(text: str) -> frozenset[str]:
    """The words of a list, separated by spaces."""
    return frozenset(text.split())


@functools.lru_cache(maxsize=20_000)
def fold(word: str) -> str:
    """Small letters a-z and apostrophes of a word: ``Zürich's`` is ``zurich's``."""
    small = word.lower()
    if not small.isascii():
        small = unicodedata.normalize("NFD", small.replace("’", "'").translate(_NO_DECOMPOSITION))
    return "".join(sign for sign in small if "a" <= sign <= "z" or sign == "'")


def clean(text: str) -> str:
    """The text with one way to write each character.

    Compatibility forms are resolved (NFKC), quotes and dashes are of few kinds, digits are 0-9;
    emoji, control characters and all that is invisible are gone.
    """
    if _PLAIN.fullmatch(text):
        return text.replace("\t", " ").replace("`", "'")
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_SIGNS)
    text = _KEYCAP.sub(" ", text)
    text = _FRACTIONS.sub(_spaced_fraction, text)
    text = _SUPERSCRIPTS.sub(lambda found: "^" + unicodedata.normalize("NFKC", found[0]), text)
    text = unicodedata.normalize("NFKC", _without_pictures(text)).translate(_SIGNS)
    text = "".join(map(_plain, text))
    return _GREEK.sub(_greek_name, text)


def _greek_name(found: re.Match[str]) -> str:
    name = unicodedata.name(found[0]).rpartition(" ")[2].lower()
    return f" {'lambda' if name == 'lamda' else name} "


def _spaced_fraction(found: re.Match[str]) -> str:
    fraction = unicodedata.normalize("NFKC", found[2]).replace("⁄", "/")
    return f"{found[1]} {fraction}" if found[1] else fraction


def _without_pictures(text: str) -> str:
    return "".join(map(_no_picture, text))


@functools.lru_cache(maxsize=5_000)
def _no_picture(sign: str) -> str:
    kind = unicodedata.category(sign)
    picture = kind == "So" or (kind == "Sk" and sign > "\U0001f000")
    return " " if picture and sign not in _KEPT_SYMBOLS else sign


@functools.lru_cache(maxsize=5_000)
def _plain(sign: str) -> str:
    """One character, what stands for it, or nothing."""
    if sign == "\n":
        return sign
    kind = unicodedata.category(sign)
    if kind in ("Zs", "Zl") or sign == "\t":
        return " "
    if kind == "Zp":
        return "\n\n"
    if kind == "Nd":
        return str(unicodedata.decimal(sign))
    if kind in ("No", "Nl"):
        return " "
    if kind in ("Cc", "Cf", "Co", "Cn", "Cs", "Mn", "Me"):
        return ""
    return sign


@functools.lru_cache(maxsize=5_000)
def readable(letter: str) -> bool:
    """Whether a letter is Latin, marks or not, or the sign of a unit."""
    return bool(fold(letter).strip("'")) or letter in "μΩ"


def script(letter: str) -> str:
    """The script of a letter, such as Cyrillic."""
    name = unicodedata.name(letter, "unknown").split()[0]
    return {"CJK": "Chinese"}.get(name, name.capitalize())
