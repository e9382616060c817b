"""Reads digits that name something instead of counting it: phone numbers, codes, accounts, ZIP.

The words around decide: ``code is 4821`` and ``call 311``, but ``call 311 people``.
"""

import re

from vocoder.text.normalisation.numbers import cardinal, digits, number_in_name, year
from vocoder.text.normalisation.places import STATES_BEFORE_ZIP
from vocoder.text.normalisation.rules import Rule, any_of, rule

_ALWAYS = (
    r"pins?|otp|passcodes?|zip ?codes?|zip|extensions?|ext\.?|area codes?|postal codes?|postcodes?|"
    r"(?:bank |savings |checking )?accounts?|acct\.?|a/c|confirmation|routing|ssn|vin|"
    r"(?:access|security|verification|confirmation|tracking|entry|gate|door|promo|discount|error|"
    r"status|booking|reference|login|unlock|dial|country|sort|one-time) codes?|passwords?|"
    r"combination|(?:card|credit card) ending(?: in)?|ending in|serial|tracking|isbn|imei|iban|code"
)
_IF_NUMBERED = (
    r"order|reservation|booking|reference|ref|ticket|case|invoice|claim|policy|member|membership|"
    r"customer|employee|student|patient|badge|model|part|item|lot|batch|license|licence|permit|"
    r"card|credit card|docket|docket|file|purchase order|po|request|transaction|receipt|check|"
    r"cheque|phone|telephone|fax|cell|mobile|contact|bus|id|locker|conference|meeting|visa|passport"
)
_NUMBERED = r"(?: (?:number|numbers|num\.?|no\.?|nr\.?|code|id|ID)| ?#)"
_IS = r"(?:,? (?:is|was|are|of|reads|shows|as|to)|:| =| -)?(?: now)? ?#? ?"
_ANNOUNCED = re.compile(
    rf"\b(?i:(?:{_ALWAYS})(?:{_NUMBERED})?|(?:{_IF_NUMBERED})\.?{_NUMBERED}){_IS}$"
)
_LONGEST_ANNOUNCEMENT = 45
_CODE_END = r"(?![\w/%°$€£]|\.\d|,\d| ?(?:times|percent|points|dollars|people|users)\b)"


_BUILT = (
    r"\b((?:[Aa]pt|[Rr]m|[Ss]te|[Bb]ldg)\.?|[Aa]partment|[Rr]oom|[Ss]uite|[Gg]ate|[Uu]nit|[Ff]lat|[Ss]eat|"
    r"[Rr]ow|[Ff]loor|[Tt]erminal|[Ee]xit|[Bb]uilding|[Bb]us|[Rr]oute|[Rr]te\.?|[Hh]ighway|[Hh]wy\.?|"
    r"[Ii]nterstate|[Ff]light|RTX|GTX|GeForce|Radeon|RX|Xeon|Ryzen|Boeing|Airbus|Grade|Form|Class|I|US)"
)


def _in_building(match: re.Match[str]) -> str:
    letter = f" {match[3]}" if match[3] else ""
    return f"{match[1]} {number_in_name(match[2])}{letter}"


def _digits(written: str) -> str:
    groups = re.findall(r"\d+", written)
    return ", ".join(digits(group) for group in groups)


def _code(match: re.Match[str]) -> str | None:
    """Digits after words that announce a code."""
    start = match.start()
    if not _ANNOUNCED.search(match.string, max(0, start - _LONGEST_ANNOUNCEMENT), start):
        return None
    return _digits(match[0])


def _before(match: re.Match[str]) -> str:
    return match["before"]


def _call(match: re.Match[str]) -> str | None:
    return f"{match['before']}{_digits(match['code'])}"


def _star(match: re.Match[str]) -> str:
    sign = {"*": "star", "#": "pound"}
    parts = re.findall(r"\d+|[*#]", match["code"])
    return match["before"] + " ".join(sign.get(part) or digits(part) for part in parts)


def _phone(match: re.Match[str]) -> str:
    groups = match.groupdict()
    written = groups.get("phone") or match[0]
    spoken = [
        "eight hundred" if group == "800" and match[0][0] in "18(" else digits(group)
        for group in re.findall(r"\d+", written)
    ]
    extension = f", extension {digits(groups['ext'])}" if groups.get("ext") else ""
    return ("plus " if "+" in written else "") + ", ".join(spoken) + extension


def _zip(match: re.Match[str]) -> str:
    return f"{STATES_BEFORE_ZIP[match['state']]} {_digits(match['zip'])}"


def _mixed_code(match: re.Match[str]) -> str | None:
    """A code of letters and digits, such as ``X7K9Q2``, character by character."""
    start = match.start()
    if not _ANNOUNCED.search(match.string, max(0, start - _LONGEST_ANNOUNCEMENT), start):
        return None
    return _characters(match[0])


def _characters(code: str) -> str:
    return " ".join(digits(char) if char.isdigit() else char.upper() for char in code)


def _numbered(match: re.Match[str]) -> str:
    """``Case 22-1187``: a year or a number, and the digits of the rest."""
    first, second = match["first"], match["second"]
    lead = year(int(first)) if re.fullmatch(r"(?:19|20)\d\d", first) else cardinal(first)
    return f"{_before(match)}{lead}, {digits(second)}"


def _address(match: re.Match[str]) -> str:
    spoken = " dot ".join(
        number_in_name(part) if len(part) < 3 and part[0] != "0" else digits(part)
        for part in match["host"].split(".")
    )
    mask = f" slash {cardinal(match['mask'])}" if match["mask"] else ""
    port = f" colon {number_in_name(match['port'])}" if match["port"] else ""
    return spoken + mask + port


def _hexadecimal(match: re.Match[str]) -> str:
    groups = match[0].split(":")
    return ", ".join(
        " ".join(digits(char) if char.isdigit() else char.upper() for char in group)
        for group in groups
    )


_EXT = r"(?:,? ?(?:x|ext\.?|extension|Ext\.?) ?(?P<ext>\d{1,6})\b)?"

_WRITTEN_OUT = {"no": "number", "num": "number", "ext": "extension", "acct": "account"}

RULES: tuple[Rule, ...] = (
    rule(r"\b((?i:no|num|ext|acct))\. ?(?=#?\d)",
         lambda match: _WRITTEN_OUT[match[1].lower()] + " "),
    rule(r"(?<=\w )# ?(?=\d)", "number "),
    rule(r"(?<![\w.])(?P<host>\d{1,3}(?:\.\d{1,3}){3})(?:/(?P<mask>\d{1,2})|:(?P<port>\d{1,5}))?"
         r"(?!\w|\.\d)", _address),
    rule(r"(?<![\w:])(?:[0-9A-Fa-f]{2}:){2,7}[0-9A-Fa-f]{2}(?![\w:])",
         lambda match: _hexadecimal(match) if re.search("[A-Fa-f]", match[0]) else None),
    rule(r"(?P<before>\b(?i:dial|press|call|enter|hit|type|code|text) )"
         r"(?P<code>[*#][\d*#]{0,12}|\d{1,8}[*#][\d*#]{0,12})(?!\w)", _star),
    rule(r"(?P<before>\b(?i:code|pin|passcode) (?:is )?)(?P<code>\d{2,10}[#*])(?!\w)", _star),
    rule(r"(?<!\w)0x([0-9A-Fa-f]{1,16})(?!\w)", lambda match: "zero X " + _characters(match[1])),
    rule(r"(?<![\w*])\*(\d{2,4})(?![\w*])", lambda match: f"star {digits(match[1])}"),
    rule(r"(?P<before>\b(?i:text|send) \w{1,12} to )(?P<code>\d{3,6})(?!\w|[.,]\d)", _call),
    rule(r"(?<![\w+])(?=\+(?:[ .()-]{0,2}\d){7,15}(?!\d))"
         r"(?P<phone>\+\d{1,3}(?:[ .-]?\(?\d{1,5}\)?){1,6})(?!\w)" + _EXT, _phone),
    rule(r"(?<![\w.-])(?P<phone>(?:1[-. ])?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4})(?![\w-])"
         + _EXT, _phone),
    rule(r"(?<![\w.-])(?P<phone>\d{3}-\d{4})(?![\w-])" + _EXT, _phone),
    rule(r"(?<![\w.,-])(?P<phone>\d{4}(?:[ -]\d{4}){2,3})(?![\w-])", _phone),
    rule(r"(?<![\w.,-])(?P<phone>0\d{2,5}(?:[ -]\d{2,6}){1,4})(?![\w-])" + _EXT, _phone),
    rule(r"(?P<before>\b(?i:case|docket|invoice|order|ticket|file|claim|bill|no|number|report)"
         r"(?: (?:no\.?|number))? ?#? ?)"
         r"(?P<first>\d{2,4})-(?P<second>\d{3,8})(?![\w-])", _numbered),
    rule(r"(?<![\w.-])(?!\d{4}-[01]\d-[0-3]\d(?!\d))(?!\d{1,2}-\d{1,2}-\d{4})"
         r"\d{1,6}(?:-\d{1,6}){2,6}(?![\w-])", _phone),
    rule(rf"{_BUILT}[ -]#?(\d{{3,4}})([A-Z])?(?![\w-]|[.,:/]\d| ?(?:people|users|times)\b)",
         _in_building),
    rule(rf"{_BUILT} #?(\d{{1,2}})([A-Z])(?![\w-])", _in_building),
    rule(r"(?<![\w.-])([A-Z]{2,6})-(\d{3})(?![\w-]|\.\d)",
         lambda match: f"{match[1]} {number_in_name(match[2])}"),
    rule(rf"\b(?P<state>{any_of(STATES_BEFORE_ZIP)}),? (?P<zip>\d{{5}}(?:-\d{{4}})?)"
         rf"(?![\w-])", _zip),
    rule(rf"(?<![\w.,-])(?:\d[\d-]{{1,22}}\d(?: \d{{2,6}}){{0,4}}|\d{{3,24}}){_CODE_END}", _code),
    rule(r"(?<![\w.-])(?=[A-Z\d-]{0,20}\d)(?=\d{0,20}[A-Z])[A-Z\d]{4,20}(?!\w)", _mixed_code),
    rule(r"(?P<before>\b(?:[Cc]all|[Dd]ial|[Tt]ext|[Pp]hone|[Ff]ax|[Tt]el\.?:?|SMS|[Pp]ress|"
         r"message)(?: us| me| them)?(?: at| on)? )(?P<code>\d{3,12})"
         r"(?=[.,;!?)]|$| (?:for|to|now|if|and|or|in|at|from|today|immediately|when|right|first|"
         r"before|with)\b)(?!\.\d|,\d)", _call),
)  # fmt: skip
"""Applied before dates and numbers."""
