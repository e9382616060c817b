"""Reads dates and times of day."""

import re

from vocoder.text.normalisation.numbers import cardinal, ordinal, two_digits, year
from vocoder.text.normalisation.rules import Rule, final_stop, rule

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
_HALF = r"(?P<half>[AaPp])(?:\.? ?[Mm]\b\.?)"
_END = r"(?![\w/]|[.,]\d)"
_ON = r"(?P<on>\b(?:[Oo]n|[Bb]y|[Uu]ntil|[Ss]ince|[Bb]efore|[Aa]fter) )"


def date(month: int, day: int | None, in_year: int | None) -> str:
    """A date such as 'January third, twenty twenty one'."""
    words = MONTHS[month - 1]
    if day is not None:
        words += f" {ordinal(day)}"
    if in_year is None:
        return words
    return f"{words}{',' if day is not None else ''} {year(in_year)}"


def clock(hour: int, minute: int, half: str = "") -> str:
    """A time of day: 'three thirty P M', 'fifteen forty five', 'twelve o'clock'."""
    letters = f" {half.upper()} M" if half else ""
    if minute:
        return f"{cardinal(str(hour))} {two_digits(minute)}{letters}"
    if half:
        return f"{cardinal(str(hour))}{letters}"
    if hour == 0:
        return "midnight"
    full = "hundred" if hour > 12 else "o'clock"
    return f"{cardinal(str(hour))} {full}"


def duration(hours: int, minutes: int, seconds: int) -> str:
    """A duration such as 'one hour, two minutes and three seconds'; empty for zero."""
    counted = [(hours, "hour"), (minutes, "minute"), (seconds, "second")]
    parts = [
        f"{cardinal(str(count))} {name}{'' if count == 1 else 's'}"
        for count, name in counted
        if count
    ]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


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
    return f"{words} at {clock(int(match['hour']), int(match['minute']))}"


def _without_year(match: re.Match[str]) -> str | None:
    month, day = int(match["month"]), int(match["day"])
    if not 1 <= month <= 12 or not 1 <= day <= 31:
        return None
    return match["on"] + date(month, day, None)


def _clock(match: re.Match[str]) -> str | None:
    hour, minute = int(match["hour"]), int(match["minute"] or 0)
    return (
        clock(hour, minute, match["half"]) + final_stop(match)
        if hour < 25 and minute < 60
        else None
    )


def _plain_clock(match: re.Match[str]) -> str:
    return clock(int(match["hour"]), int(match["minute"]))


def _span(match: re.Match[str]) -> str:
    names = WEEKDAYS | _BY_NAME
    return f"{names[match[1]]} to {names[match[2]]}"


_SHORT_DAY = "|".join(WEEKDAYS)
_SHORT_MONTH = "|".join(_BY_NAME)

RULES: list[Rule] = [
    rule(rf"\b({_SHORT_DAY})\.?[-–]({_SHORT_DAY})\b", _span),
    rule(rf"\b({_SHORT_MONTH})\.?[-–]({_SHORT_MONTH})\b", _span),
    rule(r"(?<![\w-])(?P<year>[12]\d{3})-(?P<month>[01]\d)-(?P<day>[0-3]\d)"
         r"(?:[T ](?P<hour>[0-2]\d):(?P<minute>[0-5]\d)(?::[0-5]\d(?:\.\d{1,9})?)?"
         r"(?:Z|[+-]\d\d:?\d\d)?)?(?![\w-])", _iso),
    rule(r"(?<![\w/.-])(?P<month>\d{1,2})(?P<separator>[/.-])(?P<day>\d{1,2})(?P=separator)"
         r"(?P<year>[12]\d{3})(?![\w/-]|\.\d)", _numbered),
    rule(r"(?<![\w/.-])(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{2})(?![\w/-]|\.\d)",
         _numbered),
    rule(rf"{_ON}(?!9/11\b)(?P<month>\d{{1,2}})/(?P<day>\d{{1,2}})(?![\w/-]|\.\d)", _without_year),
    rule(rf"\b(Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)\b\.?(?=,? (?:{_MONTH} )?\d)",
         lambda match: WEEKDAYS[match[1]]),
    rule(rf"(?P<the>\b[Tt]he )?(?<![\w./,-]){_DAY} (?P<of>of )?{_MONTH}(?:,? {_YEAR})?(?!\w)",
         _named),
    rule(rf"\b{_MONTH} {_DAY}(?:,? {_YEAR})?{_END}(?!:\d)", _named),
    rule(rf"\b{_MONTH}(?= {_YEAR})", lambda match: _BY_NAME[match["month"]]),
    rule(rf"(?<![\w:.])(?P<hour>\d{{1,2}})(?:[:.](?P<minute>\d\d))? ?{_HALF}(?!\w)", _clock),
    rule(r"(?<![\w:.])(\d{1,2}):([0-5]\d):([0-5]\d)(?![\w:])",
         lambda match: duration(int(match[1]), int(match[2]), int(match[3])) or "zero seconds"),
    rule(r"(?<![\w:.])(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)(?![\w:]|\.\d)(?: hours\b)?",
         _plain_clock),
    rule(r"(?<![\w:.])(\d{1,4}):(\d{1,4})(?![\w:])", r"\1 to \2"),
]  # fmt: skip
