"""Reads dates, ranges of dates, and years beside other years."""

import re

from vocoder.text.normalisation.numbers import cardinal, ordinal, year
from vocoder.text.normalisation.rules import Rule, final_stop, rule
from vocoder.text.normalisation.times import clock

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
WEEKDAYS = {
    "Mon": "Monday", "Tue": "Tuesday", "Tues": "Tuesday", "Wed": "Wednesday", "Thu": "Thursday",
    "Thur": "Thursday", "Thurs": "Thursday", "Fri": "Friday", "Sat": "Saturday", "Sun": "Sunday",
}  # fmt: skip

_BY_NAME = {month[:3]: month for month in MONTHS} | {month: month for month in MONTHS}
_BY_NAME["Sept"] = "September"
_MONTH = rf"(?P<month>{'|'.join(sorted(_BY_NAME, key=len, reverse=True))})\b\.?"
_DAY = r"(?P<day>0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>[12]\d{3})(?!\d|,\d|\.\d)"
_END = r"(?![\w/]|[.,]\d)"
_ON = (
    r"(?P<on>\b(?:[Oo]n|[Bb]y|[Uu]ntil|[Ss]ince|[Bb]efore|[Aa]fter|[Ww]eek of|[Ff]rom|[Dd]ue|"
    r"[Ss]tarting|[Ee]ffective|Mon(?:day)?|Tues?(?:day)?|Wed(?:nesday)?|Thu(?:rs)?(?:day)?|"
    r"Fri(?:day)?|Sat(?:urday)?|Sun(?:day)?)\.?,? )"
)
_TO = r" ?[-–—] ?"


def date(month: int, day: int | None, in_year: int | None) -> str:
    """A date such as 'January third, twenty twenty one'."""
    words = MONTHS[month - 1]
    if day is not None:
        words += f" {ordinal(day)}"
    if in_year is None:
        return words
    return f"{words}{',' if day is not None else ''} {year(in_year)}"


def _named(match: re.Match[str]) -> str:
    groups = match.groupdict()
    month = MONTHS.index(_BY_NAME[match["month"]]) + 1
    in_year = int(groups["year"]) if groups.get("year") else None
    if groups.get("the") or groups.get("of"):
        ending = f", {year(in_year)}" if in_year else ""
        return (
            f"{groups['the'] or 'the '}{ordinal(int(match['day']))} of {MONTHS[month - 1]}{ending}"
        )
    return date(month, int(match["day"]), in_year)


def _numbered(match: re.Match[str]) -> str | None:
    month, day, in_year = int(match["month"]), int(match["day"]), int(match["year"])
    if month > 12:
        month, day = day, month
    if not 1 <= month <= 12 or not 1 <= day <= 31:
        return None
    if len(match["year"]) == 2:
        in_year += 2000 if in_year < 50 else 1900
    return date(month, day, in_year)


def _iso(match: re.Match[str]) -> str | None:
    words = _numbered(match)
    if words is None or not match["hour"]:
        return words
    time = clock(int(match["hour"]), int(match["minute"]))
    seconds = (
        f" and {cardinal(match['second'].lstrip('0') or '0')} seconds" if _seconds(match) else ""
    )
    zone = " U T C" if match["zone"] == "Z" else _offset(match["zone"] or "")
    return f"{words} at {time}{seconds}{zone}"


def _seconds(match: re.Match[str]) -> bool:
    return bool(match["second"]) and match["second"].strip("0.") != ""


def _offset(written: str) -> str:
    """``+02:00`` as 'plus two'."""
    if not written:
        return ""
    hours, minutes = int(written[1:3]), int(written[-2:])
    sign = "minus" if written[0] == "-" else "plus"
    return f" {sign} {cardinal(str(hours))}" + (f" {cardinal(str(minutes))}" if minutes else "")


def _without_year(match: re.Match[str]) -> str | None:
    month, day = int(match["month"]), int(match["day"])
    if month > 12:
        month, day = day, month
    if not 1 <= month <= 12 or not 1 <= day <= 31:
        return None
    return match["on"] + date(month, day, None)


def _span(match: re.Match[str]) -> str:
    names = WEEKDAYS | _BY_NAME
    return f"{names[match[1]]} to {names[match[2]]}{final_stop(match)}"


def _by_name(match: re.Match[str]) -> str | None:
    """``05-Mar-2024`` as 'March fifth, twenty twenty four'."""
    in_year = int(match["year"])
    if len(match["year"]) == 2:
        in_year += 2000 if in_year < 50 else 1900
    return date(MONTHS.index(_BY_NAME[match["month"].capitalize()]) + 1, int(match["day"]), in_year)


def _days(match: re.Match[str]) -> str | None:
    """``Dec. 24–26`` as 'December twenty fourth to twenty sixth'."""
    first, last = int(match["day"]), int(match["last"])
    if last <= first:
        return None
    name = _BY_NAME[match["month"]]
    ending = f", {year(int(match['year']))}" if match["year"] else ""
    return f"{name} {ordinal(first)} to {ordinal(last)}{ending}"


def _days_before_month(match: re.Match[str]) -> str:
    ending = f", {year(int(match['year']))}" if match["year"] else ""
    days = f"{ordinal(int(match['day']))} to {ordinal(int(match['last']))}"
    return f"{_BY_NAME[match['month']]} {days}{ending}"


def _season(match: re.Match[str]) -> str | None:
    """``2023/24`` as 'twenty twenty three to twenty four'."""
    first, last = int(match[1]), int(match[2])
    if last != (first + 1) % 100:
        return None
    return f"{year(first)} to {cardinal(match[2])}"


def _quarter(match: re.Match[str]) -> str:
    return f"{match[1]} {cardinal(match[2])} {year(int(match[3]))}"


_SHORT_DAY = "|".join(WEEKDAYS)
_SHORT_MONTH = "|".join(_BY_NAME)

RULES: tuple[Rule, ...] = (
    rule(rf"\b({_SHORT_DAY})\.?[-–]({_SHORT_DAY})\b\.?", _span),
    rule(rf"\b({_SHORT_MONTH})\.?[-–]({_SHORT_MONTH})\b", _span),
    rule(r"\b([QH])([1-4])[ '’-]{1,2}((?:19|20)\d\d)(?!\d)", _quarter),
    rule(r"(?<![\w-])(?P<year>[12]\d{3})-(?P<month>[01]\d)-(?P<day>[0-3]\d)"
         r"(?:[T ](?P<hour>[0-2]\d):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d(?:\.\d{1,9})?))?"
         r"(?P<zone>Z|[+-]\d\d:?\d\d)?)?(?![\w-])", _iso),
    rule(r"(?<![\w/.-])(?P<month>\d{1,2})(?P<separator>[/.-])(?P<day>\d{1,2})(?P=separator)"
         r"(?P<year>[12]\d{3})(?![\w/-]|\.\d)", _numbered),
    rule(r"(?<![\w/.-])(?P<year>[12]\d{3})/(?P<month>\d{1,2})/(?P<day>\d{1,2})(?![\w/-]|\.\d)",
         _numbered),
    rule(r"(?<![\w/.-])(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{2})(?![\w/-]|\.\d)",
         _numbered),
    rule(r"(?<![\w/.-])(?P<day>\d{1,2})[-/ ]?(?P<month>(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|"
         r"nov|dec))[-/](?P<year>\d{4}|\d{2})(?![\w/-])", _by_name),
    rule(r"(?<![\w/.,-])((?:19|20)\d\d)/(\d\d)(?![\w/-]|\.\d)", _season),
    rule(rf"{_ON}(?!9/11\b)(?P<month>\d{{1,2}})/(?P<day>\d{{1,2}})(?! of\b)(?![\w/-]|\.\d)",
         _without_year),
    rule(rf"\b(Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)\b\.?(?=,? (?:{_MONTH} )?\d)",
         lambda match: WEEKDAYS[match[1]]),
    rule(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun):(?= \d)", lambda match: WEEKDAYS[match[1]] + ","),
    rule(r"\b(BCE?|CE|AD)[-–](?=AD|CE|BC|\d)", r"\1 to "),
    rule(rf"\b{_MONTH} {_DAY}{_TO}(?P<last>[12]\d|3[01]|0?[1-9])(?:st|nd|rd|th)?"
         rf"(?:,? {_YEAR})?(?![\w/:]|[.,]\d)", _days),
    rule(rf"(?<![\w./,-]){_DAY}{_TO}(?P<last>[12]\d|3[01]|0?[1-9])(?:st|nd|rd|th)? {_MONTH}"
         rf"(?:,? {_YEAR})?(?!\w)", _days_before_month),
    rule(rf"(?<=\d){_TO}(?={_MONTH} \d)", " to "),
    rule(rf"(?P<the>\b[Tt]he )?(?<![\w./,-]){_DAY} (?P<of>of )?{_MONTH}(?:,? {_YEAR})?(?!\w)",
         _named),
    rule(rf"\b{_MONTH} {_DAY}(?:,? {_YEAR})?{_END}(?!:\d)", _named),
    rule(rf"\b{_MONTH}(?= {_YEAR})", lambda match: _BY_NAME[match["month"]]),
)  # fmt: skip
