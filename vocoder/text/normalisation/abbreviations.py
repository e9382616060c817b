"""Expands abbreviations and Roman numerals."""

import re

from vocoder.text.characters import word_set
from vocoder.text.normalisation.dates import MONTHS, WEEKDAYS
from vocoder.text.normalisation.numbers import cardinal, ordinal, roman
from vocoder.text.normalisation.rules import Rule, final_stop, rule

NEVER_LAST = word_set(
    "dr mr mrs ms prof rev hon gen col capt lt sgt cpl maj cmdr adm gov sen rep pres supt messrs "
    "mmes st mt ft vs e.g i.e cf viz ca approx vol vols fig figs pp tel ext"
)
"""Abbreviations that never end a sentence, in lower case without their final full stop."""

OFTEN_LAST = word_set(
    "a.m p.m u.s u.k u.s.a u.n e.u etc jr sr inc ltd co corp bros ave blvd rd ln hwy al est dept "
    "jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun "
    "ph.d m.d b.a m.a b.c a.d d.c esq hr hrs mi km kg lb lbs oz min max ed eds in ft sq"
)
"""Abbreviations that end a sentence only if the next word commonly begins one."""

_TITLES = {
    "Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Prof": "Professor", "Rev": "Reverend",
    "Hon": "Honorable", "Gen": "General", "Col": "Colonel", "Capt": "Captain", "Lt": "Lieutenant",
    "Sgt": "Sergeant", "Cpl": "Corporal", "Maj": "Major", "Cmdr": "Commander", "Adm": "Admiral",
    "Gov": "Governor", "Sen": "Senator", "Rep": "Representative", "Pres": "President",
    "Supt": "Superintendent", "Messrs": "Messieurs", "Mt": "Mount", "Ft": "Fort", "Dr": "Doctor",
    "St": "Saint",
}  # fmt: skip
"""Expanded before a name, with or without a full stop."""

_WITH_STOP = {
    "prof": "professor", "ave": "avenue", "blvd": "boulevard", "rd": "road", "ln": "lane",
    "hwy": "highway", "apt": "apartment", "jr": "junior", "sr": "senior", "inc": "incorporated",
    "ltd": "limited", "co": "company", "corp": "corporation", "bros": "brothers",
    "etc": "et cetera", "e.g": "for example", "i.e": "that is", "approx": "approximately",
    "vol": "volume", "vols": "volumes", "fig": "figure", "figs": "figures", "est": "established",
    "dept": "department", "cf": "compare", "viz": "namely", "tel": "telephone",
    "min": "minimum", "max": "maximum", "temp": "temperature", "misc": "miscellaneous",
    "incl": "including", "excl": "excluding", "govt": "government", "assn": "association",
    "intl": "international", "asst": "assistant", "esq": "esquire", "dr": "drive", "st": "street",
    "calif": "California", "conn": "Connecticut", "fla": "Florida", "penn": "Pennsylvania",
    "mt": "mount", "sq": "square", "ft": "feet", "gen": "general", "gov": "governor",
    "sen": "senator", "rep": "representative", "capt": "captain", "no": "no",
}  # fmt: skip
"""Expanded only if written with a full stop."""

_BEFORE_NUMBER = {
    "No": "number", "no": "number", "Nos": "numbers", "nos": "numbers", "p": "page", "pp": "pages",
    "ca": "about", "c": "about", "ext": "extension", "Ext": "extension", "Ch": "chapter",
    "ch": "chapter", "Sec": "section", "sec": "section", "Art": "article", "art": "article",
    "Vol": "volume", "vol": "volume", "Fig": "figure", "fig": "figure", "Pt": "part",
}  # fmt: skip

_STATES = {
    "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California", "CO": "Colorado",
    "CT": "Connecticut", "FL": "Florida", "GA": "Georgia", "IL": "Illinois", "IA": "Iowa",
    "KS": "Kansas", "KY": "Kentucky", "MD": "Maryland", "MI": "Michigan", "MN": "Minnesota",
    "MS": "Mississippi", "MO": "Missouri", "MT": "Montana", "NE": "Nebraska", "NV": "Nevada",
    "NH": "New Hampshire", "NJ": "New Jersey", "NM": "New Mexico", "NY": "New York",
    "NC": "North Carolina", "ND": "North Dakota", "RI": "Rhode Island", "SC": "South Carolina",
    "SD": "South Dakota", "TN": "Tennessee", "TX": "Texas", "UT": "Utah", "VT": "Vermont",
    "VA": "Virginia", "WA": "Washington", "WV": "West Virginia", "WI": "Wisconsin",
    "WY": "Wyoming",
}  # fmt: skip
_STATES_BEFORE_ZIP = _STATES | {
    "AL": "Alabama", "DE": "Delaware", "HI": "Hawaii", "ID": "Idaho", "IN": "Indiana",
    "LA": "Louisiana", "ME": "Maine", "MA": "Massachusetts", "OH": "Ohio", "OK": "Oklahoma",
    "OR": "Oregon", "PA": "Pennsylvania",
}  # fmt: skip
"""Some of these codes are also words or names, so a ZIP code must follow."""

_MONTHS = {month[:3]: month for month in MONTHS if month != "May"} | {"Sept": "September"}
_RULERS = word_set(
    "Henry Louis Elizabeth George Edward William Charles James Richard Philip Pius Paul Benedict "
    "Gregory Leo Napoleon Frederick Wilhelm Nicholas Alexander Catherine Ivan Peter Francis "
    "Clement Innocent Urban Ramses Ramesses Ptolemy Xerxes Darius Mary Ferdinand Gustav Christian "
    "Haakon Olaf Harald Leopold Albert Carlos Felipe Constantine Justinian Otto Conrad Rudolf "
    "Maximilian Joseph Sixtus Julius Boniface Adrian Stephen Robert David Alfonso Pedro Selim "
    "Mehmed Murad Suleiman Thutmose Amenhotep Margrethe Beatrix Juan John Celestine Anne"
)
_NUMBERED = (
    "Chapter|Part|Volume|Vol|Act|Scene|War|Book|Section|Appendix|Article|Phase|Type|Title|Level|"
    "Class|Bowl|Fantasy|Stage|Grade|Episode|Season|Round|Division|Group|Table|Figure|Canto|Mark|"
    "chapter|part|volume|act|scene|section|phase|type|stage|level|class"
)
_SPEAKER = r"(?! (?:am|have|think|know|don't|can|can't|will|would|saw|love|want|said|do|did)\b)"


def _title(match: re.Match[str]) -> str:
    return _TITLES[match[1]] + " "


def _with_stop(match: re.Match[str]) -> str | None:
    if match[1] == "EST":
        return None  # Eastern Standard Time
    expansion = _WITH_STOP[match[1].lower()]
    word = expansion.capitalize() if match[1][0].isupper() else expansion
    return word + final_stop(match)


def _street(match: re.Match[str]) -> str:
    return f"{match[1]} {_WITH_STOP[match[2].lower()].capitalize()}{final_stop(match)}"


def _letters(match: re.Match[str]) -> str:
    return " ".join(char.upper() for char in match[0] if char.isalpha()) + final_stop(match)


def _state(match: re.Match[str]) -> str:
    return _STATES[match[1]]


def _numbered(match: re.Match[str]) -> str | None:
    number = roman(match[2])
    return None if number is None else f"{match[1]} {cardinal(str(number))}"


def _named(match: re.Match[str]) -> str | None:
    number = roman(match[2])
    if number is None or number > 40:
        return None
    if match[1] in _RULERS:
        return f"{match[1]} the {ordinal(number)}"
    return f"{match[1]} {cardinal(str(number))}" if len(match[2]) > 1 else None


def _any(names: object) -> str:
    return "|".join(re.escape(name) for name in sorted(map(str, names), key=len, reverse=True))  # type: ignore[call-overload]


RULES: list[Rule] = [
    rule(rf"\b({_any(_BEFORE_NUMBER)})\. ?(?=\d)", lambda match: _BEFORE_NUMBER[match[1]] + " "),
    rule(r"(?<=\d )([A-Z][a-z]{1,20}|\d{1,3}(?:st|nd|rd|th)) (St|Dr|Rd|Ave|Blvd|Ln)\b\.?"
         r"(?=[,\s]|$)",
         _street),
    rule(rf"\b({_any(_TITLES)})\b\.? (?=[A-Z])", _title),
    rule(r"\b(Mr|Mrs|Ms)\b\.?", lambda match: _TITLES[match[1]] + final_stop(match)),
    rule(r"\b[Vv]s?\b\.(?= )|\bvs\b\.?", "versus"),
    rule(r"\bet al\b\.?", "et al"),
    rule(rf"\b({_any(_MONTHS)})\.", lambda match: _MONTHS[match[1]] + final_stop(match)),
    rule(r"\b(Mon|Tue|Tues|Wed|Thu|Thur|Thurs|Fri)\.",
         lambda match: WEEKDAYS[match[1]] + final_stop(match)),
    rule(r"\bPh\.? ?[Dd]\b\.?", lambda match: "P H D" + final_stop(match)),
    rule(rf"\b(?i:({_any(_WITH_STOP.keys() - {'no', 'min', 'max'})}))\.(?! ?[a-z]?\.)", _with_stop),
    rule(r"\b(min|max)\.(?= [a-z])", _with_stop),
    rule(r"(?<![\w.])(?:[A-Za-z]\.){2,12}(?!\w)", _letters),
    rule(r"(?<![\w.])(?:[A-Za-z]\.){1,12}[A-Za-z](?![\w.])", _letters),
    rule(r"(?<![\w.'])([A-Z])\.(?= ?[A-Z\"(]|, ?[A-Z])", r"\1"),
    rule(rf"(?<=[a-z], )({_any(_STATES_BEFORE_ZIP)})(?= \d{{5}})",
         lambda match: _STATES_BEFORE_ZIP[match[1]]),
    rule(rf"(?<=[a-z], )({_any(_STATES)})(?=[,.;)!?]|$)", _state),
    rule(r"\bw/o\b", "without"),
    rule(r"\bw/ ?(?=\w)", "with "),
    rule(r"\bc/o\b", "care of"),
    rule(r"(?<!\w)'[Nn]'(?!\w)", "and"),
    rule(rf"\b({_NUMBERED}) ([IVXLC]{{1,8}})\b{_SPEAKER}", _numbered),
    rule(rf"\b([A-Z][a-z]{{1,30}}) (?!XL\b)([IVX]{{1,6}}|[XL]{{2}}[IVX]{{0,5}})\b{_SPEAKER}",
         _named),
]  # fmt: skip
"""Applied before number rules."""
