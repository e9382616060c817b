"""Streets, buildings, directions and states."""

import re

from vocoder.text.normalisation.rules import Rule, RuleSet, any_of, final_stop, rule, rule_set

_STREETS = {
    "St": "Street", "Dr": "Drive", "Rd": "Road", "Ave": "Avenue", "Av": "Avenue",
    "Blvd": "Boulevard", "Ln": "Lane", "Ct": "Court", "Pl": "Place", "Pkwy": "Parkway",
    "Pky": "Parkway", "Hwy": "Highway", "Cir": "Circle", "Ter": "Terrace", "Terr": "Terrace",
    "Sq": "Square", "Expy": "Expressway", "Fwy": "Freeway", "Tpke": "Turnpike", "Trl": "Trail",
    "Rte": "Route", "Rt": "Route", "Xing": "Crossing", "Plz": "Plaza", "Aly": "Alley",
}  # fmt: skip
STREET_ABBREVIATIONS = frozenset(_STREETS)
"""Names of kinds of street, without their full stop, which follow the name of the street."""

_WHOLE = {
    "Hwy": "Highway", "hwy": "highway", "Rte": "Route", "rte": "route", "Pkwy": "Parkway",
    "Blvd": "Boulevard", "blvd": "boulevard", "Expy": "Expressway", "Fwy": "Freeway",
    "Tpke": "Turnpike", "Bldg": "Building", "bldg": "building", "Apt": "Apartment",
    "apt": "apartment", "Ave": "Avenue", "ave": "avenue",
}  # fmt: skip
_BEFORE_NUMBER = {
    "Ste": "Suite", "ste": "suite", "Rm": "Room", "rm": "room", "Fl": "Floor", "Unit": "Unit",
    "Rt": "Route", "Apts": "Apartments", "Bldgs": "Buildings", "Dr": "Drive",
}  # fmt: skip
_DIRECTIONS = {
    "N": "North", "S": "South", "E": "East", "W": "West", "NE": "Northeast", "NW": "Northwest",
    "SE": "Southeast", "SW": "Southwest",
}  # fmt: skip

_STATES = {
    "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California", "CO": "Colorado",
    "CT": "Connecticut", "FL": "Florida", "GA": "Georgia", "IL": "Illinois", "IA": "Iowa",
    "KS": "Kansas", "KY": "Kentucky", "MI": "Michigan", "MN": "Minnesota",
    "MS": "Mississippi", "MO": "Missouri", "MT": "Montana", "NE": "Nebraska", "NV": "Nevada",
    "NH": "New Hampshire", "NJ": "New Jersey", "NM": "New Mexico", "NY": "New York",
    "NC": "North Carolina", "ND": "North Dakota", "RI": "Rhode Island", "SC": "South Carolina",
    "SD": "South Dakota", "TN": "Tennessee", "TX": "Texas", "UT": "Utah", "VT": "Vermont",
    "VA": "Virginia", "WA": "Washington", "WV": "West Virginia", "WI": "Wisconsin",
    "WY": "Wyoming",
}  # fmt: skip
_AMBIGUOUS_STATES = {
    "AL": "Alabama", "DE": "Delaware", "HI": "Hawaii", "ID": "Idaho", "IN": "Indiana",
    "LA": "Louisiana", "ME": "Maine", "MA": "Massachusetts", "MD": "Maryland", "OH": "Ohio",
    "OK": "Oklahoma", "OR": "Oregon", "PA": "Pennsylvania",
}  # fmt: skip
"""Codes that are also words, names or degrees: they follow the name of a city."""

STATES_BEFORE_ZIP = _STATES | _AMBIGUOUS_STATES | {"DC": "D C"}
"""Names of states by postal code."""

_CITIES = (
    "Boston|Cambridge|Worcester|Springfield|Salem|Lowell|Quincy|Lynn|Portland|Eugene|Bend|Medford|"
    "Philadelphia|Pittsburgh|Harrisburg|Allentown|Erie|Scranton|Lancaster|York|Reading|Bethlehem|"
    "Cleveland|Columbus|Cincinnati|Toledo|Akron|Dayton|Canton|Youngstown|Tulsa|Norman|Edmond|"
    "Oklahoma City|Baltimore|Annapolis|Bethesda|Rockville|Frederick|Honolulu|Hilo|Boise|Nampa|"
    "Indianapolis|Fort Wayne|Gary|Bloomington|Evansville|South Bend|New Orleans|Baton Rouge|"
    "Shreveport|Lafayette|Bangor|Augusta|Birmingham|Montgomery|Mobile|Huntsville|Tuscaloosa|Dover|"
    "Wilmington|Newark|Plymouth|Amherst|Concord|Lexington|Hershey|Gettysburg|Corvallis|Ashland|"
    "Ann Arbor|Detroit|Houston|Dallas|Auburn|Selma|Mansfield|Muncie|Lewiston|Pocatello|Somerville"
)
_CITY = r"(?<=[a-z], )"


def _street(match: re.Match[str]) -> str:
    return f"{match['name']} {_STREETS[match['kind']]}{final_stop(match)}"


def _whole(match: re.Match[str]) -> str:
    return _WHOLE[match[1]] + final_stop(match)


def _direction(match: re.Match[str]) -> str:
    return f"{_DIRECTIONS[match['toward'].replace('.', '')]} "


def _state(match: re.Match[str]) -> str:
    return STATES_BEFORE_ZIP[match[1]]


_NAME = r"(?P<name>\b(?!The\b|A\b|Is\b|Our\b|My\b)[A-Z][a-z']{1,20}|\b\d{1,3}(?:st|nd|rd|th)|Jr)"
_TOWARD = r"(?P<toward>[NSEW]\.?|(?:N|S)\.?[EW]\.?)"

_STREET_RULES: tuple[Rule, ...] = (
    rule(rf"(?<=\d )(?<!\$\d )\b{_TOWARD} (?=[A-Z][a-z]|\d{{1,3}}(?:st|nd|rd|th))", _direction),
    rule(rf"\b{_TOWARD} (?=(?:[A-Z][a-z]{{1,20}}|\d{{1,3}}(?:st|nd|rd|th)) "
         r"(?:St|Ave|Rd|Dr|Blvd|Ln|Pkwy|Street|Avenue|Road|Drive|Boulevard|Lane)\b)", _direction),
    # Dr, St and Mt are titles unless the name before them is a street's.
    rule(rf"(?<=\d )(?P<name>(?:[NSEW] |North |South |East |West )?(?:St |Mt |Ft )?"
         r"(?:[A-Z][a-z']{1,20}|\d{1,3}(?:st|nd|rd|th)))"
         rf" (?P<kind>{any_of(_STREETS)})\b\.?(?=[,\s]|$)", _street),
    rule(rf"{_NAME} (?P<kind>{any_of(_STREETS.keys() - {'Rt', 'Rte', 'Hwy', 'Sq'})})"
         r"\b\.?(?=\s*(?:[,;:)?!]|$|[a-z&]|\d)|\.?$)", _street),
    rule(rf"\b({any_of(_WHOLE)})\b\.?", _whole),
    rule(r"\b(Street|Avenue|Road|Drive|Boulevard|Lane|Court|Place|Way) (NE|NW|SE|SW|[NSEW])\b\.?"
         r"(?=[\s,]|$)", lambda match: f"{match[1]} {_DIRECTIONS[match[2]]}"),
    rule(r"\b(Ste|ste|Rm|rm|Fl|Apts|Bldgs|Rt)\.? ?(?=#?\d|(?:one|two|three|four|five|six|seven|"
         r"eight|"
         r"nine|ten|eleven|twelve|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)\b)",
         lambda match: _BEFORE_NUMBER[match[1]] + " "),
)  # fmt: skip
_STATE_RULES: tuple[Rule, ...] = (
    rule(rf"{_CITY}({any_of(_STATES)})(?=[,.;:)!?]|$| [a-z]|\s*\()", _state),
    rule(rf"\b((?:{_CITIES}),? )({any_of(_AMBIGUOUS_STATES)})(?=[,.;:)!?]|$| [a-z]|\s*\()",
         lambda match: match[1] + _AMBIGUOUS_STATES[match[2]]),
    rule(rf"\b((?:in|to|from|near|of|at|via|outside) [A-Z][a-z]{{1,20}}(?: [A-Z][a-z]{{1,20}})?, )"
         rf"({any_of(_AMBIGUOUS_STATES)})\b(?! [A-Z])",
         lambda match: match[1] + _AMBIGUOUS_STATES[match[2]]),
    rule(r"(?<=[a-z], )(OR|IN|OK|OH|PA|MA)(?= (?:and|in|on|to|is|was|for|from|with|where)\b)",
         _state),
)  # fmt: skip
SETS: tuple[RuleSet, ...] = (
    rule_set(
        rf"\b(?:{any_of(_STREETS)}|{any_of(_WHOLE)}|Ste|ste|Rm|rm|Fl|Apts|Bldgs)\b|"
        rf"[NSEW]\.? [A-Z\d]",
        *_STREET_RULES,
    ),
    rule_set(r", [A-Z]{2}\b|[a-z] [A-Z]{2}\b", *_STATE_RULES),
)
"""Applied before titles, of which ``Dr`` and ``St`` are also streets."""
