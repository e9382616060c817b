"""Reads Roman numerals where the words around show that they are numerals and not letters."""

import re

from vocoder.text.characters import word_set
from vocoder.text.normalisation.numbers import cardinal, ordinal, roman
from vocoder.text.normalisation.rules import Rule, any_of, rule

_RULERS = word_set(
    "Henry Louis Elizabeth George Edward William Charles James Richard Philip Pius Paul Benedict "
    "Gregory Leo Napoleon Frederick Wilhelm Nicholas Alexander Catherine Ivan Peter Francis "
    "Clement Innocent Urban Ramses Ramesses Ptolemy Xerxes Darius Mary Ferdinand Gustav Christian "
    "Haakon Olaf Harald Leopold Albert Carlos Felipe Constantine Justinian Otto Conrad Rudolf "
    "Maximilian Joseph Sixtus Julius Boniface Adrian Stephen Robert David Alfonso Pedro Selim "
    "Mehmed Murad Suleiman Thutmose Amenhotep Margrethe Beatrix Juan John Celestine Anne Malcolm "
    "Naruhito Victor Umberto Cleopatra Antiochus Tiglath Rama Mahmud Abdul"
)
_SERIES = word_set(
    "Rocky Rambo Apollo Fantasy Diablo Warcraft Civilization Saturn Mark Jaws Halo Gemini Titan "
    "Atlas Bowl War Wars Caesar Quest Souls Tekken Mortal Kombat Park Movie Godfather Creed Hunter "
    "Empires Auto Dragon Age Kingdom Hearts Shock Evil Effect Doom Quake Half Portal Starcraft "
    "StarCraft Sequel Pentium Athlon Voyager Viking Pioneer Type Sanders Toy Story Iron Man Lambda "
    "Canon Nikon Leica Alien Predator Terminator Gremlins Ghostbusters Vatican Sonic Zelda Trek"
)
_NUMBERED = (
    "Chapter|Part|Volume|Vol|Act|Scene|War|Book|Section|Appendix|Article|Phase|Type|Title|Level|"
    "Class|Bowl|Fantasy|Stage|Grade|Episode|Season|Round|Division|Group|Table|Figure|Canto|Mark|"
    "Annex|Schedule|Factor|Tier|Category|Amendment|Exhibit|Plate|Verse|Psalm|Sonnet|Symphony|Opus"
)
_IN_BOTH_CASES = [
    "chapter",
    "part",
    "volume",
    "act",
    "scene",
    "section",
    "phase",
    "type",
    "stage",
    "level",
    "class",
    "book",
    "article",
    "appendix",
    "title",
    "war",
    "episode",
    "season",
    "figure",
    "table",
    "grade",
    "round",
    "division",
    "group",
    "tier",
    "annex",
]
_UPPER_OR_LOWER = "|".join([*_IN_BOTH_CASES, *map(str.upper, _IN_BOTH_CASES)])
_LETTERED = word_set("appendix section type grade class group exhibit annex schedule category tier")
"""Also numbered by letters: a single C, D, L, M or X after them is a letter."""

_SPEAKER = (
    r"(?! (?:am|have|think|know|don't|can|can't|will|would|saw|love|want|said|do|did|had|feel|"
    r"need|like|got|went|just|really|never|always|could|should)\b)"
)
_CENTURY = "century|centuries|dynasty|Dynasty|Century|Corps|Olympiad|Olympics|Congress"
_LONGEST_RULER = 40


def _numbered(match: re.Match[str]) -> str | None:
    name, numeral = match[1], match[2]
    number = roman(numeral)
    if number is None or (name.lower() in _LETTERED and numeral in ("C", "D", "L", "M", "X")):
        return None
    if numeral in ("C", "D", "L", "M"):
        return None
    return f"{name} {cardinal(str(number))}"


def _named(match: re.Match[str]) -> str | None:
    before, name, numeral = match["before"] or "", match["name"], match["numeral"]
    number = roman(numeral)
    if number is None or number > _LONGEST_RULER:
        return None
    words = f"{before}{name}"
    if name in _RULERS and not (name == "Malcolm" and numeral == "X"):
        return f"{words} the {ordinal(number)}"
    if len(numeral) == 1:
        return f"{words} {cardinal(str(number))}" if numeral == "V" and name in _SERIES else None
    series = name in _SERIES or before.strip() in _SERIES
    if number <= 4 and not series:
        return f"{words} the {ordinal(number)}"
    return f"{words} {cardinal(str(number))}"


def _century(match: re.Match[str]) -> str | None:
    number = roman(match[1])
    return None if number is None else ordinal(number)


def _list(match: re.Match[str]) -> str | None:
    numerals = re.findall(r"[IVXL]+", match[0])
    if max(map(len, numerals)) < 2 or None in [roman(numeral) for numeral in numerals]:
        return None
    written = re.sub(r"[–-]", " to ", match[0])
    return re.sub(r"[IVXL]+", lambda each: cardinal(str(roman(each[0]))), written)


def _pages(match: re.Match[str]) -> str | None:
    first, last = roman(match[2].upper()), roman((match[3] or "").upper())
    if first is None:
        return None
    name = "pages" if match[1].lower().startswith("pp") else "page"
    words = f"{name} {cardinal(str(first))}"
    return f"{words} to {cardinal(str(last))}" if last is not None else words


def _world_war(match: re.Match[str]) -> str:
    return f"World War {'two' if match[1] in ('II', '2') else 'one'}"


def _alone(match: re.Match[str]) -> str | None:
    number = roman(match[2])
    return None if number is None else f"{match[1]}{cardinal(str(number))}"


RULES: tuple[Rule, ...] = (
    rule(r"\bWW ?(II|I|1|2)\b", _world_war),
    rule(rf"(?<![\w.])([IVXL]{{1,6}})(?= (?:{_CENTURY})\b)", _century),
    rule(r"\b((?i:pages?|pp?\.?) )([ivxl]{1,7})(?:[-–]([ivxl]{1,7}))?\b(?!')", _pages),
    rule(rf"\b({_NUMBERED}|{_UPPER_OR_LOWER})\.? ([IVXLC]{{1,8}})"
         rf"\b(?![.']\w){_SPEAKER}", _numbered),
    rule(r"(?<![\w.'])[IVXL]{1,6}(?:, [IVXL]{1,6})*(?:,? (?:and|or|to|through) |[–-])[IVXL]{2,6}"
         r"(?![\w'])", _list),
    rule(rf"(?P<before>\b[A-Z][a-z]{{1,20}} )?\b(?P<name>{any_of(['St'])}|[A-Z][a-z]{{1,30}}) "
         rf"(?!XL\b)(?P<numeral>[IVX]{{1,6}}|[XL]{{2}}[IVX]{{0,5}})\b(?![.]\w){_SPEAKER}", _named),
    rule(r"^(\(?)([IVX]{2,6})(?=[.):]|$)", _alone),
    rule(r"(?<=[a-z] )(?<!\ban )(?<!\ba )(?<!\bthe )()(?!IV\b)([IVX]{2,6})(?=[,.;:)!?]|$)", _alone),
)  # fmt: skip
"""Applied after abbreviations."""
