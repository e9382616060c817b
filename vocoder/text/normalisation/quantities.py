"""Reads quantities: an amount with a unit, percentages, durations, sizes, heights, positions."""

import re

from vocoder.text.normalisation.amounts import AMOUNT, MINUS, START, Amount, amount
from vocoder.text.normalisation.numbers import NUMBER, cardinal, counted_noun
from vocoder.text.normalisation.rules import Rule, final_stop, rule, spaced
from vocoder.text.normalisation.units import ATTACHED, PER, PER_UNIT, SPACED, unit_name

_COMPASS = {"N": "north", "S": "south", "E": "east", "W": "west"}
_NOUN = re.compile(
    r"[- ](?!(?:in|of|and|or|to|for|from|per|a|an|each|on|at|is|was|with|but|by|than|long|wide|"
    r"tall|high|deep|thick|away|ago|old|off|left|more|less|total|later|apart|across|in all)\b)[a-z]"
)
_HALF_OF = re.compile(r"one half")
_FULL_STOP = r"(?:(?<!\.)\.(?=[,;]| [a-z]))?"
_SCALE = r"(?: (?:hundred|thousand|million|billion|trillion)\b)?"
_ARTICLE = r"(?P<article>\b(?:[Aa]n?|[Tt]he) )?"


def quantity(written: str, unit: str, *, one: bool = False) -> str:
    """``5`` and ``kg`` as 'five kilograms'; the unit is singular for 1, or if ``one`` is set."""
    number, space, scale = written, "", ""
    if written[-1].isalpha():
        number, space, scale = written.partition(" ")
    counted = amount(number)
    name = unit_name(unit, one=one or (counted.singular and not scale))
    if counted.part and not one:
        return _part_of(counted, unit_name(unit, one=True))
    words = counted.words
    if one and counted.part:
        words = _HALF_OF.sub("half", words)
    return f"{words}{space}{scale} {name}"


def _part_of(counted: Amount, name: str) -> str:
    """'half a mile', 'three quarters of a mile'."""
    article = "an" if (name[0] in "aeiou" and not name.startswith("uni")) or name == "hour" else "a"
    if counted.words == "one half":
        return f"half {article} {name}"
    return f"{counted.words} of {article} {name}"


def _describes(match: re.Match[str], article: str) -> bool:
    """Whether the quantity describes the noun after it, as in 'a five pound bag'."""
    return bool(article) and _NOUN.match(match.string, match.end()) is not None


def _quantity(match: re.Match[str]) -> str:
    groups = match.groupdict("")
    unit, article = groups["unit"] or groups["spaced"], groups["article"]
    minus = "minus " if groups.get("minus") else ""
    per = f" per {PER[groups['per']]}" if groups.get("per") else ""
    words = quantity(match["amount"], unit, one=_describes(match, article) and not per)
    return f"{article}{minus}{words}{per}{final_stop(match)}"


def _adjective(match: re.Match[str]) -> str:
    return quantity(match["amount"], match["unit"].removesuffix("."), one=True)


def _percent(match: re.Match[str]) -> str:
    minus = "minus " if match["minus"] else ""
    plus = "plus " if match["plus"] else ""
    return spaced(match, f"{plus}{minus}{amount(match['amount']).words} percent")


def _feet_and_inches(match: re.Match[str]) -> str:
    feet, inches = match["feet"], match["inches"]
    counted = f"{amount(inches).words} {'inch' if inches == '1' else 'inches'}"
    return f"{_feet(feet)} {counted}{final_stop(match)}"


def _feet(feet: str) -> str:
    """'one foot', 'six feet'."""
    return f"{cardinal(feet)} {'foot' if feet == '1' else 'feet'}"


def _height(match: re.Match[str]) -> str:
    return f"{cardinal(match['feet'])} foot {amount(match['inches']).words}"


def _mark(match: re.Match[str]) -> str | None:
    """Feet (') or inches (")."""
    before = match.string[: match.start()]
    quotes = before.count(match["mark"]) - len(re.findall(rf"\d{match['mark']}", before))
    if quotes % 2:
        return None  # a closing quotation mark
    article = match["article"] or ""
    describes = bool(_NOUN.match(match.string, match.end()))
    unit = "in" if match["mark"] == '"' else "ft"
    return article + spaced(match, quantity(match["amount"], unit, one=describes))


def _position(match: re.Match[str]) -> str:
    names = ("degrees", "minutes", "seconds")
    parts = [counted_noun(match[name], name[:-1]) for name in names if match[name]]
    return f"{' '.join(parts)} {_COMPASS[match['toward']]}"


def _duration(match: re.Match[str]) -> str:
    groups = match.groupdict()
    parts = [
        counted_noun(groups[name], name)
        for name in ("hour", "minute", "second")
        if groups.get(name)
    ]
    ending = "." if match[0].endswith(".") and match.end() == len(match.string) else ""
    article = groups.get("article") or ""
    if _describes(match, article):
        parts = [part.removesuffix("s") for part in parts]
    return article + spaced(match, " ".join(parts) + ending)


def _per(match: re.Match[str]) -> str:
    return f"{match[1]} per {PER[match[2]]}"


_H, _M, _S = r"(?:hrs?\.?|h|hours?)", r"(?:mins?\.?|m|minutes?|')", r"(?:secs?\.?|s|seconds?)"
_IN = r"(?:inches|inch|in\.?|\"|'')"
_SIZED = r"(?:wide|long|tall|deep|high|thick|by|of (?:rain|snow)|in diameter|across|x)"

DURATIONS: tuple[Rule, ...] = (
    rule(rf"(?P<article>\b[Aa]n? )?(?<![\w.,/:])(?P<hour>\d{{1,3}}) ?{_H},? ?(?P<minute>[0-5]?\d)"
         rf"(?: ?{_M})?(?:,? ?(?P<second>[0-5]?\d) ?{_S})?(?![\w.,/:]\d|\w)", _duration),
    rule(rf"(?P<article>\b[Aa]n? )?(?<![\w.,/:])(?P<minute>\d{{1,3}}) ?{_M},? ?"
         rf"(?P<second>[0-5]?\d(?:\.\d{{1,3}})?) ?{_S}(?![\w'])", _duration),
)  # fmt: skip
"""Applied before plurals, so that the ``30s`` in ``5m 30s`` is not 'thirties'."""

RULES: tuple[Rule, ...] = (
    rule(r"""(?<![\w.])(?P<degrees>\d{1,3}(?:\.\d{1,8})?) ?[°º] ?(?:(?P<minutes>\d{1,2}) ?' ?)?"""
         r"""(?:(?P<seconds>\d{1,2}(?:\.\d{1,4})?) ?(?:"|'') ?)?(?P<toward>[NSEW])\b""", _position),
    rule(rf"{START}(?P<feet>\d{{1,4}}) ?(?:ft\.?|feet|foot) ?(?P<inches>\d{{1,2}}(?:\.\d{{1,3}}|"
         rf"[ -]\d/\d{{1,2}})?) ?{_IN}(?![\w'])", _feet_and_inches),
    rule(r"(?<![\w.,/])(?P<feet>\d{1,2})' ?(?P<inches>(?:1[01]|\d)(?:\.\d{1,2}|[ -]\d/\d{1,2})?)"
         r"(?:\"|'')?(?![\w'])", _height),
    rule(rf"(?P<article>\b(?:[Aa]n?|[Tt]he) )?(?<![\w.,/'])(?P<amount>{AMOUNT})"
         r"(?P<mark>\"|(?<=\d)'(?=[\s,.;)x×]|$))", _mark),
    rule(rf"{START}(?P<plus>(?<!\w)\+)?{MINUS}(?P<amount>{AMOUNT}) ?%", _percent),
    rule(rf"(?<=\bby )(?P<amount>{AMOUNT}) in\b\.?(?! the\b| an?\b)",
         lambda match: quantity(match["amount"], "in")),
    rule(rf"{START}(?P<amount>{NUMBER}) in\.?(?= {_SIZED}\b)",
         lambda match: quantity(match["amount"], "in")),
    rule(rf"(?P<article>\b[Aa]n? )?{START}(?P<amount>{AMOUNT}) (?P<unit>in\.)(?=[,)]| [a-z]|$)",
         _quantity),
    rule(rf"{START}(?P<amount>{AMOUNT})-(?P<unit>{SPACED})(?![\w'])(?=[ -][a-z]|[,;]|"
         rf"$)", _adjective),
    rule(rf"{START}(?P<amount>{AMOUNT})-(?P<unit>in|in\.|min\.|sec\.|hr\.)(?= [a-z])", _adjective),
    rule(rf"{START}(-?)({NUMBER}) N(?= of force)",
         lambda match: ("minus " if match[1] else "") + f"{cardinal(match[2])} newtons"),
    rule(rf"{START}(-?)(\d{{3,5}}(?:\.\d{{1,4}})?|\d{{1,5}}\.\d{{1,4}}) K(?!\w|'|"
         rf" [a-z]{{2,20}}s\b)",
         lambda match: ("minus " if match[1] else "") + f"{cardinal(match[2])} kelvin"),
    rule(rf"{_ARTICLE}{START}{MINUS}(?P<amount>{AMOUNT}{_SCALE})"
         rf"(?:(?P<unit>{ATTACHED})| (?P<spaced>{SPACED}))(?: ?/ ?(?P<per>{PER_UNIT}))?"
         rf"(?![\w']|-[a-z]|/[a-z])(?!\^){_FULL_STOP}", _quantity),
    rule(rf"(?<=[vVs][/ ,])({NUMBER})A(?!\w)", lambda match: f"{cardinal(match[1])} amps"),
    rule(rf"{START}({NUMBER}) ?A(?= (?:fuse|charger|current|breaker|circuit|supply|adapter|plug)"
         rf"\b)",
         lambda match: f"{cardinal(match[1])} amp"),
    rule(rf"(\b(?:[a-z]{{3,20}}s|feet)) ?/ ?({PER_UNIT})(?!\w)", _per),
)  # fmt: skip
"""Applied after money and times."""
