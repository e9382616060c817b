"""Reads numbers in American English: 'one hundred twenty three', never 'one hundred and'."""

import functools
import re

from num2words import num2words

from vocoder.text.normalisation.rules import Rule, rule, spaced

NUMBER = r"(?:\d{1,3}(?:,\d{3}){1,6}(?![\d])|\d{1,30})(?:\.\d{1,30})?"
"""Digits, with or without thousands separators and decimals."""

SCALES = {
    "k": "thousand", "K": "thousand", "m": "million", "M": "million", "mn": "million",
    "b": "billion", "B": "billion", "bn": "billion", "tn": "trillion", "T": "trillion",
}  # fmt: skip
"""Suffixes that scale an amount of money."""

_LONGEST_CARDINAL = 9
_DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_PARTS = {2: "half", 4: "quarter"}
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_ROMAN_NUMBER = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")


@functools.lru_cache(maxsize=10_000)
def cardinal(written: str) -> str:
    """``1,234.50`` as 'one thousand two hundred thirty four point five zero'.

    Numbers with a leading zero, or with ten or more digits and no separators, are read digit by
    digit.
    """
    whole, point, decimals = written.partition(".")
    if not whole:
        return f"point {digits(decimals)}"
    separated = "," in whole
    whole = whole.replace(",", "")
    if (
        (len(whole) > 1 and whole[0] == "0")
        or (len(whole) > _LONGEST_CARDINAL and not separated)
        or len(whole) > 21
    ):
        words = digits(whole)
    else:
        words = _spelled(int(whole), "cardinal")
    return f"{words} point {digits(decimals)}" if point and decimals else words


@functools.lru_cache(maxsize=10_000)
def ordinal(number: int) -> str:
    """21 as 'twenty first'."""
    return _spelled(number, "ordinal")


def digits(written: str) -> str:
    """``007`` as 'zero zero seven'; ignores characters that are not digits."""
    return " ".join(_DIGITS[int(char)] for char in written if char in "0123456789")


@functools.lru_cache(maxsize=10_000)
def year(number: int) -> str:
    """1999 as 'nineteen ninety nine', 2005 as 'two thousand five', 1905 as 'nineteen oh five'."""
    century, rest = divmod(number, 100)
    if number < 1000 or number > 9999 or (century % 10 == 0 and rest < 10):
        return cardinal(str(number))
    if rest == 0:
        return f"{cardinal(str(century))} hundred"
    return f"{cardinal(str(century))} {two_digits(rest)}"


def two_digits(number: int) -> str:
    """5 as 'oh five', 15 as 'fifteen'."""
    return f"oh {cardinal(str(number))}" if number < 10 else cardinal(str(number))


def decade(number: int) -> str:
    """1990 as 'nineteen nineties', 90 as 'nineties', 2000 as 'two thousands'."""
    return plural(year(number))


def plural(words: str) -> str:
    """The plural of number words: 'nineties', 'sixes', 'twos'."""
    if words.endswith("y"):
        return words[:-1] + "ies"
    return words + ("es" if words.endswith("x") else "s")


def number_in_name(written: str) -> str:
    """The number in a name such as ``A380``: 'three eighty'; long numbers digit by digit."""
    if written[0] == "0" or len(written) > 4:
        return digits(written)
    if len(written) == 4:
        return year(int(written))
    if len(written) == 3 and written[1:] != "00":
        return f"{cardinal(written[0])} {two_digits(int(written[1:]))}"
    return cardinal(written)


def fraction(numerator: int, denominator: int) -> str:
    """3/4 as 'three quarters'."""
    part = _PARTS.get(denominator) or ordinal(denominator).removeprefix("one ")
    if numerator != 1:
        part = "halves" if part == "half" else part + "s"
    return f"{cardinal(str(numerator))} {part}"


def roman(written: str) -> int | None:
    """``XIV`` as 14; None for anything but a Roman numeral."""
    if not written or not _ROMAN_NUMBER.fullmatch(written):
        return None
    values = [_ROMAN[char] for char in written]
    following = [*values[1:], 0]
    return sum(-one if one < after else one for one, after in zip(values, following, strict=True))


def version_number(written: str) -> str:
    """``2.0.11`` as 'two point zero point eleven'."""
    return " point ".join(
        digits(part) if part[0] == "0" and len(part) > 1 else cardinal(part)
        for part in written.split(".")
    )


def counted_noun(count: int | str, noun: str) -> str:
    """A count and its noun: 'one hour', 'two hours'."""
    return f"{cardinal(str(count))} {noun}{'' if str(count) == '1' else 's'}"


def _spelled(number: int, to: str) -> str:
    words = num2words(number, to=to)
    return words.replace(",", "").replace(" and ", " ").replace("-", " ")


def _plain_year(match: re.Match[str]) -> str | None:
    number = int(match["year"])
    counted = match["counted"] and not match["when"]
    return None if counted or not 1010 <= number <= 2099 else _year_in_place(match, number)


def _year_in_place(match: re.Match[str], number: int) -> str:
    """The match with its group ``year`` in words."""
    start = match.start()
    before, after = match.start("year") - start, match.end("year") - start
    return match[0][:before] + year(number) + match[0][after:]


_START = r"(?<![\w.,/])"
_END = r"(?![\w]|[.,/]\d)"
_WHEN = (
    r"(?:in|since|until|till|by|from|before|after|of|year|during|circa|around|between|and|to|"
    r"[Qq]\d|[Hh][12]|FY|summer|winter|spring|autumn|fall|early|late|mid)"
)
_COUNTED = (
    r"(?! (?:was|is|has|as|this|its|his|does|us|vs|yes|always|perhaps|[a-z]*[su]s|elections?|"
    r"results|"
    r"earnings|sales|games|finals|playoffs|models|olympics|olympians|series|news)\b)"
    r" (?:[a-z]{2,30}s|people|men|women|children|feet|percent)\b"
)
_VERSIONED = (
    r"(?:[Vv]ersions?|[Rr]eleases?|Python|iOS|iPadOS|[Aa]ndroid|macOS|Ubuntu|PHP|Java|Ruby|Node|"
    r"Chrome|Firefox|Linux|[Kk]ernel|Django|Postgres|PostgreSQL|CUDA|PyTorch|GPT|Windows|Debian|"
    r"Bluetooth|Go|Rust|Kotlin|Swift|React|Angular|Vue|Rails|Fedora|Unity|Blender|HTTP|TLS|USB)"
)


def _joined(match: re.Match[str]) -> str:
    return re.sub(r"[ '_.]", "", match[0])


def _decimal_comma(match: re.Match[str]) -> str:
    return f"{match[1]}.{match[2]}"


_ROUND = {"10": "tens", "100": "hundreds", "1000": "thousands"}


FORMATS: tuple[Rule, ...] = (
    rule(r"(?<![\w.,'])[1-9]\d{0,2}(?: \d{3}){2,6}(?![\w]|[ -]\d)", _joined),
    rule(r"(?<![\w.,'])[1-9]\d{0,2} (?:000)(?!\w|[ -]\d)", _joined),
    rule(r"(?<![\w.,'])[1-9]\d{0,2}(?:\.\d{3}){2,6}(?![\w.])", _joined),
    rule(r"~ ?(?=[\d$£€])", "about "),
    rule(r"\+/- ?(?=\d)", "±"),
    rule(r"(?<![\w.,'])[1-9]\d{0,2}(?:'\d{3}){1,6}(?![\w'])", _joined),
    rule(r"(?<![\w.,'])[1-9]\d{0,2}(?:_\d{3}){1,6}(?!\w)", _joined),
    rule(
        r"(?<![\w.,])(\d{1,3}),(\d{1,2})(?= ?(?:%|€|°|kg\b|km\b|cm\b|mm\b|EUR\b))", _decimal_comma
    ),
)
"""Other ways to separate thousands and decimals; applied before all rules that read numbers."""

PLURALS: tuple[Rule, ...] = (
    rule(
        r"(?<![\w.,$£€])(10|100|1,?000)s(?= of\b)", lambda match: _ROUND[match[1].replace(",", "")]
    ),
    rule(r"(?<![\w.])'?((?:1[0-9]|20)\d0|[2-9]0)'?s\b", lambda match: decade(int(match[1]))),
    rule(r"(?<![\w.,])(\d{3,4})s\b(?! ?\d)", lambda match: plural(number_in_name(match[1]))),
)
"""Applied before unit rules, so that the ``s`` in ``1990s`` is not read as seconds."""

_NAMES = {"Fig": "Figure", "fig": "figure", "Eq": "Equation", "Sec": "Section", "Ch": "Chapter"}

VERSIONS: tuple[Rule, ...] = (
    rule(rf"\b({_VERSIONED})[ -]?v?(\d{{1,6}}(?:\.\d{{1,6}})+)(?!\w|\.\d)",
         lambda match: f"{match[1]} {version_number(match[2])}"),
    rule(r"\b[vV]\.?(\d{1,6}(?:\.\d{1,6}){0,5})(?!\w|\.\d)",
         lambda match: f"version {version_number(match[1])}"),
    rule(r"\b[vV](\d{1,6}(?:\.\d{1,6}){1,5})-?([a-z]{1,5})\.?(\d{0,4})(?!\w)",
         lambda match: f"version {version_number(match[1])} {match[2]} {match[3]}"),
    rule(rf"{_START}\d{{1,6}}(?:\.\d{{1,6}}){{2,5}}{_END}", lambda match: version_number(match[0])),
    rule(r"(?<![\w.])(\d{1,3})\.x\b", lambda match: f"{cardinal(match[1])} dot x"),
    # A name's own number: Qwen2.5, GPT-3.5, PM2.5.
    rule(r"(?<![\w.])([A-Za-z]{1,20})-?(\d{1,4}(?:\.\d{1,4}){1,3})(?=[A-Z]?\b)(?!\.?\d|\w*@)",
         lambda match: spaced(
             match, f"{_NAMES.get(match[1], match[1])} {version_number(match[2])}")),
)  # fmt: skip
"""Numbers with several points, and numbers of versions and names."""

RULES: tuple[Rule, ...] = (
    rule(r"(?<![\w])911(?![\w])(?!\.\d)", "nine one one"),
    rule(r"(?<![\w.])(\d{1,3}(?:,\d{3})+|\d{1,12})(?:st|nd|rd|th|ST|ND|RD|TH)\b",
         lambda match: ordinal(int(match[1].replace(",", "")))),
    rule(rf"(?:\b(?P<when>{_WHEN}) )?(?<![\w.,/$£€¥#-])(?P<year>\d{{4}}){_END}"
         rf"(?P<counted>{_COUNTED})?", _plain_year),
    rule(r"(?<![\w'])'(\d\d)\b(?!')", lambda match: two_digits(int(match[1]))),
    rule(rf"(?<![\w)\]])[-−] ?(?={NUMBER}|\.\d)", " minus "),
    rule(r"(?<![\w.])\.(\d{1,30})(?!\w)", lambda match: f"point {digits(match[1])}"),
    rule(rf"(?<![\w.])({NUMBER})(?!\w)", lambda match: f"{cardinal(match[1])}"),
)  # fmt: skip
