"""Reads times of day and durations written with colons."""

import re

from vocoder.text.normalisation.numbers import NUMBER, cardinal, digits, two_digits
from vocoder.text.normalisation.rules import Rule, final_stop, rule

_HALF = r"(?P<half>[AaPp])(?:\.? ?[Mm](?![A-Za-z])\.?)"


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


def _clock(match: re.Match[str]) -> str | None:
    hour, minute = int(match["hour"]), int(match["minute"] or 0)
    return (
        clock(hour, minute, match["half"]) + final_stop(match)
        if hour < 25 and minute < 60
        else None
    )


def _plain_clock(match: re.Match[str]) -> str:
    return clock(int(match["hour"]), int(match["minute"]))


def _short_half(match: re.Match[str]) -> str:
    return clock(int(match["hour"]), int(match["minute"]), match["half"])


def _zulu(match: re.Match[str]) -> str:
    return f"{clock(int(match['hour']), int(match['minute']))} {match['zone']}"


def _military(match: re.Match[str]) -> str | None:
    """``0630 hours`` as 'oh six thirty hours'."""
    hour, minute = match["hour"], match["minute"]
    lead = (
        f"oh {cardinal(hour[1])}" if hour[0] == "0" and hour != "00" else cardinal(str(int(hour)))
    )
    if minute == "00":
        return f"{lead} hundred hours"
    return f"{lead} {two_digits(int(minute))} hours"


def _split(match: re.Match[str]) -> str:
    """``3:58.2``, a time in a race, as 'three minutes fifty eight point two seconds'."""
    minutes, seconds = match["minute"], match["second"]
    whole, _, tenths = seconds.partition(".")
    counted = f"{cardinal(whole.lstrip('0') or '0')} point {digits(tenths)} seconds"
    return f"{cardinal(minutes)} minute{'' if minutes == '1' else 's'} {counted}"


def _long_duration(match: re.Match[str]) -> str:
    return duration(int(match[1]), int(match[2]), int(match[3])) or "zero seconds"


_CLOCK = r"(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)"

RULES: tuple[Rule, ...] = (
    rule(r"([AaPp]\.? ?[Mm](?![A-Za-z])\.?) ?[-–—] ?(?=\d{1,2}(?:[:.]\d\d)? ?[AaPp]\.? ?[Mm])",
         r"\1 to "),
    rule(r"(?<![\w.:/])(\d{1,2}(?::\d\d)?)"
         r" ?[-–—] ?(?=\d{1,2}(?::\d\d)? ?[AaPp]\.? ?[Mm](?![A-Za-z]))",
         r"\1 to "),
    rule(r"(?<=\d:\d\d) ?[-–—] ?(?=\d{1,2}:\d\d)", " to "),
    rule(r"(?<=\d)([ap])m/([ap])m(?!\w)", r"\1m or \2 M"),
    rule(rf"(?<![\w:.])(?P<hour>\d{{1,2}})(?:[:.](?P<minute>\d\d))? ?{_HALF}(?!\w)", _clock),
    rule(r"(?<![\w:.])(\d{1,2}):([0-5]\d):([0-5]\d)(?![\w:]|\.\d)", _long_duration),
    rule(rf"(?<![\w:.]){_CLOCK}(?P<half>[ap])(?![\w'])", _short_half),
    rule(rf"(?<![\w:.]){_CLOCK} ?(?P<zone>Z)(?!\w)", _zulu),
    rule(r"(?<![\w:.,])(?P<hour>[01]\d|2[0-4])(?P<minute>[0-5]\d) (?:hours|hrs)\b\.?(?! of\b)",
         _military),
    rule(r"(?<![\w:.])(?P<minute>\d{1,2}):(?P<second>[0-5]\d\.\d{1,3})(?![\w:])", _split),
    rule(rf"(?<![\w:.]){_CLOCK}(?![\w:]|\.\d)(?: hours\b)?", _plain_clock),
    rule(rf"(?<![\w:.])({NUMBER}):({NUMBER})(?![\w:])",
         lambda match: f"{cardinal(match[1])} to {cardinal(match[2])}"),
)  # fmt: skip
"""Applied after dates."""
