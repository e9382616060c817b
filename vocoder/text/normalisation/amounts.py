"""Amounts that precede a unit or stand alone: fractions, mixed numbers, numbers with a scale."""

import re
from typing import NamedTuple

from vocoder.text.characters import word_set
from vocoder.text.normalisation.numbers import NUMBER, cardinal, digits, fraction, ordinal
from vocoder.text.normalisation.rules import Rule, rule

AMOUNT = rf"(?:(?:\d{{1,3}}[ -])?\d{{1,4}}/\d{{1,4}}(?![\d/]|\.\d)|{NUMBER}|\.\d{{1,30}})"
"""A number, a fraction such as ``3/4`` or a mixed number such as ``2 1/2``."""

START = r"(?<![\w.,/])"
"""Before an amount: it is not a part of a longer number or name."""

MINUS = r"(?P<minus>(?<![\w)\]%.])-)?"
"""A minus sign, which a hyphen is if nothing that could be its first half is before it."""

_MIXED = re.compile(r"(?:(\d+)[ -])?(\d+)/(\d+)")
_LONGEST_NAMED = 100
_LONGEST_IMPROPER = 16


class Amount(NamedTuple):
    """An amount in words.

    Attributes:
        words: such as 'three quarters'.
        singular: whether its unit is in the singular.
        part: whether it is a fraction of one unit, as in 'three quarters of a mile'.
    """

    words: str
    singular: bool
    part: bool = False


def amount(written: str) -> Amount:
    """An amount as :data:`AMOUNT` matches it."""
    mixed = _MIXED.fullmatch(written)
    if mixed is None:
        return Amount(cardinal(written), written == "1")
    whole, above, below = mixed[1], int(mixed[2]), int(mixed[3])
    if below in (0, 1) or (below > _LONGEST_NAMED and below % 100):
        over = f"{cardinal(mixed[2])} over {cardinal(mixed[3])}"
        return Amount(f"{cardinal(whole)} and {over}" if whole else over, False)
    if whole:
        part = fraction(above, below)
        return Amount(f"{cardinal(whole)} and {'a' + part[3:] if above == 1 else part}", False)
    if above > below > _LONGEST_IMPROPER:
        return Amount(f"{cardinal(mixed[2])} over {cardinal(mixed[3])}", False)
    return Amount(fraction(above, below), False, above < below)


_EQUAL_SHARES = {(20, 20), (50, 50), (24, 7), (9, 11), (4, 4), (360, 360)}
_OUT_OF = r"(?=[\s.,;:!?)\"']|$)(?! of )"
_POINTS = r"(?P<of> stars?| points?| marks?)?"


def _fraction(match: re.Match[str]) -> str | None:
    above, below = int(match["above"]), int(match["below"])
    whole = match["whole"]
    if not whole and ((above, below) in _EQUAL_SHARES or (above + below == 100 and above > 50)):
        return f"{cardinal(match['above'])} {cardinal(match['below'])}"
    if whole:
        return amount(match[0]).words if above < below else None
    if below == 0 or below == 1:
        return f"{cardinal(match['above'])} over {cardinal(match['below'])}"
    if above >= below or above == 0 or below > _LONGEST_NAMED:
        if above and below % 1000 == 0 and above < below:
            return fraction(above, below)
        return f"{cardinal(match['above'])} over {cardinal(match['below'])}"
    return fraction(above, below)


def _rated(match: re.Match[str]) -> str | None:
    number, most, noun = match[1], match[2], match["of"] or ""
    if most == number and (int(most), int(most)) not in _EQUAL_SHARES and most != "1":
        return f"{cardinal(number)} out of {cardinal(most)}"
    if noun or (
        number != "1" and most in ("10", "100") and float(number.replace(",", "")) <= float(most)
    ):
        return f"{cardinal(number)} out of {cardinal(most)}{noun}"
    return f"{cardinal(number)} out of {cardinal(most)}" if "." in number else None


def _over(match: re.Match[str]) -> str:
    return f"{cardinal(match[1])} over {cardinal(match[2])}"


def _parts(match: re.Match[str]) -> str:
    return fraction(int(match[1]), int(match[2]))


FRACTIONS: tuple[Rule, ...] = (
    rule(rf"{START}({NUMBER})/(\d{{1,4}}){_POINTS}{_OUT_OF}", _rated),
    rule(rf"{START}(\d{{1,4}})/([1-9]\d{{0,3}})(?:st|nd|rd|th)s?\b", _parts),
    rule(rf"{START}(?:(?P<whole>\d{{1,3}})[ -])?(?P<above>\d{{1,6}})/(?P<below>\d{{1,6}})"
         r"(?!\w|[.,/]\d)", _fraction),
    rule(rf"{START}({NUMBER}) ?/ ?({NUMBER})(?!\w|/)", _over),
)  # fmt: skip
"""Applied after quantities, whose units change how a fraction is read."""

_SCALES = {
    "k": "thousand", "K": "thousand", "M": "million", "mn": "million", "mil": "million",
    "m": "million", "B": "billion", "b": "billion", "bn": "billion", "Bn": "billion",
    "tn": "trillion", "T": "trillion", "Mn": "million", "MM": "million",
}  # fmt: skip
_RESOLUTION = 16
_NOT_COUNTED = word_set(
    "is was has as its this us plus less across hurdles relays yes versus perhaps always does goes "
    "sprints races runs videos tvs monitors screens displays"
)
_COUNTED = word_set(
    "people men women children users fans viewers views likes followers subscribers downloads "
    "streams copies jobs homes residents customers members units barrels tons tonnes shares votes "
    "dollars pounds euros visitors students workers passengers households acres words more in of"
)


def _scaled(match: re.Match[str]) -> str | None:
    number, scale, plus = match["number"], match["scale"], match["plus"]
    noun = (match["noun"] or "").lower()
    counted = noun in _COUNTED or (noun.endswith("s") and noun not in _NOT_COUNTED)
    whole = "." not in number and "," not in number
    if whole and scale in "BM" and match["noun"] and match["noun"][0].isupper():
        return None  # a letter, as in 221B Baker Street
    if scale == "m" and not (counted and noun not in ("in", "of", "more")):
        return None  # meters
    if scale == "b" and whole and not counted:
        return None
    if scale in ("T", "K", "k") and not counted:
        small = int(number.split(".")[0].replace(",", "")) <= _RESOLUTION
        if scale == "T" or (whole and small):  # an engine or a tesla; 4K is a resolution
            return f"{cardinal(number)} {scale.upper()}{_plus(plus)}"
    return f"{cardinal(number)} {_SCALES[scale]}{_plus(plus)}"


def _plus(sign: str) -> str:
    return " plus" if sign else ""


def _power_of_ten(match: re.Match[str]) -> str | None:
    number, sign, power = match.groups()
    if not sign and "." not in number:
        return None  # a code such as 1e5
    return f"{cardinal(number)} times ten to the {_exponent(sign, power)}"


def _exponent(sign: str, power: str) -> str:
    return f"minus {cardinal(power)}" if sign == "-" else ordinal(int(power))


SCALED: tuple[Rule, ...] = (
    rule(rf"{START}({NUMBER})[eE]([-+]?)(\d{{1,3}})(?!\w|\.\d)", _power_of_ten),
    rule(rf"{START}(?<![A-Za-z\d]-)(?P<number>{NUMBER})(?P<scale>bn|Bn|mn|Mn|MM|tn|[kKmMbBT])(?P<plus>\+?)"
         r"(?![\w'/°]| ?/)(?=(?: (?P<noun>[A-Za-z]{2,20})\b)?)", _scaled),
    rule(rf"{START}({NUMBER}) (bn|mn|tn|mil)\b\.?(?= [a-z]|$|[.,;])",
         lambda match: f"{cardinal(match[1])} {_SCALES[match[2]]}"),
)  # fmt: skip
"""Applied after money, and before units."""


def decimals(match: re.Match[str]) -> str:
    """``.25`` as 'point two five'."""
    return f"point {digits(match[1])}"
