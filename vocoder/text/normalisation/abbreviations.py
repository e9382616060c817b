"""Expands abbreviations: titles, words with a full stop, references before numbers."""

import re

from vocoder.text.characters import word_set
from vocoder.text.normalisation.dates import MONTHS, WEEKDAYS
from vocoder.text.normalisation.rules import Rule, RuleSet, any_of, final_stop, rule, rule_set

_TITLES = {
    "Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Prof": "Professor", "Rev": "Reverend",
    "Hon": "Honorable", "Gen": "General", "Col": "Colonel", "Capt": "Captain", "Lt": "Lieutenant",
    "Sgt": "Sergeant", "Cpl": "Corporal", "Maj": "Major", "Cmdr": "Commander", "Adm": "Admiral",
    "Gov": "Governor", "Sen": "Senator", "Rep": "Representative", "Pres": "President",
    "Supt": "Superintendent", "Messrs": "Messieurs", "Mt": "Mount", "Ft": "Fort", "Dr": "Doctor",
    "St": "Saint", "Pvt": "Private", "Mme": "Madame", "Mlle": "Mademoiselle", "Drs": "Doctors",
    "Fr": "Father", "Rt": "Right", "Det": "Detective", "Insp": "Inspector", "Brig": "Brigadier",
    "Cdr": "Commander", "Amb": "Ambassador", "Atty": "Attorney", "Spc": "Specialist",
    "Pfc": "Private First Class", "Ens": "Ensign", "Profs": "Professors", "Sens": "Senators",
    "Reps": "Representatives", "Gens": "Generals", "Sts": "Saints", "Mts": "Mountains",
    "Pt": "Point", "Ste": "Sainte", "Sra": "Señora", "Srta": "Señorita",
}  # fmt: skip
"""Expanded before a name, with or without a full stop."""

_WITH_STOP = {
    "prof": "professor", "rd": "road", "ln": "lane", "jr": "junior", "sr": "senior",
    "inc": "incorporated", "ltd": "limited", "co": "company", "corp": "corporation",
    "bros": "brothers", "cos": "companies", "etc": "et cetera", "e.g": "for example",
    "i.e": "that is", "approx": "approximately", "vol": "volume", "vols": "volumes",
    "fig": "figure", "figs": "figures", "est": "established", "dept": "department",
    "cf": "compare", "viz": "namely", "tel": "telephone", "min": "minimum", "max": "maximum",
    "temp": "temperature", "misc": "miscellaneous", "incl": "including", "excl": "excluding",
    "govt": "government", "chs": "chapters", "assn": "association", "intl": "international",
    "asst": "assistant",
    "esq": "esquire", "dr": "doctor", "st": "street", "calif": "California",
    "conn": "Connecticut", "fla": "Florida", "penn": "Pennsylvania", "mt": "mount", "sq": "square",
    "ft": "feet", "gen": "general", "gov": "governor", "sen": "senator", "rep": "representative",
    "capt": "captain", "avg": "average", "qty": "quantity", "mfg": "manufacturing",
    "univ": "university", "dist": "district", "mgr": "manager", "mgmt": "management",
    "admin": "administration", "natl": "national", "hosp": "hospital", "inst": "institute",
    "tech": "technical", "amt": "amount", "acct": "account", "attn": "attention",
    "assoc": "associate", "assocs": "associates", "bldg": "building", "cert": "certificate",
    "ed": "editor", "eds": "editors", "eq": "equation", "eqs": "equations", "ref": "reference",
    "refs": "references", "hrs": "hours", "hr": "hour", "yrs": "years", "yr": "year",
    "wks": "weeks", "wk": "week", "mos": "months", "mins": "minutes", "secs": "seconds",
    "lbs": "pounds", "oz": "ounces", "tbsp": "tablespoon", "tsp": "teaspoon", "pkg": "package",
    "doz": "dozen", "ave": "avenue", "blvd": "boulevard", "hwy": "highway", "pkwy": "parkway",
    "a.k.a": "A K A", "trans": "translated", "repr": "reprinted", "rev": "revised",
    "obs": "obsolete", "abbr": "abbreviation", "orig": "originally", "esp": "especially",
    "prev": "previous", "orch": "orchestra", "mass": "Massachusetts", "mich": "Michigan",
    "tenn": "Tennessee", "ariz": "Arizona", "okla": "Oklahoma", "wash": "Washington",
    "minn": "Minnesota", "colo": "Colorado", "ala": "Alabama", "ill": "Illinois",
    "wis": "Wisconsin",
    "ont": "Ontario", "que": "Quebec", "nev": "Nevada", "neb": "Nebraska", "supp": "supplement",
    "ch": "chapter", "sec": "section", "ser": "series", "subsec": "subsection",
    "vet": "veterinarian", "jct": "junction", "mtn": "mountain", "elev": "elevation",
    "pop": "population", "cont": "continued", "encl": "enclosed", "recd": "received",
}  # fmt: skip
"""Expanded only if written with a full stop."""

_JOBS = (
    "Vice|Engineer|Manager|Director|Analyst|Developer|Designer|Software|Data|Product|Project|"
    "Account|Associate|Editor|Producer|Consultant|Scientist|Research|Technical|Executive|Staff|"
    "Marketing|Sales|Program|Security|Systems|Business|Advisor|Adviser|Officer|Lecturer|Fellow|High"
)
ABBREVIATIONS = frozenset(_WITH_STOP) - word_set(
    "mass ill wash pop cont vet tech admin ed rev max temp min est trans ser wis ala que co rep "
    "gen inst fig eq sec ref no dist"
)
"""Abbreviations that no word is spelled like: before a word in lower case they end no sentence."""

_CAPITALISED_ONLY = word_set("mass wash ill ala que ont minn colo conn fla penn calif mich tenn")
_NEEDS_NEXT = word_set(
    "min max ed eds sec ch pop vet tech inst mass ill wash cont admin rev trans ser supp obs dist "
    "cert ref eq temp est oz ala que rep gen"
)
"""Also words: a full stop that ends the sentence is only that."""

_BEFORE_NUMBER = {
    "No": "number", "no": "number", "Nos": "numbers", "nos": "numbers", "p": "page", "pp": "pages",
    "ca": "about", "c": "circa", "ext": "extension", "Ext": "extension", "Ch": "chapter",
    "ch": "chapter", "Chs": "chapters", "chs": "chapters", "Sec": "section", "sec": "section",
    "Secs": "sections",
    "Art": "article", "art": "article", "Arts": "articles", "arts": "articles", "secs": "sections",
    "Vol": "volume", "vol": "volume", "Fig": "figure", "fig": "figure", "Figs": "figures",
    "figs": "figures", "Pt": "part", "pt": "part", "Eq": "equation", "eq": "equation",
    "Eqs": "equations", "eqs": "equations", "Eqn": "equation", "eqn": "equation",
    "Ref": "reference", "ref": "reference", "Refs": "references", "refs": "references",
    "Op": "opus", "op": "opus", "Tab": "table", "Tbl": "table", "App": "appendix",
    "Ex": "example", "ex": "example", "Sect": "section", "sect": "section", "b": "born",
    "d": "died", "r": "reigned", "fl": "flourished", "l": "line", "ll": "lines", "v": "verse",
    "vv": "verses", "n": "note", "nn": "notes", "para": "paragraph", "Para": "paragraph",
    "paras": "paragraphs", "cl": "clause", "Cl": "clause", "col": "column", "cols": "columns",
    "ver": "version", "Ver": "version", "qty": "quantity", "Qty": "quantity", "ed": "edition",
    "Ste": "suite", "Apt": "apartment", "Bldg": "building", "Rm": "room", "Thm": "theorem",
    "Def": "definition", "Prop": "proposition", "Lem": "lemma", "Cor": "corollary",
    "Alg": "algorithm", "Iss": "issue", "iss": "issue", "Ep": "episode", "ep": "episode",
    "Vols": "volumes", "vols": "volumes", "Pl": "plate", "Sched": "schedule",
}  # fmt: skip
_NEEDS_YEAR = word_set("c ca b d r fl")

BEFORE_NUMBER = frozenset(name.lower() for name in _BEFORE_NUMBER)
"""Abbreviations that do not end a sentence before a number or a bracket."""

NEVER_LAST = word_set(
    "mr mrs ms prof rev hon capt lt sgt cpl maj cmdr adm gov sen rep pres supt messrs mmes vs "
    "ste pt e.g i.e cf viz ca approx vols figs pp tel pvt mme mlle drs rt det insp brig amb atty "
    "avg incl v rs a.k.a f.k.a d.b.a sra srta gens sens reps mt dr st esp abbr orig prev"
)
"""Abbreviations that never end a sentence, in lower case without their final full stop.

A street's ``Dr``, ``St`` and ``Mt`` can: see :mod:`vocoder.text.sentences`.
"""

OFTEN_LAST = word_set(
    "a.m p.m u.s u.k u.s.a u.n e.u etc jr sr inc ltd co corp bros ave blvd rd ln hwy al est dept "
    "jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun "
    "ph.d m.d b.a m.a b.c a.d d.c esq hr hrs mi km kg lb lbs oz min max ed eds in ft sq "
    "tsp tbsp tbs pkg doz wks wk mos mo yr yrs mins secs sec pts ct pl pkwy cir ter rte bldg apt "
    "calif conn fla penn mass mich tenn ariz okla wash minn colo ala ill wis ont misc excl temp "
    "univ assn intl asst natl dist qt pt gal yd cu fl c b.c.e c.e b.s m.s ll.b j.d d.d.s r.n gen "
    "fr col"
)
"""Abbreviations that end a sentence only if the next word commonly begins one."""

_MONTHS = {month[:3]: month for month in MONTHS if month != "May"} | {"Sept": "September"}


def _title(match: re.Match[str]) -> str | None:
    title = _TITLES.get(match[1])
    return None if title is None else title + " "


def _with_stop(match: re.Match[str]) -> str | None:
    written = match[1]
    if written == "EST" or (len(written) > 2 and written.isupper()):
        return None  # Eastern Standard Time
    ends = not match.string[match.end() :].strip("\"') ")
    lower = written.lower()
    if lower not in _WITH_STOP:
        return None
    if ends and lower in _NEEDS_NEXT:
        return None
    if lower in _CAPITALISED_ONLY and not written[0].isupper():
        return None
    expansion = _WITH_STOP[lower]
    word = expansion[0].upper() + expansion[1:] if written[0].isupper() else expansion
    following = match.string[match.end() : match.end() + 1]
    return word + final_stop(match) + (" " if following.isalnum() else "")


def _letters(match: re.Match[str]) -> str:
    return " ".join(char.upper() for char in match[0] if char.isalpha()) + final_stop(match)


def _before_number(match: re.Match[str]) -> str | None:
    name = match["name"]
    if name not in _BEFORE_NUMBER:
        return None
    if name in _NEEDS_YEAR and not re.match(r"\d{3,4}(?!\d)", match["number"]):
        return None
    return f"{_BEFORE_NUMBER[name]} "


WITHOUT_STOP: tuple[Rule, ...] = (
    rule(r"\b(?!Rt|Det|Fr|Gen|Ens|Rep|Brig|Col)([A-Z][a-z]{1,6}) (?=[A-Z][a-z'])", _title),
    rule(r"\b(Mr|Mrs|Ms)\b(?!\.)", lambda match: _TITLES[match[1]]),
    rule(r"\b(Fig|Figs|Eq|Eqs|Vol|Sec|Ch|Ref)\b (?=[(\[]?\d)",
         lambda match: _BEFORE_NUMBER[match[1]] + " "),
    rule(r"\bvs\b(?!\.)", "versus"),
    rule(r"\bw/o\b", "without"),
    rule(r"\bw/ ?(?=\w)", "with "),
    rule(r"\bc/o\b", "care of"),
    rule(r"\bb/c\b", "because"),
    rule(r"\bn/a\b|\bN/A\b", "N A"),
    rule(r"(?<!\w)'[Nn]'(?!\w)", "and"),
    rule(r"\bPhD\b", "P H D"),
    rule(r"\b(PET|CAT)(?= scan)", lambda match: match[1].lower()),
)  # fmt: skip

WITH_STOP: tuple[Rule, ...] = (
    rule(r"\b(?P<name>[A-Za-z][a-z]{0,4})\. ?(?=[(\[#]?(?P<number>\d{1,9}))",
         _before_number),
    rule(rf"\bSr\. (?=[A-Z])(?!(?:{_JOBS})\b)", "Señor "),
    rule(r"\b(Dr|Drs|Mr|Mrs|Ms|Prof)\.? (?=(?:and|&|or) (?:Dr|Mr|Mrs|Ms|Prof|Miss)\b)", _title),
    rule(r"\b[Rr]t\. Hon\.", "Right Honorable"),
    rule(r"\b([A-Z][a-z]{1,6})\.-? ?(?=[A-Z])", _title),
    rule(r"\b(Mr|Mrs|Ms)\.", lambda match: _TITLES[match[1]] + final_stop(match)),
    rule(r"\b[Vv]s?\b\.(?= )", "versus"),
    rule(r"\bet al\b\.?", "et al"),
    rule(rf"\b({any_of(_MONTHS)})\.", lambda match: _MONTHS[match[1]] + final_stop(match)),
    rule(r"\b(Mon|Tue|Tues|Wed|Thu|Thur|Thurs|Fri)\.",
         lambda match: WEEKDAYS[match[1]] + final_stop(match)),
    rule(r"\bPh\. ?[Dd]\b\.?", lambda match: "P H D" + final_stop(match)),
    rule(r"\ba\.k\.a\.?", "A K A"),
    rule(r"\b([A-Za-z][a-z]{1,7}|e\.g|i\.e|E\.g|I\.e)\.(?! ?[a-z]?\.)", _with_stop),
    rule(r"(?<![\w.])(?:[A-Za-z]\.){2,12}(?!\w)", _letters),
    rule(r"(?<![\w.])(?:[A-Za-z]\. ){1,4}[A-Za-z]\.(?= [A-Z])", _letters),
    rule(r"(?<![\w.])(?:[A-Za-z]\.){1,12}[A-Za-z](?![\w.])", _letters),
    rule(r"(?<![\w.'])([A-Z])\.(?= ?[A-Za-z\"(]|, ?[A-Z])", r"\1"),
)  # fmt: skip

SETS: tuple[RuleSet, ...] = (
    rule_set(r"\.\W*\w|\b\w{1,8}\.\W*$", *WITH_STOP),
    rule_set(
        r"[A-Z][a-z]{1,6} [A-Z(\[\d]|[MP][rhA][sDR]?\b|M[rs]\b|vs|/|'[Nn]|[PC][EA]T", *WITHOUT_STOP
    ),
)
"""Applied before number rules."""
